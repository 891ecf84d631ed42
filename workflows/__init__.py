"""What a user computes of Sentinel-2 L1C: functions of arrays, each with the neighbourhood that it needs."""

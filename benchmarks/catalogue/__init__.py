"""The STAC API on both databases, measured beside each other."""

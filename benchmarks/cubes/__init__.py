"""What cubes cost: windows across tiles beside what people do today."""

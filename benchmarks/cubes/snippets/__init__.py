"""A tile and 10 km around it on three layouts: the code that a user writes, run by the benchmark, its lines counted."""

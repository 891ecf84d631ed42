"""Web applications: they adapt HTTP to the library and the catalogue, and do nothing else."""

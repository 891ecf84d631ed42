"""Cubes over HTTP: small requests answered at once, large ones as jobs."""

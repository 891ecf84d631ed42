"""Abut: Sentinel-2 L1C stored once, given back bit for bit."""

__version__ = "0.1.0"

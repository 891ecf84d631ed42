"""STAC items and collections, and the databases that index them."""

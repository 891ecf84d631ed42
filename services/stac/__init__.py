"""The STAC API."""

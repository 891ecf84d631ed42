"""Tests of map tiles."""

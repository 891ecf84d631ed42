"""SAFE products in: read, cut into blocks, written, committed; then settled, purged, withdrawn, checked."""

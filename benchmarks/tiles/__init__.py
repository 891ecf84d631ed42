"""What map tiles cost: beside rio-tiler on COGs of the same pixels, and what a server of them can do."""

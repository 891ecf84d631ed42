"""Map tiles and pictures of products and searches, across zones; GeoJSON of the lattice."""

"""What `abut demo` and `abut equality` do, step by step: products, archive, proof, picture, page."""

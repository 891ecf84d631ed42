"""Workflows run on what an archive or SAFE products hold: moments, workflows by name, files, many tiles, proofs."""

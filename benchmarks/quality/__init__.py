"""How good the workflows are on real pixels: what can be checked, against what, and what can't."""

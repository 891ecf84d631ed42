"""Five users, five months, a continent: measured at a scale that this machine carries, modelled beyond it."""

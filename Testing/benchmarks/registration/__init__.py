"""How well the average femur finds its place on femurs whose true correspondence is known, and on real ones."""

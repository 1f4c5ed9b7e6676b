"""How well the average femur finds its place on femurs of known correspondence, and on real ones."""

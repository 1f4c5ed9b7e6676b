"""A digital hip: shape, cortex and surroundings of one person's femur, all of known truth."""

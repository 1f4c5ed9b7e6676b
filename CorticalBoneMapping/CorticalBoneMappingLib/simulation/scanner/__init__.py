"""A simulated CT scanner: from a digital hip to HU, with partial volume, blur and noise."""

"""How well a femur is found in a CT by itself: on scans of known truth, a real one, and wrong ones."""

"""Get one femur from a CT, a label map or a surface, with a verdict on its surface."""

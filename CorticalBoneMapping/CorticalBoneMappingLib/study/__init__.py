"""One femur from file to files, and many of them."""

"""One femur from files to files: find it, map it, carry its maps to the average femur, write them."""

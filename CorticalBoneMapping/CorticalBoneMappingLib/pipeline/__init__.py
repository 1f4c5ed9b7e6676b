"""One femur from files to files: find it, map it, put its maps on the average femur, write them."""

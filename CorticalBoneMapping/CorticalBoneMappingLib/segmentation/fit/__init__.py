"""Fit the shape model of the femur to a CT, from the head that was detected."""

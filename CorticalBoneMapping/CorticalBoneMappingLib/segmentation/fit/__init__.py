"""Fit the shape model of the femur to the edges of bone in a CT."""

"""Triangle surfaces as mathematics: closest points, meshing, topology, smoothing, modes of shape."""

"""Linear models at every vertex: design, contrasts, least squares, mixed model, effects."""

"""Between label maps and surfaces: the filled mask of one bone, its surface, and back."""

"""Detect the hips of a CT: where each femoral head is, how large, and of which side."""

"""Results as MRML nodes; the only room that imports slicer."""

"""Results as MRML nodes, and back."""

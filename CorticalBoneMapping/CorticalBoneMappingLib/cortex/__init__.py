"""From a CT and a surface to the cortex at every point."""

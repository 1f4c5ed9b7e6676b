"""What the two panels of Slicer share: runs in a child process, choices, and tables."""

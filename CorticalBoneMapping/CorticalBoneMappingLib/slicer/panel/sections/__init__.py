"""The sections of the two panels, one file each."""

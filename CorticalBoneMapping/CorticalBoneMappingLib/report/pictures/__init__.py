"""Pictures: maps in anatomical views, slices of the CT, regions and landmarks."""

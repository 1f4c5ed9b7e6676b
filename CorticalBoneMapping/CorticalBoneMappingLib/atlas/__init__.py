"""The average femur: its surface, regions and landmarks."""

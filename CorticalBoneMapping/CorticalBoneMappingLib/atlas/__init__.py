"""The average femur: load it, or build one from a cohort."""

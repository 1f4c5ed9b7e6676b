"""The average femur: load an atlas, or build one from a cohort."""

from .average import AverageFemur, load_atlas, load_average

__all__ = ["AverageFemur", "load_atlas", "load_average"]

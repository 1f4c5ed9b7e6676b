"""Measure the anatomy of a femur on its surface: landmarks, axes, lengths, angles and regions."""

from .frame import Axis, Frame
from .measure import anatomy_from_landmarks, measure_anatomy
from .regions import REGION_NAMES, region_names_of, regions_of
from .result import CONDYLES, LANDMARKS, Anatomy

__all__ = [
    "CONDYLES",
    "LANDMARKS",
    "REGION_NAMES",
    "Anatomy",
    "Axis",
    "Frame",
    "anatomy_from_landmarks",
    "measure_anatomy",
    "region_names_of",
    "regions_of",
]

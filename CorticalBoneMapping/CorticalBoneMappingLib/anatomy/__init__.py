"""The anatomy of a proximal femur: landmarks, axes, lengths and angles, measured on its surface."""

from .frame import Axis, Frame
from .measure import anatomy_from_landmarks, measure_anatomy
from .result import LANDMARKS, Anatomy

__all__ = ["LANDMARKS", "Anatomy", "Axis", "Frame", "anatomy_from_landmarks", "measure_anatomy"]

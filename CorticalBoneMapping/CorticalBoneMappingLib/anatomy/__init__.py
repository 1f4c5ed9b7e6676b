"""The anatomy of a femur, proximal or whole: landmarks, axes, lengths and angles, measured on its surface."""

from .frame import Axis, Frame
from .measure import anatomy_from_landmarks, measure_anatomy
from .result import CONDYLES, LANDMARKS, Anatomy

__all__ = ["CONDYLES", "LANDMARKS", "Anatomy", "Axis", "Frame", "anatomy_from_landmarks", "measure_anatomy"]

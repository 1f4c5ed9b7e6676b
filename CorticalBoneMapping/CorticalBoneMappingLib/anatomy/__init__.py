"""Measure the anatomy of a femur on its surface: landmarks, axes, lengths, angles and regions."""

from .frame import Axis, Frame
from .measure import anatomy_from_landmarks, measure_anatomy
from .result import CONDYLES, LANDMARKS, Anatomy

__all__ = ["CONDYLES", "LANDMARKS", "Anatomy", "Axis", "Frame", "anatomy_from_landmarks", "measure_anatomy"]

"""Calibrate HU to density, with its uncertainty, and correct beam hardening by bone."""

from .calibration import Calibration, check_calibration, parse_calibration
from .rod_line import RodFit

__all__ = ["Calibration", "RodFit", "check_calibration", "parse_calibration"]

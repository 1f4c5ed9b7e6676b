"""From HU to density, how sure that is, and what beam hardening did to it."""

from .calibration import Calibration, check_calibration, parse_calibration
from .rod_line import RodFit

__all__ = ["Calibration", "RodFit", "check_calibration", "parse_calibration"]

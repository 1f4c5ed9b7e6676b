"""From a femur to the average femur, and maps along with it."""

from ._register import RegistrationSettings, register
from .result import Registration, SurfaceDistances
from .smoothing import smooth

__all__ = ["Registration", "RegistrationSettings", "SurfaceDistances", "register", "smooth"]

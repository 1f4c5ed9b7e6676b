"""From a femur to the average femur, and maps along with it."""

from .registering import RegistrationSettings, register
from .result import Registration, SurfaceDistances

__all__ = ["Registration", "RegistrationSettings", "SurfaceDistances", "register"]

"""Register a femur to the average femur, and carry maps between them."""

from .registering import RegistrationSettings, register
from .result import Registration, SurfaceDistances

__all__ = ["Registration", "RegistrationSettings", "SurfaceDistances", "register"]

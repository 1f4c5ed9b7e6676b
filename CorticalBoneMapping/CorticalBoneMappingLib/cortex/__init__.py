"""Measure thickness, density and mass of the cortex at every point of a surface in a CT."""

from .cortical_map import CorticalMap
from .measure import METHODS, measure_cortex
from .scan.scan import Estimates, Scan
from .settings import CortexSettings

__all__ = ["METHODS", "CortexSettings", "CorticalMap", "Estimates", "Scan", "measure_cortex"]

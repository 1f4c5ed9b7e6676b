"""Cortical bone mapping: thickness, density and mass of the femoral cortex from clinical CT."""

__version__ = "0.2.0"

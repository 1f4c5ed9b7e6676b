"""Find a femur in a CT: detect the hip, fit a shape, refine it to the edge; or read a label map."""

from .mask.periosteal import PeriostealSurface, periosteal_surface

__all__ = ["PeriostealSurface", "periosteal_surface"]

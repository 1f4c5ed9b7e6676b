"""From a label map to the periosteal surface of one bone."""

from .periosteal import PeriostealSurface, periosteal_surface

__all__ = ["PeriostealSurface", "periosteal_surface"]

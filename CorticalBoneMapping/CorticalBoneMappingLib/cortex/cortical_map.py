"""Thickness, density and mass of the cortex at every point of a surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.measures import VertexStatus


@dataclass(frozen=True)
class CorticalMap:
    """Maps over the n points of a surface; not-a-number wherever `quality` is not `Quality.GOOD`.

    Attributes
    ----------
    thickness : ndarray of shape (n,)
        Cortical thickness in mm.
    density : ndarray of shape (n,)
        Cortical density in mg/cm³ (HU without calibration).
    mass_surface_density : ndarray of shape (n,)
        Thickness × density / 10, in mg/cm² (HU·cm without calibration).
    trabecular_density : ndarray of shape (n,)
        Density beside the inner edge.
    residual : ndarray of shape (n,)
        Root mean square difference between profile and model.
    periosteal_offset : ndarray of shape (n,)
        Depth of the outer edge below the given surface in mm; negative where it lies outside.
    quality : ndarray of int8, shape (n,)
        `VertexStatus` of each point.
    used : dict
        Method, settings and what was estimated from the scan; plain numbers and text, for JSON.
    thickness_sd, density_sd, mass_sd, periosteal_offset_sd : ndarray of shape (n,) or None
        Standard deviations of thickness, density, mass surface density and offset, if the method gives them.
    local_thickness : ndarray of shape (n,) or None
        Thickness in mm that each line shows alone, struts and pores beside it and all, if the method
        separates it from the cortex that neighbours share.
    warnings : tuple of str
        What makes the map less certain, one sentence each.
    """

    thickness: np.ndarray
    density: np.ndarray
    mass_surface_density: np.ndarray
    trabecular_density: np.ndarray
    residual: np.ndarray
    periosteal_offset: np.ndarray
    quality: np.ndarray
    used: dict[str, Any]
    thickness_sd: np.ndarray | None = None
    density_sd: np.ndarray | None = None
    mass_sd: np.ndarray | None = None
    periosteal_offset_sd: np.ndarray | None = None
    local_thickness: np.ndarray | None = None
    warnings: tuple[str, ...] = ()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the maps by the names of `measures.MEASURES`, with ``periosteal_offset`` and ``quality``.

        Standard deviations, where there are any, have the name of their measure and ``_sd``.

        Returns
        -------
        dict of str to ndarray of shape (n,)
            float32, ``quality`` int8.
        """
        maps = {
            "cortical_thickness": self.thickness,
            "cortical_density": self.density,
            "cortical_mass_surface_density": self.mass_surface_density,
            "trabecular_density": self.trabecular_density,
            "local_cortical_thickness": self.local_thickness,
            "fit_residual": self.residual,
            "periosteal_offset": self.periosteal_offset,
            "cortical_thickness_sd": self.thickness_sd,
            "cortical_density_sd": self.density_sd,
            "cortical_mass_surface_density_sd": self.mass_sd,
        }
        maps = {name: values for name, values in maps.items() if values is not None}
        return {name: values.astype(np.float32) for name, values in maps.items()} | {"quality": self.quality}

    @property
    def counts(self) -> dict[str, int]:
        """Number of points by `VertexStatus` name, all names."""
        return {kind.name: int(np.count_nonzero(self.quality == kind)) for kind in VertexStatus}

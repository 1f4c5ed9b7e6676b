"""Metal in and about a femur, and where its streaks make the bone's surface uncertain."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..cortex import CortexSettings
from ..surface import Surface
from ..volume import Volume

NEAR_MM = 10.0
"""So far from metal streaks and blooming move the edge of bone."""

_LEAST_CM3 = 0.03  # less is noise, or a speck of calcium


def near_metal(surface: Surface, volume: Volume) -> tuple[np.ndarray, float]:
    """Mark the points of a surface that lie near metal.

    Parameters
    ----------
    surface : Surface
        n points, RAS mm.
    volume : Volume
        CT in HU. What is above `CortexSettings.metal_hu` in pieces of some size is metal.

    Returns
    -------
    near : ndarray of bool, shape (n,)
        Within `NEAR_MM` of metal.
    metal_cm3 : float
        Volume of the metal in the box about the bone, `NEAR_MM` wider than it.
    """
    around = volume.crop(surface.points, NEAR_MM)
    metal = around.array > CortexSettings().metal_hu
    if not metal.any():
        return np.zeros(len(surface.points), dtype=bool), 0.0
    voxel_cm3 = float(np.prod(volume.spacing_mm)) / 1000.0
    numbers, _ = ndimage.label(metal)
    large = np.bincount(numbers.ravel()) * voxel_cm3 >= _LEAST_CM3
    large[0] = False
    places = around.points_of(np.argwhere(large[numbers])[:, ::-1])
    if not len(places):
        return np.zeros(len(surface.points), dtype=bool), 0.0
    distance, _ = cKDTree(places).query(surface.points, distance_upper_bound=NEAR_MM)
    return np.isfinite(distance), len(places) * voxel_cm3

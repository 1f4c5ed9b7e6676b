"""Mark where metal makes the surface of a femur uncertain, and find implants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from ...core.metal import METAL_HU, metal_in
from ...core.surface import Surface
from ...core.volume import Volume

NEAR_MM = 10.0
"""Distance from metal within which streaks and blooming move the edge of bone; chosen by hand."""

_IMPLANT_CM3 = 1.0  # smallest implant; chosen by hand


def near_metal(surface: Surface, volume: Volume) -> tuple[np.ndarray, float]:
    """Mark the points of a surface that lie near metal.

    Parameters
    ----------
    surface : Surface
        n points, RAS mm.
    volume : Volume
        CT in HU. For what is metal, see `metal.metal_in`.

    Returns
    -------
    near : ndarray of bool, shape (n,)
        Within `NEAR_MM` of metal.
    metal_cm3 : float
        Volume of the metal in the box about the bone, `NEAR_MM` wider than it.
    """
    around = volume.crop(surface.points, NEAR_MM)
    places = around.points_of(np.argwhere(metal_in(around))[:, ::-1])
    if not len(places):
        return np.zeros(len(surface.points), dtype=bool), 0.0
    distance, _ = cKDTree(places).query(surface.points, distance_upper_bound=NEAR_MM)
    return np.isfinite(distance), len(places) * float(np.prod(volume.spacing_mm)) / 1000.0


class Implant(NamedTuple):
    """Metal as large as an implant: its volume, and its middle in RAS mm, shape (3,)."""

    metal_cm3: float
    middle: np.ndarray

    def __str__(self) -> str:
        place = ", ".join(f"{axis} {value:.0f}" for axis, value in zip("RAS", self.middle))
        return f"{self.metal_cm3:.1f} cm³ of metal at {place} mm"


def implant_apart(volume: Volume, centres: Sequence[np.ndarray], apart_mm: float) -> Implant | None:
    """Find metal of the size of an implant that does not belong to the given hips.

    Parameters
    ----------
    volume : Volume
        CT in HU.
    centres : sequence of ndarray of shape (3,)
        Of the hips' heads, RAS mm.
    apart_mm : float
        Metal nearer than this to one of them belongs to it.

    Returns
    -------
    Implant or None
    """
    index = np.argwhere(volume.array > METAL_HU)[:, ::-1]
    places = volume.points_of(index)
    for centre in centres:
        places = places[np.linalg.norm(places - centre, axis=1) > apart_mm]
    metal_cm3 = len(places) * float(np.prod(volume.spacing_mm)) / 1000.0
    return Implant(metal_cm3, np.median(places, axis=0)) if metal_cm3 >= _IMPLANT_CM3 else None

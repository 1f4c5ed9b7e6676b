"""Find the flat end where the shaft of a femur was cut."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.surface import Surface
from .frame import Axis

FLAT_MM = 0.6
"""How far points of the end may lie from its plane; chosen by hand, not tuned."""
_ROUNDS = 3


class FlatEnd(NamedTuple):
    """The plane of a cut: its middle, mm, its outward normal, and the highest level of its rim, mm along."""

    middle: np.ndarray
    normal: np.ndarray
    top_mm: float


def flat_end(surface: Surface, axis: Axis, radius_mm: float) -> FlatEnd | None:
    """Find the flat lower end of a shaft.

    Parameters
    ----------
    surface : Surface
        Of a femur, mm.
    axis : Axis
        Of its shaft; it points up.
    radius_mm : float
        Of the shaft.

    Returns
    -------
    FlatEnd or None
        None where the end is rounded or torn, or the bone is whole.
    """
    corners = surface.points[surface.triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing /= np.maximum(2.0 * surface.triangle_areas, 1e-12)[:, None]
    level = axis.along(corners.mean(axis=1))
    at_end = (level < level.min() + 2.0 * radius_mm) & (facing @ axis.direction < -0.6)
    for _ in range(_ROUNDS):
        weights = surface.triangle_areas * at_end
        if weights.sum() < 0.5 * np.pi * radius_mm**2:
            return None
        normal = weights @ facing
        normal /= np.linalg.norm(normal)
        middle = weights @ corners.mean(axis=1) / weights.sum()
        at_end &= (np.abs((corners.mean(axis=1) - middle) @ normal) < 2 * FLAT_MM) & (facing @ normal > 0.9)
    rim = axis.along(corners[at_end].reshape(-1, 3))
    return FlatEnd(middle, normal, float(rim.max(initial=level.min())))

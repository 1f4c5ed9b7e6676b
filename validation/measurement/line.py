"""What a perfect measurement would find along the normals of an imperfect start surface.

A line that leaves the surface askew crosses the cortex askew, and finds it thicker. That part of the error
is due to the surface: every method that takes the lines as they are has it.
"""

from __future__ import annotations

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate

_OUTSIDE_MM, _INSIDE_MM, _STEP_MM = 2.5, 10.0, 0.25


def thickness_along(true: Surface, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Give the true length of cortex along inward lines.

    Parameters
    ----------
    true : Surface
        True periosteal surface with ``cortical_thickness``.
    points, normals : ndarray of shape (n, 3)
        Start and outward direction of each line.

    Returns
    -------
    ndarray of shape (n,)
        mm, between the places where the depth is 0 and where it is the thickness of the closest place, the
        cortex' definition in the simulators; not-a-number where a line misses one of them.
    """
    along = np.arange(-_OUTSIDE_MM, _INSIDE_MM, _STEP_MM)
    places = (points[:, None] - along[:, None] * normals[:, None]).reshape(-1, 3)
    found = closest_points(true, places)
    on_surface, outward = (
        interpolate(true, values, found.triangle, found.weights) for values in (true.points, true.normals)
    )
    depth = np.copysign(found.distance, np.einsum("ij,ij->i", on_surface - places, outward))
    thickness = interpolate(true, "cortical_thickness", found.triangle, found.weights)
    outer, inner = ((depth - level).reshape(len(points), -1) for level in (0.0, thickness))
    return _rises_through_zero(inner, along) - _rises_through_zero(outer, along)


def _rises_through_zero(values: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Where each row of values first rises through 0, by linear interpolation."""
    rises = (values[:, :-1] < 0) & (values[:, 1:] >= 0)
    before = rises.argmax(axis=1)
    row = np.arange(len(values))
    low, high = values[row, before], values[row, before + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        place = along[before] - (along[1] - along[0]) * low / (high - low)
    return np.where(rises.any(axis=1), place, np.nan)

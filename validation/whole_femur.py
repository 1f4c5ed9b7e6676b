"""A whole femur: the simulation's mean shape, on a long shaft with condyles that are turned as one likes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.simulation.hip.femur_shape import axis_at, mean_shape

from .segmentation.errors import signed_distance

CONDYLE_RADIUS_MM = 20.0
_LOW, _HIGH = np.array([-82.0, -40.0, -430.0]), np.array([62.0, 75.0, 34.0])
_SHAFT_TOP, _KNEE = axis_at(-120.0), np.array([4.0, 22.0, -400.0])
_NEAR_MM = 15.0  # where the distance from the mean shape has to be exact
_APART_MM, _BEHIND_MM = 25.0, 14.0  # of the condyles' centres from the middle of the knee


@lru_cache(maxsize=4)
def whole_femur(turned_deg: float = 0.0, spacing_mm: float = 3.0) -> Surface:
    """Mesh a whole right femur.

    Parameters
    ----------
    turned_deg : float
        How far the condyles are turned inward about the shaft, which adds to the anteversion.
    spacing_mm : float
        Of the grid that is meshed.

    Returns
    -------
    Surface
        Closed, RAS mm, in the frame of the simulated femur, 460 mm long.
    """
    axes = [np.arange(start, stop, spacing_mm) for start, stop in zip(_LOW, _HIGH)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    angle = np.radians(turned_deg)
    lateral = np.array([np.cos(angle), np.sin(angle), 0.0])
    backward = np.array([np.sin(angle), -np.cos(angle), 0.0])
    along = np.clip(
        (points - _SHAFT_TOP) @ (_KNEE - _SHAFT_TOP) / np.sum((_KNEE - _SHAFT_TOP) ** 2), 0.0, 1.0
    )
    shaft = np.linalg.norm(points - _SHAFT_TOP - along[..., None] * (_KNEE - _SHAFT_TOP), axis=-1)
    field = np.minimum(_from_mean(points), shaft - 14.0 - 6.0 * along**4)
    field = np.minimum(field, np.linalg.norm(points - _KNEE + 6.0 * backward, axis=-1) - 26.0)
    for sign in (-1.0, 1.0):
        centre = _KNEE + sign * _APART_MM * lateral + _BEHIND_MM * backward
        field = np.minimum(field, np.linalg.norm(points - centre, axis=-1) - CONDYLE_RADIUS_MM)
    matrix = np.diag([spacing_mm] * 3 + [1.0])
    matrix[:3, 3] = _LOW
    return isosurface(-field.transpose(2, 1, 0), matrix, 0.0)


def _from_mean(points: np.ndarray) -> np.ndarray:
    """Distance from the mean shape, mm, negative inside."""
    surface = mean_shape(2.0)
    flat = points.reshape(-1, 3)
    distance = np.full(len(flat), _NEAR_MM)
    low, high = surface.points.min(axis=0) - _NEAR_MM, surface.points.max(axis=0) + _NEAR_MM
    near = ((flat > low) & (flat < high)).all(axis=1)
    distance[near] = signed_distance(surface, flat[near])
    return distance.reshape(points.shape[:-1])

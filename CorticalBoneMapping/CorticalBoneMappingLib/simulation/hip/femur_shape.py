"""The parametric femur's shape: smoothly joined solids, in the frame of the bone.

Frame of a right femur, in mm: the shaft runs along z (superior positive), x is lateral, y anterior, and the
origin lies on the shaft's axis at the height of the head's centre. The sites and sizes of the solids were set
by hand on the published dimensions (`population`) and then adjusted by least squares until the surface lay
about 1 mm from four segmented femurs; nearness to those four is therefore a fit, not a validation.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...core.surface import Surface
from ...mesh.meshing import isosurface

HEAD_CENTRE = np.array([-50.5, 1.5, -1.0])
HEAD_RADIUS_MM = 24.3
NECK_BASE = np.array([0.0, 3.0, -29.0])
SHAFT_AXIS = (np.array([2.0, -2.0, -54.0]), np.array([6.0, -9.0, -190.0]))
LESSER_TROCHANTER_TIP = np.array([-18.8, -29.2, -43.2])
GREATER_TROCHANTER_TIP = np.array([2.8, 1.2, 19.0])
END_Z_MM = -150.0
"""Height of the flat end of the shaft; scans and the average femur end above it."""

_BOX = (np.array([-82.0, -42.0, -156.0]), np.array([34.0, 40.0, 34.0]))
_FOVEA = (np.array([-75.0, -2.0, 2.0]), 5.5)


def signed_distance(points: np.ndarray) -> np.ndarray:
    """Approximate signed distance to the surface of the mean shape.

    Parameters
    ----------
    points : ndarray of shape (..., 3)
        In the frame of the bone, mm.

    Returns
    -------
    ndarray of shape (...)
        Negative inside; exact on the surface, approximate away from it.
    """
    field = _cone(points, *SHAFT_AXIS, 15.5, 14.0, flat=0.86)
    field = _join(field, _cone(points, (-17, 0, -36), (-0.5, -2, -72), 10.0, 12.0), 18.0)  # calcar
    field = _join(field, _ellipsoid(points, (2, 7.5, -19), (16.5, 14.5, 29), (0.31, 0.47, 0.11)), 15.0)
    # Greater trochanter: its body, then the tip that overhangs the trochanteric fossa.
    field = _join(field, _ellipsoid(points, (10.5, 12.5, -6.5), (10.5, 13.5, 20), (0.34, 0.29, -0.57)), 13.0)
    field = _join(field, _ellipsoid(points, (7.5, 3.5, 7.5), (8, 14.5, 11.5), (0.7, 0.6, 0.1)), 11.0)
    field = _join(field, _cone(points, (9, -8, -6), (-6, -12.5, -37), 6.0, 7.5), 22.0)  # crest
    field = _join(
        field, _cone(points, (-6, -14, -52), (-15.5, -23, -43.5), 9.5, 7.0), 16.0
    )  # lesser trochanter
    field = _join(field, _cone(points, (11, -14.5, -47), (5, -8, -92), 5.5, 3.5), 14.0)  # gluteal tuberosity
    field = _join(field, _cone(points, (-48, 4, -2), NECK_BASE, 14.2, 12.2, flat=0.96), 18.0)
    field = _join(field, np.linalg.norm(points - HEAD_CENTRE, axis=-1) - HEAD_RADIUS_MM, 5.0)
    centre, radius = _FOVEA
    field = -_join(-field, np.linalg.norm(points - centre, axis=-1) - radius, 6.0)
    return np.maximum(field, END_Z_MM - points[..., 2])


@lru_cache(maxsize=4)
def mean_shape(spacing_mm: float = 0.8, end_z_mm: float = END_Z_MM) -> Surface:
    """Mesh the mean shape densely.

    Parameters
    ----------
    spacing_mm : float
        Spacing of the grid that is meshed, mm.
    end_z_mm : float
        Height of the flat end of the shaft, mm; not below `END_Z_MM`.

    Returns
    -------
    Surface
        Closed, in the frame of the bone (a right femur).
    """
    low, high = _BOX
    axes = [np.arange(start, stop, spacing_mm) for start, stop in zip(low, high)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    # A plane at a time bounds the memory of the solids' temporaries.
    field = np.stack([signed_distance(plane) for plane in grid])
    field = np.maximum(field, end_z_mm - grid[..., 2])
    matrix = np.diag([spacing_mm] * 3 + [1.0])
    matrix[:3, 3] = low
    return isosurface(-field.transpose(2, 1, 0), matrix, 0.0)


def _join(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    """Unite two solids, rounding the seam over `blend` mm (a cubic smooth minimum)."""
    overlap = np.maximum(blend - np.abs(a - b), 0.0) / blend
    return np.minimum(a, b) - overlap**3 * blend / 6.0


def _cone(
    points: np.ndarray, start: np.ndarray, stop: np.ndarray, r_start: float, r_stop: float, flat: float = 1.0
) -> np.ndarray:
    """Round-ended cone, its section narrowed by `flat` from front to back."""
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    axis = stop - start
    length = np.linalg.norm(axis)
    axis = axis / length
    along = np.clip((points - start) @ axis / length, 0.0, 1.0)
    radial = points - start - (along * length)[..., None] * axis
    if flat != 1.0:
        front = np.array([0.0, 1.0, 0.0]) - axis[1] * axis
        front /= np.linalg.norm(front)
        radial = radial + ((radial @ front) * (1.0 / flat - 1.0))[..., None] * front
    return np.linalg.norm(radial, axis=-1) - (r_start + (r_stop - r_start) * along)


def _ellipsoid(points: np.ndarray, centre: tuple, radii: tuple, angles: tuple) -> np.ndarray:
    """Ellipsoid turned by angles (radians) about x, y, z; first-order distance."""
    local = (points - np.asarray(centre, float)) @ _rotation(*angles).T
    radii = np.asarray(radii, float)
    scaled = np.linalg.norm(local / radii, axis=-1)
    return scaled * (scaled - 1.0) / np.maximum(np.linalg.norm(local / radii**2, axis=-1), 1e-9)


def _rotation(about_x: float, about_y: float, about_z: float) -> np.ndarray:
    (cx, cy, cz), (sx, sy, sz) = (f([about_x, about_y, about_z]) for f in (np.cos, np.sin))
    turn_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turn_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turn_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return turn_x @ turn_y @ turn_z

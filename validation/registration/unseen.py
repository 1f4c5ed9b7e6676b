"""The part of a known displacement that leaves no trace in the shape, so that no registration can find it.

A smooth random field moves the points of a bone across its surface, which changes its shape, and along it,
which may not. Much of what runs along the surface can be known all the same, because the field is smooth: how
the bone around has moved across its surface shows it. What is left was drawn by chance and leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate

PointMap = Callable[[np.ndarray], np.ndarray]
Covariance = Callable[[np.ndarray, np.ndarray], np.ndarray]
SEEN_TO_MM = 0.1
"""How exactly the displacement across the surface is seen, SD."""


def unseen_part(field: PointMap, covariance: Covariance, surface: Surface) -> np.ndarray:
    """Return what of a random field the displacement across a surface does not show.

    The field less its conditional mean (kriging; Rasmussen and Williams 2006, section 2.2), given its
    component along the normal at all points of the surface to `SEEN_TO_MM`. It is what remains for somebody
    who knows the statistics of the field and sees this component apart from all else that differs between two
    bones; a registration knows less.

    Parameters
    ----------
    field : callable
        From points (n, 3) to displacements (n, 3), mm; its components independent with the same covariance.
    covariance : callable
        Of one component, from points (n, 3) and (m, 3) to (n, m), mm².
    surface : Surface
        Where the field is seen, mm; its points at most half the field's shortest length apart.

    Returns
    -------
    ndarray of shape (n_points, 3)
        At the points of the surface, mm.
    """
    points, normals = surface.points, surface.normals
    alike, moved = covariance(points, points), field(points)
    seen = alike * (normals @ normals.T) + SEEN_TO_MM**2 * np.eye(len(points))
    across = np.einsum("ij,ij->i", moved, normals)
    return moved - alike @ (normals * np.linalg.solve(seen, across)[:, None])


def at(surface: Surface, values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return values of a surface's points, shape (n_points, 3), at the places nearest to points, (n, 3)."""
    place = closest_points(surface, points)
    return interpolate(surface, values, place.triangle, place.weights)


def gaussian(length_mm: float, sd_mm: float) -> Covariance:
    """Return the covariance of a field with a Gaussian correlation."""
    return lambda one, other: sd_mm**2 * np.exp(-0.5 * cdist(one, other, "sqeuclidean") / length_mm**2)

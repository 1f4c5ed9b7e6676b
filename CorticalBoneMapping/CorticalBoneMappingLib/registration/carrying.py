"""Values from one mesh to places on it: numbers to second order, labels by majority."""

from __future__ import annotations

import numpy as np

from ..closest import ClosestPoints, interpolate
from ..errors import RegistrationError
from ..surface import Surface


def carry(
    surface: Surface, place: ClosestPoints, covered: np.ndarray, values: np.ndarray, name: str
) -> np.ndarray:
    """Carry values at a surface's vertices to places on it.

    Parameters
    ----------
    surface : Surface
        Whose vertices the values belong to.
    place : ClosestPoints
        Where the values are asked for, n places.
    covered : ndarray of shape (n,)
        Where there is no counterpart, nothing is carried.
    values : ndarray of shape (n_points,) or (n_points, k)
        Numbers, or labels (integers, booleans).
    name : str
        What the surface is, for the error.

    Returns
    -------
    ndarray of shape (n,) or (n, k)
        float64, int64 or bool; missing is not-a-number, -1 or False.

    Raises
    ------
    RegistrationError
        If there is not one value a vertex.
    """
    values = np.asarray(values)
    if len(values) != len(surface.points):
        raise RegistrationError(
            f"There are {len(values)} values for the {len(surface.points)} vertices of the {name}; "
            "they belong to another surface."
        )
    if values.dtype.kind == "b":
        carried, missing = _majority(values, surface.triangles[place.triangle], place.weights), False
    elif values.dtype.kind in "iu":
        labels = values.astype(np.int64)
        carried, missing = _majority(labels, surface.triangles[place.triangle], place.weights), -1
    else:
        carried, missing = _to_second_order(surface, values.astype(np.float64), place), np.nan
    carried[~covered] = missing
    return carried


def _majority(labels: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of the labels at three corners, the one with the greatest sum of weights."""
    at_corners = labels[corners]
    weights = weights.reshape(*weights.shape, *[1] * (labels.ndim - 1))
    same = at_corners[:, :, None] == at_corners[:, None, :]
    best = (same * weights[:, None]).sum(axis=2).argmax(axis=1)
    return np.take_along_axis(at_corners, best[:, None], axis=1)[:, 0]


def _to_second_order(surface: Surface, values: np.ndarray, place: ClosestPoints) -> np.ndarray:
    """Interpolate linearly, and add half of what the gradients at the corners foretell.

    Linear interpolation flattens every hill by half of the curvature that the gradients see from the
    three corners; adding that half makes the result exact for quadratic functions.
    """
    linear = interpolate(surface, values, place.triangle, place.weights)
    corners = surface.triangles[place.triangle]
    offsets = place.points(surface)[:, None, :] - surface.points[corners]
    gradients = _gradients(surface, values)[corners]
    return linear + 0.5 * np.einsum("nc,ncx,ncx...->n...", place.weights, offsets, gradients)


def _gradients(surface: Surface, values: np.ndarray) -> np.ndarray:
    """Area-weighted mean of the gradients in the known triangles of each vertex, shape (n_points, 3[, k])."""
    corners = surface.points[surface.triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice_area = np.linalg.norm(cross, axis=1)
    normals = cross / np.where(twice_area > 0, twice_area, 1.0)[:, None]
    opposite = corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]
    at_corners = values[surface.triangles]
    known = np.isfinite(at_corners).all(axis=1)
    at_corners = np.where(known[:, None], at_corners, 0.0)
    # Twice the area times the gradient of a linear function: the sum of value × (normal × opposite side).
    flux = np.einsum("tcx,tc...->tx...", np.cross(normals[:, None, :], opposite), at_corners)
    shape = (len(surface.points), *values.shape[1:])
    total, area = np.zeros((shape[0], 3, *shape[1:])), np.zeros(shape)
    share = np.where(known, twice_area.reshape(-1, *[1] * (values.ndim - 1)), 0.0)
    for corner in surface.triangles.T:
        np.add.at(total, corner, flux)
        np.add.at(area, corner, share)
    return total / np.where(area > 0, area, 1.0)[:, None]

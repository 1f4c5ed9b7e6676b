"""Where points lie on a surface, and what an array of the surface is worth there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import vtk

from ..core.errors import SurfaceError
from ..core.surface import Surface, to_polydata


class ClosestPoints(NamedTuple):
    """Places on a surface, one a query point.

    Attributes
    ----------
    triangle : ndarray of shape (n,)
        Index of the triangle, int64.
    weights : ndarray of shape (n, 3)
        Barycentric weights of its three corners: none negative, sum 1.
    distance : ndarray of shape (n,)
        From the query point to the place, mm, not negative.
    """

    triangle: np.ndarray
    weights: np.ndarray
    distance: np.ndarray

    def points(self, surface: Surface) -> np.ndarray:
        """Give the places themselves on `surface`, RAS mm, shape (n, 3)."""
        return _blend(surface.points, surface.triangles[self.triangle], self.weights)


def closest_points(surface: Surface, points: np.ndarray) -> ClosestPoints:
    """Find the closest place on a surface to each point, exactly.

    Parameters
    ----------
    surface : Surface
        Need not be closed.
    points : ndarray of shape (n, 3)
        RAS mm.

    Returns
    -------
    ClosestPoints
        Triangle index, barycentric weights and distance of each point.

    Raises
    ------
    SurfaceError
        If the surface has no triangles, or a point is not finite.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    if not len(surface.triangles):
        raise SurfaceError("The surface has no triangles, so no closest point can be found on it.")
    if not np.all(np.isfinite(points)):
        raise SurfaceError("A query point is not finite.")
    triangle, place = _locate(surface, points)
    weights = _barycentric(surface.points[surface.triangles[triangle]], place)
    found = _blend(surface.points, surface.triangles[triangle], weights)
    return ClosestPoints(triangle, weights, np.linalg.norm(points - found, axis=1))


def interpolate(
    surface: Surface, array: np.ndarray | str, triangle: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Interpolate an array linearly at places on a surface.

    Corners that are not-a-number are left out. A place of which less than half the weight lies on
    finite corners becomes not-a-number: it is nearer to missing values than to known ones.

    Parameters
    ----------
    surface : Surface
        Carries the triangles.
    array : ndarray of shape (n_points,) or (n_points, k), or str
        Values at the vertices, or the name of one of the surface's arrays. Labels are not to be
        interpolated: take them at ``surface.triangles[triangle, weights.argmax(axis=1)]``.
    triangle : ndarray of shape (n,)
        Triangle indices, as from `closest_points`.
    weights : ndarray of shape (n, 3)
        Barycentric weights.

    Returns
    -------
    ndarray of shape (n,) or (n, k)
        In the array's unit, float64.

    Raises
    ------
    SurfaceError
        If the surface has no array of that name, or the array is not one value a vertex.
    """
    values = np.asarray(_array_of(surface, array), dtype=np.float64)
    if len(values) != len(surface.points):
        raise SurfaceError(
            f"The array has {len(values)} values and the surface {len(surface.points)} points; "
            "they do not belong together."
        )
    corners = surface.triangles[triangle]
    known = ~np.isnan(values)
    if known.all():
        return _blend(values, corners, weights)
    weight = _blend(known.astype(np.float64), corners, weights)
    total = _blend(np.where(known, values, 0.0), corners, weights)
    enough = weight >= 0.5
    return np.where(enough, total / np.where(enough, weight, 1.0), np.nan)


def _array_of(surface: Surface, array: np.ndarray | str) -> np.ndarray:
    if not isinstance(array, str):
        return array
    if array not in surface.arrays:
        present = ", ".join(sorted(surface.arrays)) or "none"
        raise SurfaceError(f"The surface has no array '{array}'. It has: {present}.")
    return surface.arrays[array]


def _blend(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.einsum("nc,nc...->n...", weights, values[corners])


def _locate(surface: Surface, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangle and closest place of each point.

    VTK has no call for many points at once; one call a point costs 4 µs, less than any search by
    arrays that is as exact for points far from the surface.
    """
    locator = vtk.vtkStaticCellLocator()
    locator.SetDataSet(to_polydata(Surface(surface.points, surface.triangles)))
    locator.BuildLocator()
    cell, cell_id, sub_id = vtk.vtkGenericCell(), vtk.reference(0), vtk.reference(0)
    squared, place = vtk.reference(0.0), [0.0, 0.0, 0.0]
    triangle = np.empty(len(points), dtype=np.int64)
    places = np.empty_like(points)
    for row, point in enumerate(points.tolist()):
        locator.FindClosestPoint(point, place, cell, cell_id, sub_id, squared)
        triangle[row] = cell_id.get()
        places[row] = place
    return triangle, places


def _barycentric(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weights of points that lie in their triangles; rounding is clipped away."""
    along, across = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    offset = points - corners[:, 0]
    aa, bb = np.einsum("ij,ij->i", along, along), np.einsum("ij,ij->i", across, across)
    ab = np.einsum("ij,ij->i", along, across)
    oa, ob = np.einsum("ij,ij->i", offset, along), np.einsum("ij,ij->i", offset, across)
    determinant = aa * bb - ab * ab
    flat = determinant <= 1e-14 * aa * bb  # a triangle without area: fall back on its first corner
    determinant = np.where(flat, 1.0, determinant)
    second = np.where(flat, 0.0, (bb * oa - ab * ob) / determinant)
    third = np.where(flat, 0.0, (aa * ob - ab * oa) / determinant)
    weights = np.clip(np.stack([1.0 - second - third, second, third], axis=1), 0.0, 1.0)
    return weights / weights.sum(axis=1, keepdims=True)

"""Depth of points below a dense closed surface, and the truth at the place closest to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from ...core.surface import Surface

_DEEP_SPACING_MM = 2.5  # of the vertices that the depth far from the cortex is measured to


class Truth(NamedTuple):
    """What is known of some points inside or near a bone.

    Attributes
    ----------
    depth : ndarray of shape (n,)
        Below the periosteal surface in mm, negative outside.
    thickness : ndarray of shape (n,)
        Of the cortex at the closest place, mm.
    cortical_density : ndarray of shape (n,)
        At the closest place, mg/cm³.
    """

    depth: np.ndarray
    thickness: np.ndarray
    cortical_density: np.ndarray


def truth_at(surface: Surface, points: np.ndarray, reach_mm: float, exact_mm: float) -> Truth:
    """Find the depth of points and the truth of the bone's surface at the closest place.

    Near either boundary of the cortex the distance is exact to the triangles around the closest vertex, which
    is the distance to the surface where triangles are near-uniform. Farther away it is that to the closest
    vertex, and farther than `reach_mm` from the surface, where points are assumed inside, to one of few
    vertices, within about 0.3 mm: no boundary is placed there.

    Parameters
    ----------
    surface : Surface
        Closed, near-uniform, with the arrays of a `Bone`.
    points : ndarray of shape (n, 3)
        RAS mm, inside the surface or less than `reach_mm` outside.
    reach_mm : float
        How far outside the surface points may lie.
    exact_mm : float
        How far from both boundaries of the cortex the depth has to be exact.

    Returns
    -------
    Truth
    """
    thickness, density = (
        np.asarray(surface.arrays[name], dtype=np.float64)
        for name in ("cortical_thickness", "cortical_density")
    )
    tree = cKDTree(surface.points)
    depth, vertex = tree.query(points, distance_upper_bound=reach_mm)
    is_far = np.isinf(depth)
    far = np.flatnonzero(is_far)
    # Deep inside, many vertices are equally far and a search among all of them is slow.
    few = _thinned(surface.points, _DEEP_SPACING_MM)
    depth[far], nearest = cKDTree(surface.points[few]).query(points[far])
    vertex[far] = few[nearest]
    outward = np.einsum("ij,ij->i", points - surface.points[vertex], surface.normals[vertex])
    depth[(outward > 0) & ~is_far] *= -1.0
    truth = Truth(depth, thickness[vertex], density[vertex])
    to_inner = np.abs(depth - truth.thickness) - np.where(is_far, _DEEP_SPACING_MM, 0.0)
    exact = np.flatnonzero((np.abs(depth) <= exact_mm) | (to_inner <= exact_mm))
    searched = exact[is_far[exact]]
    vertex[searched] = tree.query(points[searched])[1]
    corners, weights, squared = _closest_place(surface, points[exact], vertex[exact])
    # Close to the surface the closest triangle need not touch the closest vertex: try the next ones too.
    close = np.flatnonzero(squared < surface.mean_spacing_mm**2)
    _, next_ones = tree.query(points[exact[close]], k=[2, 3])
    for column in next_ones.T:
        others = _closest_place(surface, points[exact[close]], column)
        closer = others[2] < squared[close]
        rows = close[closer]
        corners[rows], weights[rows], squared[rows] = (values[closer] for values in others)
    place, normal, t, rho = (
        np.einsum("nc,nc...->n...", weights, values[corners])
        for values in (surface.points, surface.normals, thickness, density)
    )
    offset = place - points[exact]
    below = np.einsum("ij,ij->i", offset, normal)
    truth.depth[exact] = np.copysign(np.linalg.norm(offset, axis=1), below)
    truth.thickness[exact] = t
    truth.cortical_density[exact] = rho
    return truth


def _thinned(points: np.ndarray, spacing: float) -> np.ndarray:
    """Indices of one point in each cube of side `spacing` that holds any."""
    cubes = np.floor((points - points.min(axis=0)) / spacing).astype(np.int64)
    _, first = np.unique(cubes @ [1, 10_000, 100_000_000], return_index=True)
    return first


def _closest_place(
    surface: Surface, points: np.ndarray, vertex: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners and weights (n, 3) of the closest place among the triangles around a vertex, and distance²."""
    around = _triangles_around(surface)
    best = np.full(len(points), np.inf)
    corners, weights = np.zeros((len(points), 3), dtype=np.int64), np.zeros((len(points), 3))
    for column in around.T:  # as many turns as the highest number of triangles around a vertex
        rows = np.flatnonzero(column[vertex] >= 0)
        candidate = surface.triangles[column[vertex[rows]]]
        found, squared = _closest_in_triangle(surface.points[candidate], points[rows])
        closer = squared < best[rows]
        rows = rows[closer]
        best[rows], corners[rows], weights[rows] = squared[closer], candidate[closer], found[closer]
    return corners, weights, best


def _triangles_around(surface: Surface) -> np.ndarray:
    """Triangles around each vertex, -1 beyond the last, shape (n_points, most)."""
    owner = surface.triangles.ravel()
    order = np.argsort(owner, kind="stable")
    count = np.bincount(owner, minlength=len(surface.points))
    position = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    around = np.full((len(surface.points), count.max()), -1, dtype=np.int64)
    around[owner[order], position] = order // 3
    return around


def _closest_in_triangle(corners: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n, 3) of the closest place in a triangle each, and the squared distance (n,)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    bb, cc, bc, pb, pc = (
        np.einsum("ij,ij->i", left, right)
        for left, right in ((ab, ab), (ac, ac), (ab, ac), (ap, ab), (ap, ac))
    )
    area = np.maximum(bb * cc - bc * bc, 1e-30)
    v, w = (cc * pb - bc * pc) / area, (bb * pc - bc * pb) / area
    outside = (v < 0) | (w < 0) | (v + w > 1)
    # Outside the triangle the closest place is on a side: parameters along ab, ac and bc.
    on_ab, on_ac = np.clip(pb / np.maximum(bb, 1e-30), 0, 1), np.clip(pc / np.maximum(cc, 1e-30), 0, 1)
    on_bc = np.clip((pc - pb - bc + bb) / np.maximum(bb + cc - 2 * bc, 1e-30), 0, 1)
    zero = np.zeros_like(v)
    second = np.stack([np.where(outside, np.nan, v), on_ab, zero, 1 - on_bc])
    third = np.stack([np.where(outside, np.nan, w), zero, on_ac, on_bc])
    # |ap - v ab - w ac|² from the products, so that no difference vectors are made
    squared = second**2 * bb + third**2 * cc + 2 * second * third * bc - 2 * (second * pb + third * pc)
    which = np.nanargmin(squared, axis=0)[None]
    v, w, least = (np.take_along_axis(values, which, axis=0)[0] for values in (second, third, squared))
    return np.stack([1 - v - w, v, w], axis=1), least + np.einsum("ij,ij->i", ap, ap)

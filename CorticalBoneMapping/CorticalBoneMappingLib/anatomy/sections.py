"""Plane sections of a surface: their area, centre and outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..surface import Surface


@dataclass(frozen=True)
class Section:
    """One closed outline where a plane cuts a surface.

    Attributes
    ----------
    starts, ends : ndarray of shape (n, 3)
        The outline's segments, RAS mm, in no order; the bone lies to the left of each, seen from where the
        plane's normal points to.
    area_mm2 : float
        Enclosed area.
    centre : ndarray of shape (3,)
        Centroid of the enclosed area, RAS mm.
    """

    starts: np.ndarray
    ends: np.ndarray
    area_mm2: float
    centre: np.ndarray

    def radii(self, origin: np.ndarray, first: np.ndarray, second: np.ndarray, n: int) -> np.ndarray:
        """Give the outline's distance from a point of its plane in `n` directions.

        Parameters
        ----------
        origin : ndarray of shape (3,)
            RAS mm.
        first, second : ndarray of shape (3,)
            Orthogonal unit vectors in the plane; direction k is at 360° k / n from `first` to `second`.
        n : int
            How many directions.

        Returns
        -------
        ndarray of shape (n,)
            mm, interpolated over the angle between corners of the outline.
        """
        arm = self.starts - origin
        x, y = arm @ first, arm @ second
        angle = np.arctan2(y, x)
        order = np.argsort(angle)
        directions = 2 * np.pi * np.arange(n) / n
        return np.interp(directions, angle[order], np.hypot(x, y)[order], period=2 * np.pi)


def section(surface: Surface, point: np.ndarray, normal: np.ndarray) -> Section | None:
    """Cut a surface by a plane and give the outline whose centre is nearest to a point.

    Parameters
    ----------
    surface : Surface
        Closed; RAS mm.
    point : ndarray of shape (3,)
        A point of the plane, mm.
    normal : ndarray of shape (3,)
        Unit vector.

    Returns
    -------
    Section or None
        Of several outlines, that with the nearest centre; None where the plane misses the surface.

    Notes
    -----
    Area and centroid are sums over the segments (Green's theorem), so these need not be put in order.
    """
    height = (surface.points - point) @ normal
    above = height > 0
    crossing = np.flatnonzero(above[surface.triangles].sum(axis=1) % 3)
    if not len(crossing):
        return None
    corners = _turned(surface.triangles[crossing], above)
    starts = _on_edge(surface.points, height, corners[:, 0], corners[:, 1])
    ends = _on_edge(surface.points, height, corners[:, 0], corners[:, 2])
    # One corner above: seen from above, the bone is to the left of the segment from edge 0-1 to edge 0-2.
    below = ~above[corners[:, 0]]
    starts[below], ends[below] = ends[below], starts[below].copy()
    found = [
        _closed(starts[member], ends[member], point, normal)
        for member in _pieces(surface.triangles[crossing], above)
    ]
    found = [outline for outline in found if outline is not None]
    return min(found, key=lambda outline: np.linalg.norm(outline.centre - point), default=None)


def _turned(triangles: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Turn the corners so that the first is alone on its side of the plane."""
    side = above[triangles]
    alone = np.argmax(side != (side.sum(axis=1) >= 2)[:, None], axis=1)
    return np.take_along_axis(triangles, (alone[:, None] + np.arange(3)) % 3, axis=1)


def _on_edge(points: np.ndarray, height: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    share = (height[one] / (height[one] - height[other]))[:, None]
    return points[one] + share * (points[other] - points[one])


def _pieces(triangles: np.ndarray, above: np.ndarray) -> list[np.ndarray]:
    """Group the crossing triangles by outline: neighbours share an edge that crosses the plane."""
    n = len(triangles)
    one, other = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
    crosses = above[one] != above[other]
    one, other = one[crosses], other[crosses]
    keys = np.minimum(one, other) * len(above) + np.maximum(one, other)
    edge = np.unique(keys, return_inverse=True)[1]
    owner = np.repeat(np.arange(n), 3)[crosses]
    graph = sparse.coo_array((np.ones(len(edge)), (owner, n + edge)), shape=(n + int(edge.max()) + 1,) * 2)
    label = connected_components(graph, directed=False)[1][:n]
    return [np.flatnonzero(label == one) for one in np.unique(label)]


def _closed(starts: np.ndarray, ends: np.ndarray, point: np.ndarray, normal: np.ndarray) -> Section | None:
    a, b = starts - point, ends - point
    twice = np.cross(a, b) @ normal
    area = 0.5 * twice.sum()
    if abs(area) < 1e-6:
        return None
    centre = point + ((a + b) * twice[:, None]).sum(axis=0) / (6.0 * area)
    return Section(starts, ends, float(abs(area)), centre)

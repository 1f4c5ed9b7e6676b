"""Plane sections of a surface: their area, centre and outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.surface import Surface
from ..mesh.topology import connected


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
        """Return the outline's distance from a point of its plane in `n` directions.

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


def sections(surface: Surface, points: np.ndarray, normal: np.ndarray) -> list[Section | None]:
    """Cut a surface by parallel planes.

    Parameters
    ----------
    surface : Surface
        Closed; mm.
    points : ndarray of shape (n, 3)
        A point of each plane, mm.
    normal : ndarray of shape (3,)
        Unit vector.

    Returns
    -------
    list of Section or None
        Of a plane's outlines, that whose centre is nearest to its point; None where the plane misses the
        surface.

    Notes
    -----
    Area and centroid are sums over the segments (Green's theorem), so these need not be put in order.
    """
    height = surface.points @ normal
    first, second, third = (height[corner] for corner in surface.triangles.T)
    low = np.minimum(np.minimum(first, second), third)
    high = np.maximum(np.maximum(first, second), third)
    cuts = []
    for point in np.atleast_2d(points):
        level = point @ normal
        crossing = np.flatnonzero((low <= level) & (high > level))
        cuts.append(_section(surface, surface.triangles[crossing], height - level, point, normal))
    return cuts


def _section(
    surface: Surface, triangles: np.ndarray, height: np.ndarray, point: np.ndarray, normal: np.ndarray
) -> Section | None:
    """The outline nearest to a point, of the triangles that cross its plane."""
    if not len(triangles):
        return None
    corners = _turned(triangles, height[triangles] > 0)
    starts = _on_edge(surface.points, height, corners[:, 0], corners[:, 1])
    ends = _on_edge(surface.points, height, corners[:, 0], corners[:, 2])
    # One corner above: seen from above, the bone is to the left of the segment from edge 0-1 to edge 0-2.
    below = height[corners[:, 0]] <= 0
    starts[below], ends[below] = ends[below], starts[below].copy()
    found = [_closed(starts[part], ends[part], point, normal) for part in _pieces(corners, len(height))]
    found = [outline for outline in found if outline is not None]
    return min(found, key=lambda outline: np.linalg.norm(outline.centre - point), default=None)


def _turned(triangles: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Turn the corners so that the first is alone on its side of the plane."""
    alone = np.argmax(above != (above.sum(axis=1) >= 2)[:, None], axis=1)
    return np.take_along_axis(triangles, (alone[:, None] + np.arange(3)) % 3, axis=1)


def _on_edge(points: np.ndarray, height: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    share = (height[one] / (height[one] - height[other]))[:, None]
    return points[one] + share * (points[other] - points[one])


def _pieces(corners: np.ndarray, n_points: int) -> list[np.ndarray]:
    """Group triangles by outline: neighbours share an edge that crosses the plane, 0-1 or 0-2 of both."""
    n = len(corners)
    one, other = np.tile(corners[:, 0], 2), np.concatenate([corners[:, 1], corners[:, 2]])
    edge = np.unique(np.minimum(one, other) * n_points + np.maximum(one, other), return_inverse=True)[1]
    owner = np.tile(np.arange(n), 2)
    label = connected(owner, n + edge, n + int(edge.max()) + 1)[:n]
    return [np.flatnonzero(label == one) for one in np.unique(label)]


def _closed(starts: np.ndarray, ends: np.ndarray, point: np.ndarray, normal: np.ndarray) -> Section | None:
    a, b = starts - point, ends - point
    twice = np.cross(a, b) @ normal
    area = 0.5 * twice.sum()
    if abs(area) < 1e-6:
        return None
    centre = point + ((a + b) * twice[:, None]).sum(axis=0) / (6.0 * area)
    return Section(starts, ends, float(abs(area)), centre)

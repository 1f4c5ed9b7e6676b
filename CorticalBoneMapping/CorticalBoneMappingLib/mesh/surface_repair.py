"""A surface as people bring it, made one closed piece that looks outward; what was wrong with it is reported.

Every room that is handed a surface from outside repairs it here, so that none refuses what another takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from ..core.errors import SurfaceError
from ..core.surface import Surface
from .topology import connected, pieces

_MOST_OPEN = 0.12  # of the area: an open shaft end has about 0.04, a head sawn off as much
_MOST_HOLES = 20
_MOST_SHARED = 0.01  # of the edges may have more than two triangles
_FLAT_MM, _BEYOND_MM = 1.5, 3.0
_NARROWEST_MM = 9.0  # mean radius of a border that may be a cut through a grown-up's shaft or neck


@dataclass(frozen=True)
class Repaired:
    """A surface made fit to be measured.

    Attributes
    ----------
    given : Surface
        The vertices and arrays as they came, n of them; the triangles of its largest piece, looking outward.
    filled : Surface
        The same without arrays, with one more vertex in the middle of each open border: closed. Vertices
        before the n-th are those of `given`.
    borders : tuple of ndarray of shape (n_edges, 2)
        The edges of each border that was filled.
    n_holes : int
        How many of them are not the open end of a cut bone.
    warnings : tuple of str
        What was repaired, except holes.
    """

    given: Surface
    filled: Surface
    borders: tuple[np.ndarray, ...]
    n_holes: int
    warnings: tuple[str, ...]

    @property
    def closed(self) -> Surface:
        """The closed surface without vertices that have no triangle, and without arrays."""
        used, triangles = np.unique(self.filled.triangles, return_inverse=True)
        return Surface(self.filled.points[used], triangles.reshape(-1, 3))

    @property
    def piece(self) -> Surface:
        """The given surface with its arrays, without vertices that have no triangle."""
        used, triangles = np.unique(self.given.triangles, return_inverse=True)
        if len(used) == len(self.given.points):
            return self.given
        arrays = {name: values[used] for name, values in self.given.arrays.items()}
        return replace(
            self.given, points=self.given.points[used], triangles=triangles.reshape(-1, 3), arrays=arrays
        )

    @property
    def is_as_given(self) -> bool:
        """Whether there was nothing to repair."""
        return not self.warnings and not self.borders


def repaired(surface: Surface) -> Repaired:
    """Make a surface one closed piece whose triangles look outward.

    Vertices in one place become one, triangles are turned the way of their neighbours, the largest piece is
    kept, open borders are filled, and a surface that is inside out is turned.

    Parameters
    ----------
    surface : Surface
        Of one bone, RAS mm.

    Returns
    -------
    Repaired

    Raises
    ------
    SurfaceError
        If its points are not finite, it has no triangles, or it is too open or too tangled.
    """
    if not np.all(np.isfinite(surface.points)):
        raise SurfaceError("Some points of the surface are not finite numbers.")
    if not len(surface.triangles):
        raise SurfaceError("The surface has no triangles.")
    triangles, turned = _one_way_round(_one_bone(_joined(surface), surface), surface)
    corner, borders = _fillings(triangles, len(surface.points))
    middles = [surface.points[np.unique(edges)].mean(axis=0) for edges in borders]
    filled = Surface(
        np.concatenate([surface.points, *[middle[None] for middle in middles]]),
        np.concatenate([triangles, corner]),
    )
    n_holes = _checked_holes(filled, len(triangles), borders, middles)
    warnings = [*_warnings_of_pieces(surface, triangles), *turned]
    if filled.volume_mm3 <= 0:
        triangles, filled = (
            triangles[:, ::-1].copy(),
            replace(filled, triangles=filled.triangles[:, ::-1].copy()),
        )
        warnings.append("The triangles of the surface were oriented inward; they were reversed.")
    same = len(triangles) == len(surface.triangles) and np.array_equal(triangles, surface.triangles)
    given = surface if same else replace(surface, triangles=triangles)
    return Repaired(given, filled, tuple(borders), n_holes, tuple(warnings))


def _joined(surface: Surface) -> np.ndarray:
    """Triangles on the first of all vertices in one place, without those that are a line or come twice."""
    _, first, which = np.unique(surface.points, axis=0, return_index=True, return_inverse=True)
    triangles = surface.triangles
    if len(first) < len(surface.points):
        triangles = first[which.ravel()][triangles]
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    _, once = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    return triangles[np.sort(once)]


def _one_bone(triangles: np.ndarray, surface: Surface) -> np.ndarray:
    """The piece of the greatest area."""
    piece = pieces(triangles, len(surface.points))[triangles[:, 0]]
    areas = np.bincount(piece, weights=Surface(surface.points, triangles).triangle_areas)
    return triangles[piece == areas.argmax()]


def _warnings_of_pieces(surface: Surface, triangles: np.ndarray) -> list[str]:
    before = float(surface.triangle_areas.sum())
    left_out = 1.0 - float(Surface(surface.points, triangles).triangle_areas.sum()) / before
    if left_out < 1e-3:
        return []
    return [f"Separate pieces of the surface, {left_out:.1%} of its area, were left out."]


def _directed(triangles: np.ndarray, n_points: int) -> sparse.csr_array:
    """How often an edge is gone along from one vertex to another, less how often backward."""
    start, stop = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    ways = sparse.csr_array((np.ones(len(start)), (start, stop)), shape=(n_points, n_points))
    return ways - ways.T


def _one_way_round(triangles: np.ndarray, surface: Surface) -> tuple[np.ndarray, list[str]]:
    """Turn triangles until all neighbours go round the same way; refuse a tangle."""
    n = len(surface.points)
    start, stop = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    ones = np.ones(len(start))
    shared = sparse.csr_array((ones, (np.minimum(start, stop), np.maximum(start, stop))), shape=(n, n)).data
    tangled = int((shared > 2).sum())
    if tangled > _MOST_SHARED * len(shared):
        raise SurfaceError(
            f"At {tangled} edges of the surface more than two triangles meet. Make the surface again from "
            "the segmentation."
        )
    notes = [f"At {tangled} edges of the surface more than two triangles meet."] if tangled else []
    if not (np.abs(_directed(triangles, n).data) > 1).any():
        return triangles, notes
    turned = _consistent(triangles, n)
    return turned, [*notes, "Some triangles of the surface were oriented the other way; they were reversed."]


def _consistent(triangles: np.ndarray, n_points: int) -> np.ndarray:
    """Turn triangles so that two that share an edge go along it in opposite ways.

    Each triangle is there twice, as it is and turned; what goes together is linked, and of the two halves
    into which the links then fall, one is taken.
    """
    m = len(triangles)
    start, stop = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    edge = np.minimum(start, stop) * n_points + np.maximum(start, stop)
    order = np.argsort(edge, kind="stable")
    same = edge[order][1:] == edge[order][:-1]
    one, other = order[:-1][same], order[1:][same]
    alike = start[one] != start[other]  # the edge is gone along both ways: neither is turned, or both are
    one, other = one // 3, other // 3
    a = np.concatenate([one, one + m])
    b = np.concatenate([np.where(alike, other, other + m), np.where(alike, other + m, other)])
    half = connected(a, b, 2 * m)
    if half[0] == half[m]:
        raise SurfaceError(
            "The triangles of the surface have no outside. Make the surface again from the segmentation."
        )
    turned = half[:m] != half[0]
    return np.where(turned[:, None], triangles[:, ::-1], triangles)


def _fillings(triangles: np.ndarray, n_points: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Triangles from each connected border to a new vertex in its middle, and the borders' edges."""
    ways = _directed(triangles, n_points).tocoo()
    free = np.stack([ways.col, ways.row], axis=1)[ways.data > 0]  # a filling goes along it the other way
    if not len(free):
        return np.empty((0, 3), dtype=np.int64), []
    which = connected(free[:, 0], free[:, 1], n_points)[free[:, 0]]
    labels, which = np.unique(which, return_inverse=True)
    corner = np.concatenate([free, n_points + which[:, None]], axis=1).astype(np.int64)
    return corner, [free[which == label] for label in range(len(labels))]


def _checked_holes(
    filled: Surface, n_triangles: int, borders: list[np.ndarray], middles: list[np.ndarray]
) -> int:
    """Refuse a surface that is mostly open; count the holes that are not the open end of a cut bone."""
    areas = filled.triangle_areas
    share = areas[n_triangles:].sum() / areas.sum()
    if share > _MOST_OPEN or len(borders) > _MOST_HOLES:
        raise SurfaceError(
            f"The surface of the femur is open: {len(borders)} holes or free borders make up {share:.0%} of "
            "it. Close it, for example by making it again from the segmentation."
        )
    return sum(not _is_open_end(filled.points, edges, middle) for edges, middle in zip(borders, middles))


def _is_open_end(points: np.ndarray, edges: np.ndarray, middle: np.ndarray) -> bool:
    """Whether a border is flat, as wide as a bone, and the whole bone lies on one side of it.

    A hole in the top of a trochanter has the whole bone on one side as well, but no bone is so narrow.
    """
    ring = points[np.unique(edges)] - middle
    if np.linalg.norm(ring, axis=1).mean() < _NARROWEST_MM:
        return False
    normal = np.linalg.svd(ring, full_matrices=False)[2][-1]
    height = (points - middle) @ normal
    return bool(np.abs(ring @ normal).max() < _FLAT_MM and min(height.max(), -height.min()) < _BEYOND_MM)

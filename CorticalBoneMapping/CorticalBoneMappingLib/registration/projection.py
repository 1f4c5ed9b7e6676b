"""Projection of the smoothly deformed average onto the surface itself, without folded triangles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from ..core.surface import Surface
from ..mesh.closest import closest_points, interpolate
from ..mesh.topology import adjacency
from .cut_ends import cut_end_of, widened
from .pairs import LEAST_COSINE

# Chosen by hand; not tuned.
_SPREADS = (8.0, 0.5, 0.01)  # squared reach of the smoothing in edges, ever shorter
_REACH_MM = 4.0  # a vertex farther away than this has no counterpart
_UNFOLDINGS = 8  # attempts to open folded triangles


def project(
    smooth: Surface, subject: Surface, average: Surface, first: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Move a smoothly deformed average onto the subject's surface.

    Each vertex goes towards its closest place on the surface; the displacements are smoothed over
    the mesh, ever less. Vertices without counterpart follow their neighbours. Triangles that fold
    are smoothed open again.

    Parameters
    ----------
    smooth : Surface
        The average's vertices after the smooth deformation.
    subject : Surface
        In the same pose.
    average : Surface
        Its triangles before, to recognise folded ones.
    first : tuple of ndarray
        What `counterparts` found for `smooth`.

    Returns
    -------
    ndarray of shape (n_average, 3)
        mm.
    """
    laplacian = _graph_laplacian(average)
    points, found = smooth.points, first
    for spread in _SPREADS:
        points = points + _smoothed(
            *(found or counterparts(replace(smooth, points=points), subject)), laplacian, spread
        )
        found = None
    for attempt in range(_UNFOLDINGS):
        folded = folded_triangles(Surface(points, smooth.triangles), average)
        if not folded.any():
            break
        points = _evened(points, _around(smooth, folded, n_rings=2 + attempt), laplacian)
        if attempt < _UNFOLDINGS // 2:  # where the surface itself is folded, stay a little off it
            points = points + _smoothed(
                *counterparts(replace(smooth, points=points), subject), laplacian, spread=0.5
            )
    return points


def _smoothed(there: np.ndarray, step: np.ndarray, laplacian: sparse.csr_array, spread: float) -> np.ndarray:
    """Displacements to the closest places, smoothed; without a place a vertex follows its neighbours."""
    weights = there.astype(np.float64)
    system = sparse.diags(weights + 1e-6) + spread * laplacian
    factor = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return factor.solve(weights[:, None] * step)


def counterparts(surface: Surface, subject: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Find which vertices have a counterpart on the subject, and how far it is.

    Parameters
    ----------
    surface : Surface
        The average's mesh, near the subject; with ``cut_end``.
    subject : Surface
        In the same pose; with ``cut_end``.

    Returns
    -------
    there : ndarray of shape (n_average,)
        False on and beyond cut ends, and where the surfaces are far apart or turned apart.
    step : ndarray of shape (n_average, 3)
        From each vertex to its closest place, mm.
    """
    place = closest_points(subject, surface.points)
    at_cut = widened(subject, cut_end_of(subject))[subject.triangles[place.triangle]].any(axis=1)
    normals = interpolate(subject, subject.normals, place.triangle, place.weights)
    alike = np.einsum("ij,ij->i", normals, surface.normals) > LEAST_COSINE
    there = alike & ~at_cut & (place.distance < _REACH_MM) & ~cut_end_of(surface)
    return there, place.points(subject) - surface.points


def folded_triangles(surface: Surface, average: Surface) -> np.ndarray:
    """Return which triangles look more than 90° away from where they look on the posed average.

    Parameters
    ----------
    surface, average : Surface
        The same mesh, deformed and not, in one pose.

    Returns
    -------
    ndarray of shape (n_triangles,)
    """
    corners, before = surface.points[surface.triangles], average.points[average.triangles]
    now = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    then = np.cross(before[:, 1] - before[:, 0], before[:, 2] - before[:, 0])
    return np.einsum("ij,ij->i", now, then) <= 0.0


def _around(surface: Surface, triangles: np.ndarray, n_rings: int) -> np.ndarray:
    marked = np.zeros(len(surface.points), dtype=bool)
    marked[surface.triangles[triangles]] = True
    for _ in range(n_rings):
        marked = widened(surface, marked)
    return marked


def _evened(points: np.ndarray, free: np.ndarray, laplacian: sparse.csr_array) -> np.ndarray:
    """Put the free vertices where each is the mean of its neighbours (Tutte's embedding of a patch)."""
    points = points.copy()
    inner, outer = laplacian[free][:, free], laplacian[free][:, ~free]
    points[free] = splu(inner.tocsc()).solve(-(outer @ points[~free]))
    return points


def _graph_laplacian(surface: Surface) -> sparse.csr_array:
    """Degree minus adjacency, shape (n_points, n_points)."""
    neighbours = adjacency(surface.edges, len(surface.points))
    return sparse.csr_array(sparse.diags(neighbours.sum(axis=1)) - neighbours)

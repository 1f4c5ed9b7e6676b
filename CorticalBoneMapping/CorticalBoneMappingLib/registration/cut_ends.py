"""Flat ends where a bone was cut off: they are not anatomy and have no counterpart."""

from __future__ import annotations

import numpy as np

from ..core.surface import Surface
from ..mesh.topology import connected

CUT_END_ARRAY = "cut_end"
# Chosen by hand, not tuned, where no origin is given.
_N_SEEDS = 300
_FLATNESS_MM = 0.35  # of a cut
_BEYOND_MM = 0.8  # of the bone that may stick out through the plane of a cut
# Contact area of a supporting plane over (volume/area)², measured: a cut shaft has 5 to 20, bone itself
# rarely 4.
_CONTACT = 4.5
_LEAST_SPREAD = 0.56  # standard deviation of the contact, the narrow way, over (volume/area)
# The smooth back of a real femur between its trochanters touches a plane over as much as a cut does, but is
# not as flat: there 0.155 mm and 5.3° root mean square or more, on cuts of the thirteen people's femurs (the
# average cut short, m3, m4, vhf, vifm) at most 0.07 mm and 3.0°.
_LEAST_CURVED_MM, _LEAST_CURVED_COSINE = 0.12, 0.9968
# Hardly any seed lies this far beyond the plane of one on a cut, which may look 10° askew.
_ASKEW_MM, _MOST_BEYOND = 6.0, 0.02
_SAME_WAY, _ROUGHLY_SAME_WAY = 0.985, 0.8  # cosines: 10° to find a cut, 37° to take its rounded rim along


def cut_end_of(surface: Surface) -> np.ndarray:
    """Return which vertices lie on a cut end.

    The array ``cut_end`` of the surface is used if it has one. Otherwise a cut is a plane that has the
    whole bone on one side and touches it over an area: bone itself is never that flat.

    Parameters
    ----------
    surface : Surface
        Closed.

    Returns
    -------
    ndarray of shape (n_points,)
        True on cut ends.
    """
    if CUT_END_ARRAY in surface.arrays:
        return np.asarray(surface.arrays[CUT_END_ARRAY]) == 1
    # Triangles, not vertices: a coarse cap may have vertices on its rim only.
    corners = (surface.points - surface.points.mean(axis=0)).astype(np.float32)[surface.triangles]
    areas = surface.triangle_areas.astype(np.float32)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = cross / np.maximum(2.0 * areas, 1e-12)[:, None]
    centres, size = corners.mean(axis=1), mean_size_mm(surface)
    seeds = thinned(centres, np.sqrt(areas.sum() / _N_SEEDS))
    normals, points = _outermost(centres[seeds], facing[seeds])
    for _ in range(2):  # a seed near the rim looks askew; its neighbours on the plane put it right
        weights = _touching(centres, facing, normals, points, _SAME_WAY) * areas[:, None]
        large = weights.sum(axis=0) > 0.3 * _CONTACT * size**2
        weights = weights[:, large] / weights[:, large].sum(axis=0)
        normals, points = weights.T @ facing, weights.T @ centres
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    beyond = (corners.reshape(-1, 3) @ normals.T - (normals * points).sum(axis=1)).max(axis=0, initial=0.0)
    touching = _touching(centres, facing, normals, points, _SAME_WAY)
    on_cut = np.zeros(len(facing), dtype=bool)
    for plane in np.flatnonzero((beyond < _BEYOND_MM) & ~touching[on_cut].any(axis=0)):
        if _is_disc(corners[touching[:, plane]], areas[touching[:, plane]], size):
            on_cut |= _touching(centres, facing, normals[[plane]], points[[plane]], _ROUGHLY_SAME_WAY)[:, 0]
    marked = np.zeros(len(surface.points), dtype=bool)
    marked[surface.triangles[on_cut]] = True
    return marked


def with_cut_ends(surface: Surface) -> Surface:
    """Return the bare surface with its cut ends marked in ``cut_end``; find them if they are not."""
    if list(surface.arrays) == [CUT_END_ARRAY]:
        return surface
    return Surface(surface.points, surface.triangles, {CUT_END_ARRAY: cut_end_of(surface).astype(np.uint8)})


def _outermost(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals and points of the seeds whose plane has nearly all the others behind it, as on a cut."""
    height = points @ normals.T - (normals * points).sum(axis=1)
    kept = (height > _ASKEW_MM).mean(axis=0) < _MOST_BEYOND
    return normals[kept], points[kept]


def _touching(
    centres: np.ndarray, facing: np.ndarray, normals: np.ndarray, points: np.ndarray, cosine: float
) -> np.ndarray:
    """Which triangles lie on which plane and look its way, shape (n_triangles, n_planes)."""
    height = centres @ normals.T - (normals * points).sum(axis=1)
    return (np.abs(height) < _FLATNESS_MM) & (facing @ normals.T > cosine)


def _is_disc(corners: np.ndarray, areas: np.ndarray, size: float) -> bool:
    """Whether the contact is large both ways: a plane along a shaft touches it in a narrow strip."""
    if areas.sum() < _CONTACT * size**2:
        return False
    spread = np.linalg.eigvalsh(np.cov(corners.reshape(-1, 3).T, aweights=np.repeat(areas, 3)))
    return bool(np.sqrt(spread[1]) > _LEAST_SPREAD * size) and not _is_curved(corners, areas)


def _is_curved(corners: np.ndarray, areas: np.ndarray) -> bool:
    """Whether the contact bends away from its own plane, as bone does and a cut does not."""
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-12)
    normal = areas @ facing
    normal = normal / np.linalg.norm(normal)
    height = corners.mean(axis=1) @ normal
    off = np.sqrt(np.average((height - np.average(height, weights=areas)) ** 2, weights=areas))
    return bool(off > _LEAST_CURVED_MM and np.average(facing @ normal, weights=areas) < _LEAST_CURVED_COSINE)


def cut_end_planes(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Return the planes of the cut ends, beyond which the bone went on.

    Parameters
    ----------
    surface : Surface
        Closed.

    Returns
    -------
    points : ndarray of shape (n_planes, 3)
        The middle of each cut, mm.
    normals : ndarray of shape (n_planes, 3)
        Outward unit normals. Cuts with bone on both sides of their plane are left out.
    """
    cut = cut_end_of(surface)
    inside = surface.edges[cut[surface.edges].all(axis=1)]
    n = len(surface.points)
    patch = connected(inside[:, 0], inside[:, 1], n)
    points, normals = [], []
    for label in np.unique(patch[cut]):
        weights = surface.point_areas * (patch == label)
        point = weights @ surface.points / weights.sum()
        normal = weights @ surface.normals
        normal /= np.linalg.norm(normal)
        if weights.sum() > mean_size_mm(surface) ** 2 and np.all((surface.points - point) @ normal < 3.0):
            points.append(point)
            normals.append(normal)
    return np.reshape(points, (-1, 3)), np.reshape(normals, (-1, 3))


def mean_size_mm(surface: Surface) -> float:
    """Return volume over area, mm: a size that hardly depends on where the shaft is cut."""
    return surface.volume_mm3 / float(surface.triangle_areas.sum())


def thinned(points: np.ndarray, width: float) -> np.ndarray:
    """Choose one point of every cube of a grid.

    The grid lies along the points' own principal axes, so that the same bone gives the same choice
    in any pose.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)
        mm.
    width : float
        Of a cube, mm.

    Returns
    -------
    ndarray of shape (n_chosen,)
        Indices, ascending.
    """
    cells = np.floor((points - points.mean(axis=0)) @ principal_axes(points) / width).astype(np.int64)
    low, high = cells.min(axis=0), cells.max(axis=0)
    numbers = np.ravel_multi_index(tuple((cells - low).T), high - low + 1)
    return np.sort(np.unique(numbers, return_index=True)[1])


def principal_axes(points: np.ndarray) -> np.ndarray:
    """Return the principal axes as columns, the longest first, right-handed, shape (3, 3).

    Each points to where the points reach farther, as far as a right-handed system allows.
    """
    away = points - points.mean(axis=0)
    axes = np.linalg.eigh(away.T @ away)[1][:, ::-1]
    axes = axes * np.where(((away @ axes) ** 3).sum(axis=0) < 0, -1.0, 1.0)
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    return axes


def widened(surface: Surface, marked: np.ndarray) -> np.ndarray:
    """Widen a mark by one ring of neighbours, shape (n_points,)."""
    wider = marked.copy()
    wider[surface.triangles[marked[surface.triangles].any(axis=1)]] = True
    return wider

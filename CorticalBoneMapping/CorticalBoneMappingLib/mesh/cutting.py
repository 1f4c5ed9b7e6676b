"""Cut a closed surface by a plane, and close it again with a flat end of small triangles."""

from __future__ import annotations

import numpy as np
import vtk

from ..core.errors import SurfaceError
from ..core.surface import Surface, from_polydata, to_polydata
from .topology import pieces

_MERGED_MM = 1e-3  # a cut through a vertex leaves triangles without area


def cut_flat(surface: Surface, point: np.ndarray, normal: np.ndarray, spacing_mm: float) -> Surface:
    """Cut off what lies beyond a plane.

    Parameters
    ----------
    surface : Surface
        Closed. Its arrays are not carried.
    point : ndarray of shape (3,)
        Of the plane, mm.
    normal : ndarray of shape (3,)
        Unit normal that looks away from the part that is kept.
    spacing_mm : float
        About how far apart the vertices of the flat end lie, mm.

    Returns
    -------
    Surface
        Closed: the largest piece, with a flat end; as it came if the plane does not meet it.

    Raises
    ------
    SurfaceError
        If nothing lies before the plane, or the cut has more than one outline.
    """
    beyond = (surface.points - point) @ normal
    if (beyond < 0).sum() < 3:
        raise SurfaceError("The plane of the cut leaves nothing of the surface.")
    if (beyond <= 0).all():
        return surface
    kept = _clipped(surface, point, normal)
    loop = _outline(kept)
    points, triangles = _lid(kept.points, loop, normal, spacing_mm)
    return Surface(np.concatenate([kept.points, points]), np.concatenate([kept.triangles, triangles]))


def _clipped(surface: Surface, point: np.ndarray, normal: np.ndarray) -> Surface:
    """The largest piece before the plane, open."""
    plane = vtk.vtkPlane()
    plane.SetOrigin(*point)
    plane.SetNormal(*-np.asarray(normal))
    clip = vtk.vtkClipPolyData()
    clip.SetInputData(to_polydata(Surface(surface.points, surface.triangles)))
    clip.SetClipFunction(plane)
    merge = vtk.vtkCleanPolyData()
    merge.SetInputConnection(clip.GetOutputPort())
    merge.SetAbsoluteTolerance(_MERGED_MM)
    merge.ToleranceIsAbsoluteOn()
    merge.PointMergingOn()
    merge.ConvertPolysToLinesOff()
    merge.Update()
    clipped = from_polydata(merge.GetOutput())
    corners = clipped.triangles
    whole = (corners[:, [0, 1, 2]] != corners[:, [1, 2, 0]]).all(axis=1)
    corners = corners[whole]
    part = pieces(corners, len(clipped.points))
    corners = corners[part[corners[:, 0]] == np.bincount(part[corners[:, 0]]).argmax()]
    used, renumbered = np.unique(corners, return_inverse=True)
    return Surface(clipped.points[used], renumbered.reshape(-1, 3))


def _outline(surface: Surface) -> np.ndarray:
    """Vertices of the one open border in order, as its triangles run along it."""
    half_edges = surface.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    number = len(surface.points)
    keys = half_edges @ [number, 1]
    border = half_edges[~np.isin(keys, half_edges @ [1, number])]
    following = dict(border.tolist())
    loop = [int(border[0, 0])]
    while (after := following.get(loop[-1], loop[0])) != loop[0]:
        loop.append(after)
    if len(loop) != len(border):
        raise SurfaceError("The plane of the cut meets the surface in more than one outline.")
    return np.array(loop)


def _lid(
    points: np.ndarray, loop: np.ndarray, normal: np.ndarray, spacing_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """New points and triangles of rings that shrink to the middle of an outline."""
    rim, count = points[loop], len(loop)
    middle = rim.mean(axis=0)
    n_rings = max(int(np.linalg.norm(rim - middle, axis=1).mean() / spacing_mm), 1)
    shares = np.arange(n_rings - 1, 0, -1) / n_rings
    inner = (middle + shares[:, None, None] * (rim - middle)).reshape(-1, 3)
    new = len(points) + np.arange(len(inner)).reshape(-1, count)
    rings = np.concatenate([loop[None], new])
    outer, inside = rings[:-1].ravel(), rings[1:].ravel()
    outer_next, inside_next = np.roll(rings[:-1], -1, axis=1).ravel(), np.roll(rings[1:], -1, axis=1).ravel()
    last = np.full(count, len(points) + len(inner))
    # Along the border the lid's triangles run the other way round than the bone's.
    triangles = np.concatenate(
        [
            np.stack([outer_next, outer, inside], axis=1),
            np.stack([outer_next, inside, inside_next], axis=1),
            np.stack([np.roll(rings[-1], -1), rings[-1], last], axis=1),
        ]
    )
    return np.concatenate([inner, middle[None]]), triangles

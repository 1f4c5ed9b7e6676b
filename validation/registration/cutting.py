"""A bone cut off by a plane and closed with a flat end, as by the border of a scan."""

from __future__ import annotations

import numpy as np
import vtk

from CorticalBoneMappingLib.core.surface import Surface, from_polydata, to_polydata
from CorticalBoneMappingLib.mesh.topology import pieces


def cut_off(surface: Surface, point: np.ndarray, normal: np.ndarray) -> Surface:
    """Remove what lies beyond a plane.

    Parameters
    ----------
    surface : Surface
        Closed.
    point : ndarray of shape (3,)
        On the plane, mm.
    normal : ndarray of shape (3,)
        To the side that goes.

    Returns
    -------
    Surface
        Closed by a flat end; without arrays.
    """
    plane = vtk.vtkPlane()
    plane.SetOrigin(*point)
    plane.SetNormal(*(-np.asarray(normal)))
    planes = vtk.vtkPlaneCollection()
    planes.AddItem(plane)
    clip = vtk.vtkClipClosedSurface()
    clip.SetInputData(to_polydata(Surface(surface.points, surface.triangles)))
    clip.SetClippingPlanes(planes)
    clip.SetTolerance(1e-3)
    clip.Update()
    clipped = from_polydata(clip.GetOutput())
    return _largest_piece(Surface(clipped.points, clipped.triangles))


def _largest_piece(surface: Surface) -> Surface:
    """Keep one piece, without vertices that nothing uses."""
    used, triangles = np.unique(surface.triangles, return_inverse=True)
    surface = Surface(surface.points[used], triangles.reshape(-1, 3))
    piece = pieces(surface.triangles, len(surface.points))
    if piece.max() == 0:
        return surface
    kept = piece[surface.triangles[:, 0]] == np.bincount(piece).argmax()
    used, triangles = np.unique(surface.triangles[kept], return_inverse=True)
    return Surface(surface.points[used], triangles.reshape(-1, 3))

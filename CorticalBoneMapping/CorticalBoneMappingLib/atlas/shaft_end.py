"""The flat end of an average femur's shaft: keep it flat, and where at least half of the people reach."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import vtk

from ..core.errors import SurfaceError
from ..core.surface import Surface, from_polydata, to_polydata
from ..mesh.topology import pieces

# Chosen by hand; not tuned.
_ON_PLANE_MM = 0.5
_AROUND_END_MM = 5.0  # where subdivision is linear
_SLICE_MM = 2.0  # steps by which the shaft is shortened
_LEAST_SHARE = 0.5  # of the people


class EndPlane(NamedTuple):
    """Plane of a flat end: a point of it, mm, and the unit normal that looks away from the bone."""

    point: np.ndarray
    normal: np.ndarray

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Return the depth of points below the plane, positive in the bone, mm, shape (n,)."""
        return (self.point - points) @ self.normal


def end_plane(surface: Surface, at_end: np.ndarray) -> EndPlane:
    """Fit the plane of the flat end.

    Parameters
    ----------
    surface : Surface
        n points.
    at_end : ndarray of bool, shape (n,)
        Which lie on the end.

    Returns
    -------
    EndPlane

    Raises
    ------
    SurfaceError
        If no point lies there.
    """
    if not at_end.any():
        raise SurfaceError("The average femur has no flat end of the shaft ('cut_end' is nowhere 1).")
    # Triangles that lie wholly on the end: those at its rim are tilted.
    inside = surface.triangles[at_end[surface.triangles].all(axis=1)]
    corners = surface.points[inside]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
    return EndPlane(surface.points[at_end].mean(axis=0), normal / np.linalg.norm(normal))


def smoothly_subdivided(surface: Surface, plane: EndPlane) -> Surface:
    """Divide each triangle into sixteen on a smooth surface through the points, its end flat.

    Parameters
    ----------
    surface : Surface
        n points.
    plane : EndPlane
        Of its end, onto which the points near it are projected.

    Returns
    -------
    Surface
        Butterfly subdivision (Zorin et al. 1996); linear near the end, whose rim is an edge.
    """
    smooth = _subdivided(surface, vtk.vtkButterflySubdivisionFilter())
    linear = _subdivided(surface, vtk.vtkLinearSubdivisionFilter())
    depth = plane.depth(linear.points)
    points = np.where((depth < _AROUND_END_MM)[:, None], linear.points, smooth.points)
    onto = np.where(depth < _ON_PLANE_MM, depth, 0.0)
    return Surface(points + onto[:, None] * plane.normal, linear.triangles)


def _subdivided(surface: Surface, subdivide: vtk.vtkInterpolatingSubdivisionFilter) -> Surface:
    subdivide.SetInputData(to_polydata(Surface(surface.points, surface.triangles)))
    subdivide.SetNumberOfSubdivisions(2)
    subdivide.Update()
    return from_polydata(subdivide.GetOutput())


def with_cut_end(surface: Surface, plane: EndPlane) -> Surface:
    """Mark the points that lie in the plane of the end, in the array ``cut_end``."""
    return surface.with_arrays(cut_end=(plane.depth(surface.points) < _ON_PLANE_MM).astype(np.uint8))


def shortened(surface: Surface, plane: EndPlane, share: np.ndarray) -> tuple[Surface, EndPlane]:
    """Cut the shaft off where fewer than half of the people reach.

    Parameters
    ----------
    surface : Surface
        Closed, n points.
    plane : EndPlane
        Of its present end.
    share : ndarray of shape (n,)
        Share of the people who have each point.

    Returns
    -------
    surface : Surface
        Closed; the same if at least half reach the end.
    plane : EndPlane
        Of its end.
    """
    depth = plane.depth(surface.points)
    number = np.floor(depth / _SLICE_MM).astype(int)
    cut = 0
    while np.any(number == cut) and np.median(share[number == cut]) < _LEAST_SHARE:
        cut += 1
    if cut == 0:
        return surface, plane
    plane = EndPlane(plane.point - cut * _SLICE_MM * plane.normal, plane.normal)
    return _clipped(surface, plane), plane


def _clipped(surface: Surface, plane: EndPlane) -> Surface:
    """The bone's side of a plane, closed by a flat cap."""
    clip_plane, planes = vtk.vtkPlane(), vtk.vtkPlaneCollection()
    clip_plane.SetOrigin(*plane.point)
    clip_plane.SetNormal(*-plane.normal)
    planes.AddItem(clip_plane)
    clip = vtk.vtkClipClosedSurface()
    clip.SetInputData(to_polydata(Surface(surface.points, surface.triangles)))
    clip.SetClippingPlanes(planes)
    clip.Update()
    merge = vtk.vtkCleanPolyData()  # a cut through a vertex leaves triangles without area
    merge.SetInputData(clip.GetOutput())
    merge.SetAbsoluteTolerance(1e-3)
    merge.ToleranceIsAbsoluteOn()
    merge.Update()
    clipped = from_polydata(merge.GetOutput())
    part = pieces(clipped.triangles, len(clipped.points))
    largest = np.bincount(part[clipped.triangles[:, 0]]).argmax()
    return Surface(clipped.points, clipped.triangles[part[clipped.triangles[:, 0]] == largest])

"""Find and cut the end of a fitted shaft: its flat end, or where it leaves the scan."""

from __future__ import annotations

import numpy as np
import vtk

from ...core.errors import SurfaceError
from ...core.surface import Surface, from_polydata, to_polydata
from ...core.volume import Volume
from ...mesh.topology import defects

Plane = tuple[np.ndarray, np.ndarray]
"""A point in RAS mm, and a unit normal that points away from the bone."""


def shaft_end(surface: Surface, volume: Volume) -> tuple[list[Plane], bool]:
    """Find the planes at which a bone ends, and whether the scan ends it.

    Parameters
    ----------
    surface : Surface
        Its array ``cut_end``, if it has one, is 1 on the flat end of the shaft.
    volume : Volume
        The CT.

    Returns
    -------
    planes : list of (point, normal)
        The faces of the scan (at the outer side of its last voxels) beyond which the flat end lies; else the
        plane of that end; none where the surface has no flat end.
    by_scan : bool
        Whether they are faces of the scan.
    """
    ended = np.asarray(surface.arrays.get("cut_end", np.zeros(len(surface.points)))) > 0
    if not ended.any():
        return [], False
    middle = surface.points[ended].mean(axis=0)
    index, size = volume.index_of(middle), np.array(volume.array.shape[::-1])
    planes = []
    for axis in range(3):
        outward = volume.ijk_to_ras[:3, axis] / volume.spacing_mm[axis]
        face = (size - 1) / 2.0
        if index[axis] < -0.5:
            face[axis] = -0.5
            planes.append((volume.points_of(face), -outward))
        elif index[axis] > size[axis] - 0.5:
            face[axis] = size[axis] - 0.5
            planes.append((volume.points_of(face), outward))
    if planes:
        return planes, True
    area = surface.point_areas[ended, None]
    normal = (area * surface.normals[ended]).sum(axis=0)
    return [(middle, normal / np.linalg.norm(normal))], False


def cut_at(surface: Surface, planes: list[Plane]) -> Surface:
    """Cut off what lies beyond planes, and close the surface flat there.

    Parameters
    ----------
    surface : Surface
        Closed.
    planes : list of (point, normal)
        As from `shaft_end`.

    Returns
    -------
    Surface
        Closed; without arrays.

    Raises
    ------
    SurfaceError
        If nothing is left, or closing the cut failed.
    """
    collection = vtk.vtkPlaneCollection()
    for point, normal in planes:
        plane = vtk.vtkPlane()
        plane.SetOrigin(*point)
        plane.SetNormal(*(-normal))  # VTK keeps the side that the normal looks to
        collection.AddItem(plane)
    clip = vtk.vtkClipClosedSurface()
    clip.SetInputData(to_polydata(Surface(surface.points, surface.triangles)))
    clip.SetClippingPlanes(collection)
    merge = vtk.vtkCleanPolyData()
    merge.SetInputConnection(clip.GetOutputPort())
    merge.ToleranceIsAbsoluteOn()
    merge.SetAbsoluteTolerance(1e-5)
    merge.Update()
    if merge.GetOutput().GetNumberOfPolys() == 0:
        raise SurfaceError("The bone that was found lies outside the scan.")
    cut = from_polydata(merge.GetOutput())
    if len(defects(cut.triangles, len(cut.points))):
        raise SurfaceError("Cutting the bone where it leaves the scan failed: the cut surface has defects.")
    return cut

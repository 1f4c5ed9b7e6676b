"""Closed triangle surfaces: where a field crosses a level, and near-uniform triangles of a chosen size."""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from .errors import SurfaceError
from .surface import Surface


def isosurface(array: np.ndarray, ijk_to_ras: np.ndarray, level: float) -> Surface:
    """Give the closed surface around everything above a level, by flying edges (Schroeder 2015).

    Parameters
    ----------
    array : ndarray of shape (n_k, n_j, n_i)
        A scalar field; the inside is where it is above `level`.
    ijk_to_ras : ndarray of shape (4, 4)
        From voxel index (i, j, k) to RAS mm; may be left-handed.
    level : float
        In the unit of the field.

    Returns
    -------
    Surface
        RAS mm, outward triangles, each vertex once. Where the inside reaches the border of the array,
        the surface is closed half a voxel beyond the border.

    Raises
    ------
    SurfaceError
        If the field is not finite, or nowhere above the level.
    """
    field = np.asarray(array, dtype=np.float32) - np.float32(level)
    if not np.all(np.isfinite(field)):
        raise SurfaceError("The field to find a surface in holds values that are not finite.")
    if not np.any(field > 0):
        raise SurfaceError(f"There is no surface: nothing in the volume is above {level:g}.")
    # An exact hit puts several vertices on one grid point; a nudge keeps them apart and the surface manifold.
    nudge = np.float32(1e-4) * np.abs(field).max()
    field = np.where(np.abs(field) < nudge, np.where(field > 0, nudge, -nudge), field)
    points, triangles = _flying_edges(_closed_at_border(field))
    points = (points - 1.0) @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
    if np.linalg.det(ijk_to_ras[:3, :3]) < 0:
        triangles = triangles[:, ::-1].copy()
    return Surface(points, triangles)


def _closed_at_border(field: np.ndarray) -> np.ndarray:
    """Pad by one voxel that lies outside; it mirrors the border, so the cap is half a voxel away."""
    padded = np.pad(field, 1, mode="edge")
    mirrored = -np.abs(padded)
    mirrored[1:-1, 1:-1, 1:-1] = field
    return mirrored


def _flying_edges(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zero level of a field in index coordinates (i, j, k), triangles looking to the negative side."""
    image = vtk.vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(field).ravel(), deep=False))
    filter_ = vtk.vtkFlyingEdges3D()
    filter_.SetInputData(image)
    filter_.SetValue(0, 0.0)
    filter_.ComputeNormalsOff()
    filter_.ComputeGradientsOff()
    filter_.ComputeScalarsOff()
    filter_.Update()
    mesh = filter_.GetOutput()
    points = vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    return points, triangles

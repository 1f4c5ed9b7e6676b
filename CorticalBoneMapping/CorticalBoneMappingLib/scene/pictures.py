"""A picture, such as the one on which a case is judged, as a node that lies in a slice view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import VolumeError

# Columns to the patient's left, rows to the back: an axial view shows it upright, as Slicer does with
# pictures that it loads itself.
_IJK_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def add_picture(scene: slicer.vtkMRMLScene, path: Path, name: str) -> slicer.vtkMRMLVectorVolumeNode:
    """Add a colour picture to a scene, 1 mm a pixel, its first pixel at the origin.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the node is added.
    path : Path
        JPEG file.
    name : str
        Name of the node.

    Returns
    -------
    vtkMRMLVectorVolumeNode
        Red, green, blue.

    Raises
    ------
    VolumeError
        If it cannot be read, or is no JPEG in colour.
    """
    pixels = _pixels(path)
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(_IJK_TO_RAS))
    slicer.util.updateVolumeFromArray(node, pixels[np.newaxis])
    node.CreateDefaultDisplayNodes()
    return node


def _pixels(path: Path) -> np.ndarray:
    """Unpack to shape (rows, columns, 3), uint8, the top row first."""
    reader = vtk.vtkJPEGReader()
    if not path.is_file() or not reader.CanReadFile(str(path)):
        raise VolumeError(f"{path}: this is no JPEG picture, or it cannot be read.")
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    columns, rows, _ = image.GetDimensions()
    if image.GetNumberOfPoints() == 0 or image.GetNumberOfScalarComponents() != 3:
        raise VolumeError(f"{path}: this picture has no colours.")
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1]

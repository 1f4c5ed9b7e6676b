"""MRML volumes and segments as the library's volumes, in RAS mm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ...core.errors import VolumeError
from ...core.slice_axis import as_stored
from ...core.volume import Volume

_ROUNDING_VOXELS = 1e-3  # to which voxel centres of two grids are the same; chosen by hand; not tuned
_LARGEST_COSINE = 1e-3  # between axes at right angles: 0.06°; chosen by hand; not tuned


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """Return the CT of a volume node, in the world.

    Parameters
    ----------
    node : vtkMRMLScalarVolumeNode
        Scalar volume. A rigid parent transform moves it; its voxels are not resampled.

    Returns
    -------
    Volume
        HU as float32, RAS mm.

    Raises
    ------
    VolumeError
        If the node has no voxels, or a parent transform warps or shears it.
    """
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise VolumeError(f"The volume '{node.GetName()}' has no voxels.")
    if image.GetNumberOfScalarComponents() != 1:
        raise VolumeError(f"The volume '{node.GetName()}' is a colour picture, not a CT.")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijk_to_ras = to_world(node) @ slicer.util.arrayFromVTKMatrix(matrix)
    _refuse_shear(ijk_to_ras, node)
    return Volume(_voxels(image).astype(np.float32), ijk_to_ras, source=node.GetName())


def labelmap_from_segment(
    segmentation: slicer.vtkMRMLSegmentationNode, segment_id: str, volume: Volume
) -> Volume:
    """Return one segment as a label map (1 inside, 0 outside), on the segment's own grid.

    Slicer trims a segment's grid to the painted part. It is extended to that of the CT here, so that bone at
    the border of the grid always means that the scan ends there.

    Parameters
    ----------
    segmentation : vtkMRMLSegmentationNode
        With a binary label map, or what it can be made from. A rigid parent transform moves it.
    segment_id : str
        Identifier of the segment.
    volume : Volume
        The CT, in the same world.

    Returns
    -------
    Volume
        Labels as uint8.

    Raises
    ------
    VolumeError
        If the segment does not exist or is empty, or a parent transform warps or shears it.
    """
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        raise VolumeError(f"The segmentation '{segmentation.GetName()}' has no segment '{segment_id}'.")
    image = slicer.vtkOrientedImageData()
    if not segmentation.GetBinaryLabelmapRepresentation(segment_id, image):
        raise VolumeError(f"The conversion of segment '{segment.GetName()}' to a label map failed.")
    trimmed = _labels_of(image, segmentation, segment.GetName())
    if not trimmed.array.any():
        raise VolumeError(f"The segment '{segment.GetName()}' is empty: draw the femur into it first.")
    return _extended(trimmed, volume)


def add_volume(scene: slicer.vtkMRMLScene, volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a CT to a scene.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    volume : Volume
        HU.
    name : str
        Name of the node.

    Returns
    -------
    vtkMRMLScalarVolumeNode
    """
    return _add_node(scene, "vtkMRMLScalarVolumeNode", volume, name)


def add_segmentation(
    scene: slicer.vtkMRMLScene, labelmap: Volume, names: dict[int, str], name: str
) -> slicer.vtkMRMLSegmentationNode:
    """Add a label map to a scene as a segmentation.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    labelmap : Volume
        Labels; a label that is not in `names` is left out.
    names : dict of int to str
        Name of the segment of each label.
    name : str
        Name of the segmentation.

    Returns
    -------
    vtkMRMLSegmentationNode
    """
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    segmentation.CreateDefaultDisplayNodes()
    for label, segment_name in names.items():
        one = replace(labelmap, array=(labelmap.array == label).astype(np.uint8))
        node = _add_node(scene, "vtkMRMLLabelMapVolumeNode", one, segment_name)
        slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(node, segmentation)
        segments = segmentation.GetSegmentation()
        segments.GetNthSegment(segments.GetNumberOfSegments() - 1).SetName(segment_name)
        scene.RemoveNode(node)
    return segmentation


def to_world(node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """Return the matrix of a node's parent transforms, shape (4, 4).

    Raises
    ------
    VolumeError
        If a parent transform warps, so that it has no matrix.
    """
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise VolumeError(
            f"'{node.GetName()}' is under the warping transform '{transform.GetName()}': "
            "harden the transform first."
        )
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _add_node(
    scene: slicer.vtkMRMLScene, kind: str, volume: Volume, name: str
) -> slicer.vtkMRMLScalarVolumeNode:
    node, volume = scene.AddNewNodeByClass(kind, name), as_stored(volume)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.ijk_to_ras))
    slicer.util.updateVolumeFromArray(node, volume.array)
    node.CreateDefaultDisplayNodes()
    return node


def _labels_of(image: slicer.vtkOrientedImageData, node: slicer.vtkMRMLNode, name: str) -> Volume:
    if image.GetNumberOfPoints() == 0:
        raise VolumeError(f"The segment '{name}' is empty: draw the femur into it first.")
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ijk_to_ras = to_world(node) @ slicer.util.arrayFromVTKMatrix(matrix)
    _refuse_shear(ijk_to_ras, node)
    labels = Volume((_voxels(image) > 0).astype(np.uint8), ijk_to_ras, source=name)
    first = np.array(image.GetExtent()[::2])  # the array begins here, not at voxel (0, 0, 0)
    shifted = ijk_to_ras.copy()
    shifted[:3, 3] = labels.points_of(first)
    return replace(labels, ijk_to_ras=shifted)


def _extended(labels: Volume, volume: Volume) -> Volume:
    """Extend the grid of a label map to hold every voxel centre of a volume."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in volume.array.shape[::-1]])).reshape(3, -1).T
    places = labels.index_of(volume.points_of(corners))
    size = np.array(labels.array.shape[::-1])
    low = np.minimum(np.floor(places.min(axis=0) + _ROUNDING_VOXELS).astype(int), 0)
    high = np.maximum(np.ceil(places.max(axis=0) - _ROUNDING_VOXELS).astype(int) + 1, size)
    array = np.zeros((high - low)[::-1], labels.array.dtype)
    i, j, k = -low
    array[k : k + size[2], j : j + size[1], i : i + size[0]] = labels.array
    matrix = labels.ijk_to_ras.copy()
    matrix[:3, 3] = labels.points_of(low)
    return replace(labels, array=array, ijk_to_ras=matrix)


def _voxels(image: vtk.vtkImageData) -> np.ndarray:
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def _refuse_shear(ijk_to_ras: np.ndarray, node: slicer.vtkMRMLNode) -> None:
    axes = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    if not np.allclose(axes.T @ axes, np.eye(3), atol=_LARGEST_COSINE):
        raise VolumeError(
            f"The axes of '{node.GetName()}' are not at right angles (tilted gantry, or a shearing transform)"
            ": resample it first, for example with Slicer's Crop Volume."
        )

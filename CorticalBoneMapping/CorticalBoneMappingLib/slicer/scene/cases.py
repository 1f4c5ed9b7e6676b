"""A case of a study as nodes of a scene: its result, its picture, and its scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ...core.errors import VolumeError
from ...core.volume import Volume
from ...pipeline.result import FemurResult
from .models import hide_legend, put_beside
from .registration import add_registration, hide_registration
from .results import RESULT_ATTRIBUTE, ROLE_ATTRIBUTE, ResultNodes, add_result, results_in, show_result
from .volumes import add_volume

CASE_ATTRIBUTE = "CorticalBoneMapping.Case"
"""Attribute of a bone: the key of its result, which differs also from earlier results of the case."""

SCAN_ATTRIBUTE = "CorticalBoneMapping.Scan"
"""Attribute of a volume: the hash of its file. Both hips of one scan share a volume."""

PICTURE_ROLE = "picture"
_SCAN_REFERENCE = "CorticalBoneMapping.Scan"  # from a bone to the volume of its scan

# Columns to the patient's left, rows to the back: an axial view shows it upright, as Slicer does with
# pictures that it loads itself.
_IJK_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def add_case(
    scene: slicer.vtkMRMLScene, result: FemurResult, key: str, picture: Path | None, name: str
) -> ResultNodes:
    """Add the result of a case with registration and picture, in a folder of its own.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    result : FemurResult
        Result of the case.
    key : str
        Key for `find_case`.
    picture : Path or None
        JPEG file, if any.
    name : str
        Name of the folder; the nodes' names begin with it.

    Returns
    -------
    ResultNodes

    Raises
    ------
    VolumeError
        If the picture could not be read; the scene is then unchanged.
    """
    node = None if picture is None else add_picture(scene, picture, f"{name} picture")
    nodes = add_result(scene, result, name)
    add_registration(scene, result, nodes, name)
    nodes.bone.SetAttribute(CASE_ATTRIBUTE, key)
    if node is not None:
        node.SetAttribute(RESULT_ATTRIBUTE, nodes.identifier)
        node.SetAttribute(ROLE_ATTRIBUTE, PICTURE_ROLE)
        put_beside(scene, node, nodes.bone)
    return nodes


def find_case(scene: slicer.vtkMRMLScene, key: str) -> ResultNodes | None:
    """Find a case in a scene, also in one that was restored; None if it does not have it."""
    return next(
        (nodes for nodes in results_in(scene) if nodes.bone.GetAttribute(CASE_ATTRIBUTE) == key), None
    )


def show_case(nodes: ResultNodes) -> None:
    """Show the thickness on the bone of a case, and hide the other cases, which may overlap with it."""
    for other in results_in(nodes.bone.GetScene()):
        if other.bone.GetAttribute(CASE_ATTRIBUTE):
            hide_registration(other)
            for model in other.models:
                hide_legend(model)
                model.GetDisplayNode().SetVisibility(False)
    show_result(nodes, "cortical_thickness", on="bone")


def remove_case(nodes: ResultNodes) -> None:
    """Remove a case from its scene, and its scan if no other case needs it."""
    scene, scan = nodes.bone.GetScene(), nodes.bone.GetNodeReference(_SCAN_REFERENCE)
    identifier = nodes.identifier
    for node in _nodes_of(scene):
        if node.GetAttribute(RESULT_ATTRIBUTE) == identifier:
            _remove(scene, node)
    if scan is not None and not any(
        node.HasNodeReferenceID(_SCAN_REFERENCE, scan.GetID()) for node in _nodes_of(scene)
    ):
        _remove(scene, scan)


def add_scan(
    scene: slicer.vtkMRMLScene,
    volume: Volume,
    sha256: str,
    window_hu: tuple[float, float],
    name: str,
    nodes: ResultNodes,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add the scan of a case to its folder, with a reference from the case.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    volume : Volume
        HU.
    sha256 : str
        Key for `find_scan`.
    window_hu : tuple of float
        HU shown as black and as white.
    name : str
        Name of the node.
    nodes : ResultNodes
        Nodes of the case.

    Returns
    -------
    vtkMRMLScalarVolumeNode
    """
    node = add_volume(scene, volume, name)
    node.SetAttribute(SCAN_ATTRIBUTE, sha256)
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(*window_hu)
    put_beside(scene, node, nodes.bone)
    share_scan(node, nodes)
    return node


def share_scan(scan: slicer.vtkMRMLScalarVolumeNode, nodes: ResultNodes) -> None:
    """Add a reference from this case to a scan that another case has added."""
    nodes.bone.SetNodeReferenceID(_SCAN_REFERENCE, scan.GetID())


def find_scan(scene: slicer.vtkMRMLScene, sha256: str) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Find a scan in a scene; None if it does not have it."""
    return next((node for node in _nodes_of(scene) if node.GetAttribute(SCAN_ATTRIBUTE) == sha256), None)


def add_picture(scene: slicer.vtkMRMLScene, path: Path, name: str) -> slicer.vtkMRMLVectorVolumeNode:
    """Add a colour picture to a scene, with pixels of 1 mm and the first one at the origin.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
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
        If it could not be read as a colour JPEG.
    """
    pixels = _pixels(path)
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(_IJK_TO_RAS))
    slicer.util.updateVolumeFromArray(node, pixels[np.newaxis])
    node.CreateDefaultDisplayNodes()
    return node


def _pixels(path: Path) -> np.ndarray:
    """Read pixels of shape (rows, columns, 3), uint8, the top row first."""
    reader = vtk.vtkJPEGReader()
    if not path.is_file() or not reader.CanReadFile(str(path)):
        raise VolumeError(f"{path}: this could not be read as a JPEG picture.")
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    columns, rows, _ = image.GetDimensions()
    if image.GetNumberOfPoints() == 0 or image.GetNumberOfScalarComponents() != 3:
        raise VolumeError(f"{path}: this picture has no colours.")
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1]


def _nodes_of(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLNode]:
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]


def _remove(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode) -> None:
    """Remove a node with its display and storage nodes, which MRML would keep, and its folder if empty."""
    others = []
    if node.IsA("vtkMRMLDisplayableNode"):
        others += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        others += [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    for other in filter(None, others):
        scene.RemoveNode(other)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    scene.RemoveNode(node)
    item = hierarchy.GetItemByDataNode(node)
    if item != hierarchy.GetInvalidItemID():  # Slicer removes the item by itself, slicer-core does not
        hierarchy.RemoveItem(item, False, False)
    if folder != hierarchy.GetSceneItemID() and hierarchy.GetNumberOfItemChildren(folder) == 0:
        hierarchy.RemoveItem(folder)

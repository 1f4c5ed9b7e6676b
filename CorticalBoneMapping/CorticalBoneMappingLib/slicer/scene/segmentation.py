"""Femurs as segments with standard terminology, ready for the Segment Editor."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import slicer

from ...core.slice_axis import as_stored
from ...core.surface import Surface
from ...core.volume import Volume
from ...pipeline.find.found_files import FoundFiles
from ...pipeline.find.known_labels import FEMUR_LABELS
from .models import add_map_model, surface_from_model
from .volumes import add_segmentation, to_world

SEGMENT_NAMES = {"right": "Right femur", "left": "Left femur"}
"""By the side of the body."""

_SUMMARY = "CorticalBoneMapping.FoundFemurs"
_VOXELS = "CorticalBoneMapping.FoundVoxels"
# SNOMED CT, as DICOM uses it (PS3.16: CID 7150 category, CID 4031 femur, CID 244 laterality).
_CATEGORY = ("123037004", "SCT", "Anatomical Structure")
_FEMUR = ("71341001", "SCT", "Femur")
_LATERALITY = {"left": ("7771000", "SCT", "Left"), "right": ("24028007", "SCT", "Right")}
_TYPES = "Segmentation category and type - DICOM master list"
_REGIONS = "Anatomic codes - DICOM master list"
_NONE = ("", "", "")
# After Okabe and Ito 2008: distinct in every kind of colour vision, and from the grey of the CT.
_COLOURS = {"right": (0.90, 0.62, 0.00), "left": (0.34, 0.71, 0.91)}


def add_femurs(
    scene: slicer.vtkMRMLScene,
    found: FoundFiles,
    ct: slicer.vtkMRMLScalarVolumeNode,
    name: str,
) -> slicer.vtkMRMLSegmentationNode:
    """Add found femurs to a scene as one segmentation, on the grid of the CT.

    Their surfaces, which are finer than voxels, are added as hidden models for `surface_of_segment`.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    found : FoundFiles
        The femurs; a side that was not found gets no segment.
    ct : vtkMRMLScalarVolumeNode
        The CT in which they were found. The Segment Editor paints on its grid, and its parent transform
        moves the segmentation as well.
    name : str
        Name of the segmentation.

    Returns
    -------
    vtkMRMLSegmentationNode
    """
    labelmap = as_stored(found.labelmap)  # as the scene's CT and its segments are
    sides = [side for side in SEGMENT_NAMES if (labelmap.array == FEMUR_LABELS[side]).any()]
    names = {FEMUR_LABELS[side]: SEGMENT_NAMES[side] for side in sides}
    from_world = np.linalg.inv(to_world(ct))
    local = replace(labelmap, ijk_to_ras=from_world @ labelmap.ijk_to_ras)
    node = add_segmentation(scene, local, names, name)
    node.SetAndObserveTransformNodeID(ct.GetTransformNodeID())
    node.SetAttribute(_SUMMARY, found.summary)
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    for index, side in enumerate(sides):
        segment = node.GetSegmentation().GetNthSegment(index)
        segment.SetTerminology(_terminology(side))
        segment.SetColor(*_COLOURS[side])
        if side in found.surfaces:
            surface = _moved(found.surfaces[side], from_world)
            model = add_map_model(scene, surface, f"{name}: {SEGMENT_NAMES[side].lower()}")
            model.SetAndObserveTransformNodeID(ct.GetTransformNodeID())
            model.SetAttribute(_VOXELS, _digest(labelmap.array == FEMUR_LABELS[side]))
            model.GetDisplayNode().SetColor(*_COLOURS[side])
            model.GetDisplayNode().SetVisibility(False)
    return node


def surface_of_segment(scene: slicer.vtkMRMLScene, labelmap: Volume) -> Surface | None:
    """Return the surface of a found femur if its segment was not edited.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene to which `add_femurs` added it.
    labelmap : Volume
        The present segment, from `labelmap_from_segment`.

    Returns
    -------
    Surface or None
        RAS mm in the world; None if the segment was edited, or was not found by `add_femurs`.
    """
    digest = _digest(labelmap.array > 0)
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode")):
        model = scene.GetNthNodeByClass(index, "vtkMRMLModelNode")
        if model.GetAttribute(_VOXELS) == digest:
            return _moved(surface_from_model(model), to_world(model))
    return None


def found_summary_of(segmentation: slicer.vtkMRMLSegmentationNode | None) -> str:
    """Return verdict and notes of femurs that were found; empty for any other segmentation."""
    return (segmentation.GetAttribute(_SUMMARY) if segmentation is not None else None) or ""


def side_of_segment(segmentation: slicer.vtkMRMLSegmentationNode, segment_id: str) -> str | None:
    """Read the side of a femur from the terminology of its segment, also of another tool.

    Returns
    -------
    str or None
        ``left`` or ``right``; None if the segment does not exist, is not a femur, or has no side.
    """
    segment = segmentation.GetSegmentation().GetSegment(segment_id) if segmentation is not None else None
    entry = slicer.vtkSlicerTerminologyEntry()
    logic = slicer.vtkSlicerTerminologiesModuleLogic
    if segment is None or not logic.DeserializeTerminologyEntry(segment.GetTerminology(), entry):
        return None
    if _code(entry.GetTypeObject()) != _FEMUR[0]:
        return None
    laterality = _code(entry.GetTypeModifierObject())
    return next((side for side, code in _LATERALITY.items() if code[0] == laterality), None)


def _terminology(side: str) -> str:
    return slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(
        _TYPES, *_CATEGORY, *_FEMUR, *_LATERALITY[side], _REGIONS, *_NONE, *_NONE
    )


def _moved(surface: Surface, matrix: np.ndarray) -> Surface:
    return replace(surface, points=surface.points @ matrix[:3, :3].T + matrix[:3, 3])


def _digest(inside: np.ndarray) -> str:
    """Return a hash of the voxels of a segment."""
    return hashlib.sha256(repr(inside.shape).encode() + np.packbits(inside).tobytes()).hexdigest()


def _code(term: slicer.vtkSlicerTerminologyType | None) -> str | None:
    return term.GetCodeValue() if term is not None else None

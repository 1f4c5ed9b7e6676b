"""Femurs as segments with standard terminology, ready for the Segment Editor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer

from ..study.known_labels import FEMUR_LABELS
from ..volume import Volume
from .volumes import add_segmentation, to_world

SEGMENT_NAMES = {"right": "Right femur", "left": "Left femur"}
"""By the side of the body."""

_SAID = "CorticalBoneMapping.FoundFemurs"
# SNOMED CT, as DICOM uses it (PS3.16: CID 7150 category, CID 4031 femur, CID 244 laterality).
_CATEGORY = ("123037004", "SCT", "Anatomical Structure")
_FEMUR = ("71341001", "SCT", "Femur")
_LATERALITY = {"left": ("7771000", "SCT", "Left"), "right": ("24028007", "SCT", "Right")}
_TYPES = "Segmentation category and type - DICOM master list"
_REGIONS = "Anatomic codes - DICOM master list"
_NONE = ("", "", "")
# Apart in every kind of colour vision (Okabe and Ito), and from the grey of the CT.
_COLOURS = {"right": (0.90, 0.62, 0.00), "left": (0.34, 0.71, 0.91)}


def add_femurs(
    scene: slicer.vtkMRMLScene,
    labelmap: Volume,
    ct: slicer.vtkMRMLScalarVolumeNode,
    name: str,
    said: str = "",
) -> slicer.vtkMRMLSegmentationNode:
    """Add found femurs to a scene as one segmentation, on the grid of the CT.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the node is added.
    labelmap : Volume
        Holds `known_labels.FEMUR_LABELS`; a side that it does not hold gets no segment.
    ct : vtkMRMLScalarVolumeNode
        What the femurs were found in: the Segment Editor paints on its grid, and its parent transform
        moves the segmentation as well.
    name : str
        Name of the segmentation.
    said : str
        The verdicts and their reasons, for `said_of`; saved with the scene.

    Returns
    -------
    vtkMRMLSegmentationNode
    """
    found = [side for side in SEGMENT_NAMES if (labelmap.array == FEMUR_LABELS[side]).any()]
    names = {FEMUR_LABELS[side]: SEGMENT_NAMES[side] for side in found}
    local = replace(labelmap, ijk_to_ras=np.linalg.inv(to_world(ct)) @ labelmap.ijk_to_ras)
    node = add_segmentation(scene, local, names, name)
    node.SetAndObserveTransformNodeID(ct.GetTransformNodeID())
    node.SetAttribute(_SAID, said)
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    for index, side in enumerate(found):
        segment = node.GetSegmentation().GetNthSegment(index)
        segment.SetTerminology(_terminology(side))
        segment.SetColor(*_COLOURS[side])
    return node


def said_of(segmentation: slicer.vtkMRMLSegmentationNode | None) -> str:
    """Give what was said of femurs when they were found; empty for any other segmentation."""
    return (segmentation.GetAttribute(_SAID) if segmentation is not None else None) or ""


def side_of_segment(segmentation: slicer.vtkMRMLSegmentationNode, segment_id: str) -> str | None:
    """Tell which side's femur a segment says it is, by its terminology; also one that another tool made.

    Returns
    -------
    str or None
        ``left`` or ``right``; None where the segment is not there, is no femur, or has no side.
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


def _code(term: slicer.vtkSlicerTerminologyType | None) -> str | None:
    return term.GetCodeValue() if term is not None else None

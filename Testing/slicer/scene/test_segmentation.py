"""Found femurs in a real MRML scene: terminology, grid, editing, and the way back to the measurement."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from slicer_scene import set_segment

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.pipeline.find.found_files import FoundFiles
from CorticalBoneMappingLib.slicer.scene.segmentation import (
    add_femurs,
    found_summary_of,
    side_of_segment,
    surface_of_segment,
)
from CorticalBoneMappingLib.slicer.scene.volumes import add_volume, labelmap_from_segment, volume_from_node

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
IJK_TO_RAS = np.eye(4)
IJK_TO_RAS[:3, :3] = TURN @ np.diag([0.7, 0.7, 1.5])
IJK_TO_RAS[:3, 3] = [-20.0, 30.0, 400.0]


@pytest.fixture
def ct(scene):
    values = np.random.default_rng(2).normal(0.0, 20.0, (20, 30, 40)).astype(np.float32)
    return add_volume(scene, Volume(values, IJK_TO_RAS), "CT")


def add(scene, labels, ct, surfaces=()):
    records = {side: {"verdict": "good", "reasons": [], "notes": []} for side in ("right", "left")}
    return add_femurs(scene, FoundFiles(labels, dict(surfaces), {"femurs": records}), ct, "CT femurs")


@pytest.fixture
def labels():
    """A box as the left femur, a smaller one as the right."""
    array = np.zeros((20, 30, 40), np.uint8)
    array[4:15, 8:20, 3:12] = 75
    array[5:12, 8:18, 25:33] = 76
    return Volume(array, IJK_TO_RAS)


def ids(segmentation):
    segments = segmentation.GetSegmentation()
    return {
        segments.GetNthSegment(n).GetName(): segments.GetNthSegmentID(n)
        for n in range(segments.GetNumberOfSegments())
    }


def test_both_femurs_are_one_segmentation_with_the_voxels_that_were_found(scene, ct, labels):
    segmentation = add(scene, labels, ct)
    assert list(ids(segmentation)) == ["Right femur", "Left femur"]
    for name, label in (("Left femur", 75), ("Right femur", 76)):
        back = labelmap_from_segment(segmentation, ids(segmentation)[name], volume_from_node(ct))
        np.testing.assert_array_equal(back.array, labels.array == label)
        np.testing.assert_allclose(back.ijk_to_ras, IJK_TO_RAS, atol=1e-9)
    assert scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 0


def test_the_segments_say_femur_and_side_in_snomed_terms(scene, ct, labels):
    segmentation = add(scene, labels, ct)
    segment = segmentation.GetSegmentation().GetSegment(ids(segmentation)["Right femur"])
    tag = vtk.reference("")
    assert segment.GetTag("TerminologyEntry", tag)
    assert str(tag) == (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure"
        "~SCT^71341001^Femur~SCT^24028007^Right~Anatomic codes - DICOM master list~^^~^^"
    )


def test_the_side_is_read_from_the_terms_of_any_tool_and_never_from_the_name(scene):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "TotalSegmentator")
    terms = {
        "SCT^71341001^Femur~SCT^7771000^Left": "left",
        "SCT^71341001^Femur~SCT^24028007^Right": "right",
        "SCT^71341001^Femur~^^": None,
        "SCT^29836001^Hip~SCT^7771000^Left": None,
    }
    for term, side in terms.items():
        segment_id = segmentation.GetSegmentation().AddEmptySegment("", "Right femur")
        segmentation.GetSegmentation().GetSegment(segment_id).SetTerminology(
            "Segmentation category and type - Total Segmentator~SCT^123037004^Anatomical Structure"
            f"~{term}~Anatomic codes - DICOM master list~^^~^^|"
        )
        assert side_of_segment(segmentation, segment_id) == side
    untagged = segmentation.GetSegmentation().AddEmptySegment("", "Left femur")
    segmentation.GetSegmentation().GetSegment(untagged).SetTerminology("")
    assert side_of_segment(segmentation, untagged) is None
    assert side_of_segment(segmentation, "no such segment") is None
    assert side_of_segment(None, "") is None


def test_a_side_that_was_not_found_has_no_segment(scene, ct, labels):
    one = Volume(np.where(labels.array == 75, 75, 0).astype(np.uint8), IJK_TO_RAS)
    assert list(ids(add(scene, one, ct))) == ["Left femur"]


def test_the_segment_editor_would_paint_on_the_grid_of_the_ct(scene, ct, labels):
    segmentation = add(scene, labels, ct)
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometry = slicer.vtkOrientedImageData()
    parameter = segmentation.GetSegmentation().GetConversionParameter(name)
    assert slicer.vtkSegmentationConverter.DeserializeImageGeometry(parameter, geometry, False)
    matrix = vtk.vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(matrix), IJK_TO_RAS, atol=1e-9)
    assert geometry.GetDimensions() == (40, 30, 20)


def test_femurs_found_in_a_ct_under_a_transform_lie_in_it_and_move_with_it(scene, ct, labels):
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "move")
    move = np.eye(4)
    move[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    move[:3, 3] = [5.0, 6.0, 7.0]
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(move))
    ct.SetAndObserveTransformNodeID(transform.GetID())
    found = Volume(labels.array, volume_from_node(ct).ijk_to_ras)  # found where the scene shows the CT
    segmentation = add(scene, found, ct)
    left = ids(segmentation)["Left femur"]
    for shift in (0.0, 30.0):
        move[2, 3] = 7.0 + shift
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(move))
        back = labelmap_from_segment(segmentation, left, volume_from_node(ct))
        np.testing.assert_allclose(back.ijk_to_ras, volume_from_node(ct).ijk_to_ras, atol=1e-9)
        np.testing.assert_array_equal(back.array, labels.array == 75)


def test_what_is_painted_into_a_found_segment_is_what_the_measurement_gets(scene, ct, labels):
    segmentation = add(scene, labels, ct)
    left = ids(segmentation)["Left femur"]
    edited = labels.array == 75
    edited[14, 8:11, 3:6] = False
    edited[15:17, 10:12, 5:7] = True  # beyond the extent that the segment had
    set_segment(segmentation, left, edited, ct)
    back = labelmap_from_segment(segmentation, left, volume_from_node(ct))
    np.testing.assert_array_equal(back.array.astype(bool), edited)
    assert side_of_segment(segmentation, left) == "left"


def test_an_unedited_segment_still_has_its_surface_and_an_edited_one_has_not(scene, ct, labels):
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "move")
    move = np.eye(4)
    move[:3, 3] = [5.0, 6.0, 7.0]
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(move))
    ct.SetAndObserveTransformNodeID(transform.GetID())
    found = Volume(labels.array, volume_from_node(ct).ijk_to_ras)
    corners = found.points_of([[3, 8, 4], [11, 8, 4], [3, 19, 4], [3, 8, 14]])
    surface = Surface(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]))
    surface = surface.with_arrays(cut_end=np.zeros(4, np.uint8))
    segmentation = add(scene, found, ct, {"left": surface})
    left, right = (ids(segmentation)[f"{side} femur"] for side in ("Left", "Right"))

    def now(segment_id):
        return labelmap_from_segment(segmentation, segment_id, volume_from_node(ct))

    same = surface_of_segment(scene, now(left))
    np.testing.assert_allclose(same.points, corners, atol=1e-4)
    np.testing.assert_array_equal(same.arrays["cut_end"], 0)
    assert surface_of_segment(scene, now(right)) is None
    edited = labels.array == 75
    edited[14, 8, 3] = False
    ct.SetAndObserveTransformNodeID(None)
    set_segment(segmentation, left, edited, ct)
    assert surface_of_segment(scene, now(left)) is None


def test_the_verdict_stays_with_the_segmentation(scene, ct, labels):
    segmentation = add(scene, labels, ct)
    assert found_summary_of(segmentation) == "Right femur: good.\nLeft femur: good."
    assert found_summary_of(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "another")) == ""
    assert found_summary_of(None) == ""

"""Volumes and segments of a real MRML scene, as the library sees them."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from CorticalBoneMappingLib.core.errors import VolumeError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.slicer.scene.volumes import (
    add_segmentation,
    add_volume,
    labelmap_from_segment,
    volume_from_node,
)

# A grid like that of an oblique reformat: right-handed axes turned about two of them, spacing unequal.
_TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
IJK_TO_RAS = np.eye(4)
IJK_TO_RAS[:3, :3] = _TURN @ np.diag([0.5, 0.5, 2.0])
IJK_TO_RAS[:3, 3] = [-20.0, 30.0, 400.0]


@pytest.fixture
def ct(scene):
    """40 × 30 × 20 voxels, each holding 100 k + 10 j + i."""
    k, j, i = np.indices((20, 30, 40))
    return _volume_node(scene, "CT", (100 * k + 10 * j + i).astype(np.int16))


@pytest.fixture
def segmentation(scene, ct):
    """One segment 'femur': a ball of 4 mm about the RAS centre of voxel (20, 15, 10)."""
    inside = _ball(volume_from_node(ct), 4.0)
    labels = _volume_node(scene, "labels", inside.astype(np.uint8), "vtkMRMLLabelMapVolumeNode")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    assert slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, node)
    segment_id = node.GetSegmentation().GetNthSegmentID(0)
    node.GetSegmentation().GetSegment(segment_id).SetName("femur")
    return node


def test_a_volume_keeps_every_voxel_in_its_place(ct):
    volume = volume_from_node(ct)
    assert volume.array.dtype == np.float32
    place = volume.points_of([7, 3, 11])
    np.testing.assert_allclose(place, IJK_TO_RAS[:3] @ [7, 3, 11, 1])
    assert volume.sample(place[None])[0] == 100 * 11 + 10 * 3 + 7


def test_a_rigid_parent_transform_moves_the_volume(scene, ct):
    move = np.eye(4)
    move[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    move[:3, 3] = [5.0, 6.0, 7.0]
    _put_under(scene, ct, move)
    np.testing.assert_allclose(volume_from_node(ct).ijk_to_ras, move @ IJK_TO_RAS, atol=1e-12)


def test_a_shearing_parent_transform_is_refused_in_words(scene, ct):
    shear = np.eye(4)
    shear[0, 2] = 0.3
    _put_under(scene, ct, shear)
    with pytest.raises(VolumeError, match="'CT' are not at right angles"):
        volume_from_node(ct)


def test_a_warping_parent_transform_is_refused_in_words(scene, ct):
    warp = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    warp.SetAndObserveTransformToParent(spline)
    ct.SetAndObserveTransformNodeID(warp.GetID())
    with pytest.raises(VolumeError, match="'warp': harden"):
        volume_from_node(ct)


def test_a_volume_node_without_voxels_is_refused_by_name(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "still empty")
    with pytest.raises(VolumeError, match="'still empty' has no voxels"):
        volume_from_node(node)


def test_a_segment_becomes_a_label_map_on_the_whole_grid_of_the_ct(ct, segmentation):
    volume = volume_from_node(ct)
    trimmed = slicer.vtkOrientedImageData()
    segmentation.GetBinaryLabelmapRepresentation(_segment_id(segmentation), trimmed)
    assert trimmed.GetNumberOfPoints() < volume.array.size  # Slicer trimmed it: the case in question

    labels = labelmap_from_segment(segmentation, _segment_id(segmentation), volume)

    assert labels.array.shape == volume.array.shape
    np.testing.assert_allclose(labels.ijk_to_ras, volume.ijk_to_ras, atol=1e-9)
    np.testing.assert_array_equal(labels.array.astype(bool), _ball(volume, 4.0))


def test_segment_and_ct_under_different_transforms_meet_in_the_world(scene, ct, segmentation):
    before = volume_from_node(ct)
    move = np.eye(4)
    move[:3, 3] = [3.0, 0.0, -4.0]
    _put_under(scene, segmentation, move)
    labels = labelmap_from_segment(segmentation, _segment_id(segmentation), before)
    centre = np.argwhere(labels.array)[:, ::-1].mean(axis=0)
    moved = labels.points_of(centre) - before.points_of([20, 15, 10])
    np.testing.assert_allclose(moved, [3.0, 0.0, -4.0], atol=0.05)


def test_a_finer_segment_grid_is_kept_and_covers_the_ct(scene, ct):
    matrix = IJK_TO_RAS.copy()
    matrix[:3, :3] /= 2.0
    fine = _volume_node(scene, "fine", np.zeros((40, 60, 80), np.uint8), "vtkMRMLLabelMapVolumeNode", matrix)
    inside = _ball(volume_from_node(fine), 4.0, volume_from_node(ct).points_of([20, 15, 10]))
    slicer.util.arrayFromVolume(fine)[:] = inside
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "fine segmentation")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(fine, node)
    volume = volume_from_node(ct)
    labels = labelmap_from_segment(node, _segment_id(node), volume)
    np.testing.assert_allclose(labels.spacing_mm, volume.spacing_mm / 2)
    assert labels.array.sum() == inside.sum()
    corners = labels.index_of(volume.points_of([[0, 0, 0], [39, 29, 19]]))
    assert np.all(corners >= -1e-6)
    assert np.all(corners <= np.array(labels.array.shape[::-1]) - 1 + 1e-6)


def test_an_empty_or_absent_segment_is_refused_by_name(ct, segmentation):
    volume = volume_from_node(ct)
    empty = segmentation.GetSegmentation().AddEmptySegment("nothing", "drawn later")
    with pytest.raises(VolumeError, match="'drawn later' is empty"):
        labelmap_from_segment(segmentation, empty, volume)
    with pytest.raises(VolumeError, match="has no segment 'Segment_9'"):
        labelmap_from_segment(segmentation, "Segment_9", volume)


def test_a_scan_goes_into_the_scene_and_comes_back_as_it_was(scene):
    rng = np.random.default_rng(1)
    ct = Volume(rng.normal(0, 100, (6, 7, 8)).astype(np.float32), IJK_TO_RAS)
    labels = Volume(rng.integers(0, 4, (6, 7, 8)).astype(np.uint8), IJK_TO_RAS)
    node = add_volume(scene, ct, "CT")
    segmentation = add_segmentation(scene, labels, {2: "Femur", 1: "Other bone"}, "Bones")
    back = volume_from_node(node)
    np.testing.assert_array_equal(back.array, ct.array)
    np.testing.assert_allclose(back.ijk_to_ras, ct.ijk_to_ras, atol=1e-12)
    segments = segmentation.GetSegmentation()
    for label, name in ((2, "Femur"), (1, "Other bone")):
        segment = labelmap_from_segment(segmentation, segments.GetSegmentIdBySegmentName(name), back)
        np.testing.assert_array_equal(segment.array, labels.array == label)
    assert segments.GetNumberOfSegments() == 2
    assert scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 0


def _volume_node(scene, name, array, node_class="vtkMRMLScalarVolumeNode", matrix=IJK_TO_RAS):
    node = scene.AddNewNodeByClass(node_class, name)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return node


def _ball(volume, radius_mm, centre=None):
    centre = volume.points_of([20, 15, 10]) if centre is None else centre
    index = np.stack(np.indices(volume.array.shape)[::-1], axis=-1)
    return np.linalg.norm(volume.points_of(index) - centre, axis=-1) <= radius_mm


def _put_under(scene, node, matrix):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())


def _segment_id(segmentation):
    return segmentation.GetSegmentation().GetNthSegmentID(0)

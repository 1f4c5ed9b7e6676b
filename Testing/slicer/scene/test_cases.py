"""A case of a study in a real MRML scene: its picture, its scan, and what is shared or taken away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from restored_nodes import picture_of
from vtk.util.numpy_support import numpy_to_vtk

from CorticalBoneMappingLib.core.errors import VolumeError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.slicer.scene.cases import (
    add_case,
    add_picture,
    add_scan,
    find_case,
    find_scan,
    remove_case,
    share_scan,
    show_case,
)
from CorticalBoneMappingLib.slicer.scene.results import results_in

WINDOW = (-250.0, 1650.0)
COLUMNS, ROWS = 48, 24


@pytest.fixture
def picture(tmp_path) -> Path:
    """A picture whose upper left quarter is red, the rest blue."""
    pixels = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    pixels[..., 2] = 255
    pixels[: ROWS // 2, : COLUMNS // 2] = 255, 0, 0
    return write_jpeg(tmp_path / "thumbnail.jpg", pixels)


@pytest.fixture
def ct():
    array = np.linspace(-1000.0, 2000.0, 4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    return Volume(array, np.diag([0.7, 0.7, 1.5, 1.0]))


def test_a_picture_lies_upright_in_an_axial_view_with_its_pixels_as_they_are(scene, picture):
    node = add_picture(scene, picture, "Hip picture")
    assert node.IsA("vtkMRMLVectorVolumeNode")
    assert node.GetImageData().GetDimensions() == (COLUMNS, ROWS, 1)
    pixels = slicer.util.arrayFromVolume(node)
    assert (pixels.shape, pixels.dtype) == ((1, ROWS, COLUMNS, 3), np.uint8)
    red, blue = pixels[0, 4, 4].astype(int), pixels[0, ROWS - 4, 4].astype(int)
    np.testing.assert_allclose(red, [254, 0, 0], atol=6)
    np.testing.assert_allclose(blue, [0, 0, 254], atol=6)
    # In an axial view the patient's left is on the right, and the front is up.
    first, right, down = (place_of(node, ijk) for ijk in ((0, 0, 0), (1, 0, 0), (0, 1, 0)))
    np.testing.assert_allclose(right - first, [-1, 0, 0])
    np.testing.assert_allclose(down - first, [0, -1, 0])


@pytest.mark.parametrize("content", [None, b"no picture", b""])
def test_a_file_that_is_not_a_picture_is_refused_by_name_and_leaves_the_scene_unchanged(
    scene, tmp_path, femur_result, content
):
    path = tmp_path / "thumbnail.jpg"
    if content is not None:
        path.write_bytes(content)
    before = scene.GetNumberOfNodes()
    with pytest.raises(VolumeError, match=r"thumbnail\.jpg: this could not be read as a JPEG picture"):
        add_case(scene, femur_result, "key", path, "P01 visit 0 left")
    assert scene.GetNumberOfNodes() == before


def test_a_picture_without_colours_is_refused(scene, tmp_path):
    path = write_jpeg(tmp_path / "grey.jpg", np.full((8, 8, 1), 90, np.uint8))
    with pytest.raises(VolumeError, match=r"grey\.jpg: this picture has no colours"):
        add_picture(scene, path, "Grey")


def test_picture_and_scan_lie_in_the_folder_of_the_case(scene, femur_result, picture, ct):
    nodes = add_case(scene, femur_result, "key", picture, "P01 visit 0 left")
    scan = add_scan(scene, ct, "hash", WINDOW, "P01 visit 0 left CT", nodes)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.GetItemByName("P01 visit 0 left")
    for node in (nodes.bone, nodes.regions, picture_of(nodes), scan):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    display = scan.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == WINDOW
    assert nodes.bone.GetDisplayNode().GetVisibility2D()  # the surface is seen over the CT


def test_a_case_and_its_scan_are_found_again_after_a_restart_of_slicer(
    new_scene, femur_result, picture, ct, tmp_path
):
    before = new_scene()
    nodes = add_case(before, femur_result, "key", picture, "P01 visit 0 left")
    add_scan(before, ct, "hash", WINDOW, "P01 visit 0 left CT", nodes)
    assert before.WriteToMRB(str(tmp_path / "case.mrb"))
    after = new_scene()
    assert after.ReadFromMRB(str(tmp_path / "case.mrb"))
    found = find_case(after, "key")
    assert found.bone.GetName() == "P01 visit 0 left bone"
    assert picture_of(found).GetImageData().GetDimensions() == (COLUMNS, ROWS, 1)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(find_scan(after, "hash")), ct.array)
    assert find_case(after, "another") is None
    assert find_scan(after, "another") is None
    remove_case(found)
    kinds = {after.GetNthNode(index).GetClassName() for index in range(after.GetNumberOfNodes())}
    assert not any("Model" in kind or "Volume" in kind or "Legend" in kind for kind in kinds)


def test_a_case_that_is_shown_hides_the_other_cases_but_no_other_result(scene, femur_result):
    first, second = (add_case(scene, femur_result, key, None, key) for key in ("first", "second"))
    show_case(first)
    visible = [bool(nodes.bone.GetDisplayNode().GetVisibility()) for nodes in (first, second)]
    assert visible == [True, False]
    assert picture_of(first) is None


def test_the_scan_of_both_hips_goes_with_the_second(scene, femur_result, picture, ct):
    empty = ids(scene)
    left, right = (add_case(scene, femur_result, key, picture, key) for key in ("left", "right"))
    share_scan(add_scan(scene, ct, "hash", WINDOW, "CT", left), right)
    remove_case(left)
    assert find_scan(scene, "hash") is not None
    assert [nodes.bone.GetName() for nodes in results_in(scene)] == ["right bone"]
    remove_case(right)
    left_behind = [scene.GetNodeByID(one) for one in ids(scene) - empty]
    assert {node.GetClassName() for node in left_behind} <= {
        "vtkMRMLColorTableNode",
        "vtkMRMLProceduralColorNode",
        "vtkMRMLSubjectHierarchyNode",
    }
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    assert hierarchy.GetNumberOfItems() == 0


def place_of(node, ijk):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array(matrix.MultiplyPoint((*ijk, 1.0))[:3])


def ids(scene):
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def write_jpeg(path, pixels):
    rows, columns, components = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    upwards = np.ascontiguousarray(pixels[::-1]).reshape(-1, components)
    image.GetPointData().SetScalars(numpy_to_vtk(upwards, deep=True))
    writer = vtk.vtkJPEGWriter()
    writer.SetInputData(image)
    writer.SetFileName(str(path))
    writer.SetQuality(100)
    writer.Write()
    return path

"""The registration of a bone and its landmarks as nodes of a real MRML scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from restored_nodes import restored_result

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.pipeline.anatomy import DEFORMATION
from CorticalBoneMappingLib.slicer.scene.models import surface_from_model
from CorticalBoneMappingLib.slicer.scene.registration import (
    DEFORMATION_RANGE_MM,
    add_registration,
    hide_registration,
    registration_of,
    show_registration,
)
from CorticalBoneMappingLib.slicer.scene.results import add_result, results_in, show_result

SHIFT = np.array([70.0, -20.0, 100.0])


@pytest.fixture
def left_result(femur_result):
    """A left femur: the average's mirror image elsewhere, bent upward by up to 8 mm at the head."""
    atlas = load_average()
    matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
    matrix[:3, 3] = SHIFT
    moved = atlas.surface.mirrored()
    bent = np.clip((60.0 - atlas.surface.points[:, 0]) / 8.0, 0.0, 8.0)
    registered_template = replace(moved, points=moved.points + SHIFT + np.outer(bent, [0.0, 0.0, 1.0]))
    bent = np.where(atlas.measured, bent, np.nan).astype(np.float32)
    registered_template = registered_template.with_arrays({DEFORMATION: "mm"}, **{DEFORMATION: bent})
    places = {name: (place * [-1, 1, 1] + SHIFT).tolist() for name, place in atlas.landmarks.items()}
    provenance = femur_result.provenance | {
        "registration": {"average_to_bone": matrix.tolist()},
        "anatomy": {"landmarks_ras_mm": places},
    }
    return replace(femur_result, registered_template=registered_template, provenance=provenance)


def test_template_transform_and_landmarks_are_in_the_folder_of_the_result(scene, left_result):
    nodes = add_result(scene, left_result, "Hip")
    found = add_registration(scene, left_result, nodes, "Hip")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.GetItemByName("Hip")
    for node in (found.registered_template, found.average_to_bone, found.landmarks):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    assert not found.registered_template.GetDisplayNode().GetVisibility()
    assert not found.landmarks.GetDisplayNode().GetVisibility()
    matrix = vtk.vtkMatrix4x4()
    found.average_to_bone.GetMatrixTransformToParent(matrix)
    assert matrix.Determinant() == pytest.approx(-1.0)
    # A point of the average under the transform lies where the left bone has it.
    far = load_average().surface.points[:, 0].argmax()
    moved = np.array(matrix.MultiplyPoint([*load_average().surface.points[far], 1.0]))[:3]
    np.testing.assert_allclose(moved, left_result.registered_template.points[far], atol=0.6)


def test_landmarks_have_their_names_and_are_locked(scene, left_result):
    nodes = add_result(scene, left_result, "Hip")
    landmarks = add_registration(scene, left_result, nodes, "Hip").landmarks
    names = [landmarks.GetNthControlPointLabel(i) for i in range(landmarks.GetNumberOfControlPoints())]
    assert names == [name.replace("_", " ") for name in load_average().landmarks]
    np.testing.assert_allclose(
        slicer.util.arrayFromMarkupsControlPoints(landmarks),
        list(left_result.provenance["anatomy"]["landmarks_ras_mm"].values()),
    )
    assert landmarks.GetLocked()


def test_the_deformation_is_shown_in_mm_and_hidden_when_a_measure_is_shown(scene, left_result):
    nodes = add_result(scene, left_result, "Hip")
    found = add_registration(scene, left_result, nodes, "Hip")
    assert show_registration(nodes)
    display = found.registered_template.GetDisplayNode()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    assert (display.GetActiveScalarName(), display.GetScalarRange()) == (DEFORMATION, DEFORMATION_RANGE_MM)
    assert legend.GetTitleText().endswith("(mm)")
    assert legend.GetVisibility()
    assert display.GetVisibility()
    assert found.landmarks.GetDisplayNode().GetVisibility()
    assert not any(model.GetDisplayNode().GetVisibility() for model in nodes.models)
    hide_registration(nodes)
    show_result(nodes, "cortical_thickness", on="bone")
    assert not display.GetVisibility()
    assert not legend.GetVisibility()
    assert not found.landmarks.GetDisplayNode().GetVisibility()
    assert nodes.bone.GetDisplayNode().GetVisibility()


def test_a_result_without_a_registration_says_so_and_keeps_its_view(scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    assert add_registration(scene, femur_result, nodes, "Hip") is None
    assert not show_registration(nodes)
    assert nodes.bone.GetDisplayNode().GetVisibility()


def test_a_femur_whose_anatomy_could_not_be_measured_has_no_landmarks(scene, left_result):
    provenance = left_result.provenance | {"anatomy": {"missing": "No femoral neck was found."}}
    result = replace(left_result, provenance=provenance)
    nodes = add_result(scene, result, "Hip")
    found = add_registration(scene, result, nodes, "Hip")
    assert found.landmarks.GetNumberOfControlPoints() == 0
    assert show_registration(nodes)


def test_the_registration_survives_saving_and_a_restart_of_slicer(new_scene, left_result, tmp_path: Path):
    before = new_scene()
    nodes = add_result(before, left_result, "Hip")
    first = add_registration(before, left_result, nodes, "Hip")
    show_registration(nodes)
    expected = slicer.util.arrayFromMarkupsControlPoints(first.landmarks)
    assert before.WriteToMRB(str(tmp_path / "hip.mrb"))

    after = new_scene()
    assert after.ReadFromMRB(str(tmp_path / "hip.mrb"))
    found = registration_of(results_in(after)[0])
    assert restored_result(results_in(after)[0]).side == "left"
    registered_template = surface_from_model(found.registered_template)
    np.testing.assert_allclose(registered_template.points, left_result.registered_template.points, atol=1e-4)
    np.testing.assert_array_equal(
        registered_template.arrays[DEFORMATION], left_result.registered_template.arrays[DEFORMATION]
    )
    np.testing.assert_allclose(
        slicer.util.arrayFromMarkupsControlPoints(found.landmarks), expected, atol=1e-3
    )
    assert found.landmarks.GetNthControlPointLabel(0) == "head centre"
    matrix = vtk.vtkMatrix4x4()
    found.average_to_bone.GetMatrixTransformToParent(matrix)
    np.testing.assert_allclose(
        slicer.util.arrayFromVTKMatrix(matrix),
        left_result.provenance["registration"]["average_to_bone"],
        atol=1e-6,
    )
    assert found.registered_template.GetDisplayNode().GetVisibility()
    assert found.registered_template.GetDisplayNode().GetActiveScalarName() == DEFORMATION

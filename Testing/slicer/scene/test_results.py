"""A result as nodes of a real MRML scene, saved and restored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from restored_nodes import restored_result

from CorticalBoneMappingLib.core.colours import NOT_MEASURED_COLOUR
from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.measures import MEASURES, VertexStatus
from CorticalBoneMappingLib.slicer.scene.models import show_measure
from CorticalBoneMappingLib.slicer.scene.results import add_result, results_in, show_result


def test_a_result_becomes_two_models_a_table_and_its_provenance_in_one_folder(scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.GetItemByName("Hip")
    parents = {
        hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
        for node in (nodes.bone, nodes.average, nodes.regions, nodes.provenance)
    }
    assert parents == {folder}
    points = slicer.util.arrayFromModelPoints(nodes.bone)
    np.testing.assert_allclose(points.mean(axis=0), [40.0, -10.0, 100.0], atol=0.1)


def test_every_measure_is_shown_in_its_fixed_range_with_its_unit(scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    for name, measure in MEASURES.items():
        show_result(nodes, name, on="bone")
        display = nodes.bone.GetDisplayNode()
        assert display.GetActiveScalarName() == name
        assert display.GetScalarRangeFlagAsString() == "UseManual"
        assert display.GetScalarRange() == measure.range
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
        assert legend.GetTitleText() == f"{measure.label}\n({measure.unit})"


def test_the_reasons_for_no_value_are_shown_in_a_named_colour_each(scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    show_result(nodes, "quality", on="bone")
    display = nodes.bone.GetDisplayNode()
    lookup, table = display.GetColorNode().CreateLookupTableCopy(), display.GetColorNode()
    lookup.SetRange(*display.GetScalarRange())
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    assert legend.GetUseColorNamesForLabels()
    for kind in VertexStatus:
        assert lookup.GetIndex(kind) == kind
    assert len({lookup.GetTableValue(kind) for kind in VertexStatus}) == len(VertexStatus)
    assert len({table.GetColorName(kind) for kind in VertexStatus}) == len(VertexStatus)
    assert table.GetColorName(VertexStatus.METAL) == "metal"
    show_result(nodes, "cortical_thickness", on="bone")  # and back
    assert display.GetColorNode().GetNumberOfColors() == 256
    assert not legend.GetUseColorNamesForLabels()


def test_an_uncalibrated_map_is_labelled_in_hu_and_says_so(scene, femur_result):
    units = {name: measure.uncalibrated_unit for name, measure in MEASURES.items()}
    uncalibrated = replace(femur_result, periosteal=replace(femur_result.periosteal, units=units))
    nodes = add_result(scene, uncalibrated, "Hip")
    titles = {}
    for name in ("cortical_thickness", "cortical_density", "cortical_mass_surface_density"):
        show_result(nodes, name, on="bone")
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(nodes.bone.GetDisplayNode())
        titles[name] = legend.GetTitleText()
    assert titles["cortical_thickness"] == "Cortical thickness\n(mm)"
    assert titles["cortical_density"] == "Cortical density\n(HU, not calibrated)"
    assert titles["cortical_mass_surface_density"].endswith("(HU·cm, not calibrated)")


def test_only_one_model_and_one_legend_are_seen_at_a_time(scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    for shown, hidden in (("average", "bone"), ("bone", "average")):
        show_result(nodes, "cortical_density", on=shown)
        seen = {
            role: (
                bool(getattr(nodes, role).GetDisplayNode().GetVisibility()),
                bool(
                    slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(
                        getattr(nodes, role).GetDisplayNode()
                    ).GetVisibility()
                ),
            )
            for role in (shown, hidden)
        }
        assert seen == {shown: (True, True), hidden: (False, False)}


def test_a_second_result_takes_over_the_legend_and_leaves_the_first_bone_in_view(scene, femur_result):
    left, right = add_result(scene, femur_result, "Left"), add_result(scene, femur_result, "Right")
    displays = [nodes.bone.GetDisplayNode() for nodes in (left, right)]
    legends = [slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display) for display in displays]
    assert [bool(display.GetVisibility()) for display in displays] == [True, True]
    assert [bool(legend.GetVisibility()) for legend in legends] == [False, True]


def test_a_measure_that_a_model_does_not_carry_is_refused_by_name(scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    nodes.bone.GetPolyData().GetPointData().RemoveArray("fit_residual")
    with pytest.raises(SurfaceError, match=r"'Hip bone' has no array 'fit_residual'"):
        show_measure(nodes.bone, "fit_residual")


def test_points_without_a_value_are_grey_and_the_table_is_made_once(scene, femur_result):
    first = add_result(scene, femur_result, "One")
    second = add_result(scene, femur_result, "Two")
    table = first.bone.GetDisplayNode().GetColorNode()
    assert second.bone.GetDisplayNode().GetColorNodeID() == table.GetID()
    assert table.GetLookupTable().GetNanColor()[:3] == pytest.approx(NOT_MEASURED_COLOUR)


def test_two_results_survive_saving_and_a_restart_of_slicer(new_scene, femur_result, tmp_path: Path):
    before = new_scene()
    other = replace(femur_result, side="right", provenance={"version": "0.1.0", "note": "zweite Hüfte"})
    add_result(before, femur_result, "Left hip")
    add_result(before, other, "Right hip")
    show_result(results_in(before)[0], "trabecular_density", on="average")
    assert before.WriteToMRB(str(tmp_path / "hips.mrb"))

    after = new_scene()
    assert after.ReadFromMRB(str(tmp_path / "hips.mrb"))
    found = results_in(after)

    assert [nodes.bone.GetName() for nodes in found] == ["Left hip bone", "Right hip bone"]
    for nodes, given in zip(found, (femur_result, other)):
        restored = restored_result(nodes)
        assert restored.side == given.side
        assert restored.provenance == given.provenance
        for row, expected in zip(restored.regions, given.regions, strict=True):
            assert row == {  # the table is saved with six digits
                name: pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
                for name, value in expected.items()
            }
        for surface, expected in (
            (restored.periosteal, given.periosteal),
            (restored.average, given.average),
        ):
            np.testing.assert_allclose(surface.points, expected.points, atol=1e-4)
            np.testing.assert_array_equal(surface.triangles, expected.triangles)
            assert surface.units == expected.units
            assert surface.arrays.keys() == expected.arrays.keys()
            for name, values in expected.arrays.items():
                np.testing.assert_array_equal(surface.arrays[name], values)

    display = found[0].average.GetDisplayNode()
    assert display.GetVisibility()
    assert display.GetActiveScalarName() == "trabecular_density"
    assert display.GetScalarRange() == MEASURES["trabecular_density"].range
    assert display.GetColorNode().GetLookupTable().GetNanColor()[:3] == pytest.approx(NOT_MEASURED_COLOUR)
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    assert legend.GetTitleText() == "Trabecular density\n(mg/cm³)"


def test_a_result_that_lost_a_node_is_not_offered_again(scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    scene.RemoveNode(nodes.regions)
    assert results_in(scene) == []

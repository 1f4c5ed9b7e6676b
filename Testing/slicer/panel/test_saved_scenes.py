"""Scenes that were saved by another version of the modules still open. Widgets are doubles."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import slicer
from small_answer import small_answer

from CorticalBoneMappingLib.slicer.panel import application
from CorticalBoneMappingLib.slicer.scene.answers import add_answer
from CorticalBoneMappingLib.slicer.scene.results import add_result

CHOICES = {
    "CorticalBoneMapping": ("side", "calibration", "substance", "hardening", "method", "shownOn"),
    "CorticalBoneStatistics": ("measure", "hips", "model", "alternative", "correction", "shownView"),
}
NUMBERS = {"CorticalBoneMapping": "spacing", "CorticalBoneStatistics": "smoothing"}


@pytest.fixture(params=CHOICES)
def module_name(request):
    return request.param


def saved(scene, module_name, **values):
    """Put the parameters of a saved scene into the scene, as Slicer stores them."""
    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", module_name)
    for name, value in values.items():
        node.SetParameter(name, value)


def test_every_choice_is_tested_here(module, module_name):
    kinds = getattr(module, f"{module_name}ParameterNode").__annotations__
    choices = [
        name for name, kind in kinds.items() if isinstance(kind, type) and hasattr(kind, "__members__")
    ]
    assert tuple(choices) == CHOICES[module_name]


STORED = {
    "CorticalBoneMapping": {
        "side": "UNSET LEFT RIGHT",
        "calibration": "NONE LINEAR RODS INTERNAL",
        "substance": "K2HPO4 HA",
        "hardening": "AUTO ON OFF",
        "method": "SURFACE_MAP CONSTANT_DENSITY HALF_MAXIMUM MASS_CONSERVING INDEPENDENT ENDOCORTICAL_RAMP",
        "shownOn": "BONE AVERAGE REGISTRATION",
    },
    "CorticalBoneStatistics": {
        "measure": "CORTICAL_THICKNESS CORTICAL_DENSITY CORTICAL_MASS_SURFACE_DENSITY TRABECULAR_DENSITY "
        "FIT_RESIDUAL",
        "hips": "BOTH MEAN LEFT RIGHT",
        "model": "MIXED LEAST_SQUARES",
        "alternative": "TWO_SIDED GREATER LESS",
        "correction": "RANDOM_FIELD PERMUTATION TFCE FALSE_DISCOVERY_RATE",
        "shownView": "SIGNIFICANT EFFECT THICKNESS DENSITY STATISTIC P",
    },
}
"""Names under which choices are in the scenes of users: words may change, and names may be added."""


def test_the_names_in_saved_scenes_stay_whatever_words_are_shown(module, module_name):
    kinds = getattr(module, f"{module_name}ParameterNode").__annotations__
    for name, stored in STORED[module_name].items():
        assert set(stored.split()) <= set(kinds[name].__members__), name


def test_an_unknown_choice_becomes_the_default_and_is_reported(request, module, module_name, scene):
    saved(scene, module_name, **dict.fromkeys(CHOICES[module_name], "RENAMED_SINCE"))
    panel = request.getfixturevalue("panel")  # opened only now; it looks for tracebacks at its end
    text = panel.ui.statusLabel.text
    parameters = panel.logic.getParameterNode()
    for name in CHOICES[module_name]:
        assert f"{name} = 'RENAMED_SINCE'" in text
        assert f"'{getattr(parameters, name).label()}' is used" in text


def test_a_text_in_place_of_a_number_becomes_the_default_and_is_reported(module, module_name, scene):
    saved(scene, module_name, **{NUMBERS[module_name]: "fine"})
    logic = getattr(module, f"{module_name}Logic")()
    assert getattr(logic.getParameterNode(), NUMBERS[module_name]) > 0
    assert f"{NUMBERS[module_name]} = 'fine'" in logic.warnings[0]


def test_known_choices_are_kept_without_a_warning(module, module_name, scene):
    saved(scene, module_name, method="HALF_MAXIMUM", correction="TFCE")
    logic = getattr(module, f"{module_name}Logic")()
    parameters = logic.getParameterNode()
    assert logic.warnings == []
    if module_name == "CorticalBoneMapping":
        assert parameters.method.value == "half-maximum"
    else:
        assert parameters.correction.value == "TFCE"


@pytest.mark.parametrize("module_name", ["CorticalBoneMapping"])
def test_an_unknown_measure_is_shown_under_its_stored_name(panel, scene, femur_result):
    bone = femur_result.periosteal
    arrays = {name: values for name, values in bone.arrays.items() if name != "cortical_density"}
    units = {name: unit for name, unit in bone.units.items() if name != "cortical_density"}
    arrays["bone_stuff"] = bone.arrays["cortical_density"]
    older = replace(bone, arrays=arrays, units=units | {"bone_stuff": "mg/cm³"})
    rows = [row | {"measure": "bone_stuff"} for row in femur_result.regions if row["unit"] != "mm"]
    nodes = add_result(scene, replace(femur_result, periosteal=older, average=older, regions=rows), "Hip")
    panel.ui.resultSelector.setCurrentNode(nodes.bone)
    combo = panel.ui.shownMeasureCombo
    assert combo.findText("Cortical density") < 0
    combo.setCurrentIndex(combo.findText("bone_stuff"))
    display = nodes.bone.GetDisplayNode()
    assert display.GetActiveScalarName() == "bone_stuff"
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    assert legend.GetTitleText() == "bone_stuff\n(mg/cm³)"
    assert panel.ui.regionsTable.item(0, 1).text() == "812"


@pytest.mark.parametrize("module_name", ["CorticalBoneMapping"])
def test_a_measure_that_the_result_does_not_have_is_reported(panel, scene, femur_result):
    panel._parameterNode.shownMeasure = "CORTICAL_THICKNESS_OF_OLD"
    nodes = add_result(scene, femur_result, "Hip")
    panel.ui.resultSelector.setCurrentNode(nodes.bone)
    assert "has no 'CORTICAL_THICKNESS_OF_OLD'" in panel.ui.qualityLabel.text
    assert panel.ui.shownMeasureCombo.currentText == "Cortical thickness"


@pytest.mark.parametrize("module_name", ["CorticalBoneMapping"])
def test_the_verdict_on_the_femur_and_the_notes_are_shown_with_the_numbers(panel, scene, femur_result):
    record = femur_result.provenance | {
        "segmentation": {"verdict": "look at it"},
        "notes": ["The slices are thicker than they say."],
    }
    nodes = add_result(scene, replace(femur_result, provenance=record), "Hip")
    panel.ui.resultSelector.setCurrentNode(nodes.bone)
    assert panel.ui.qualityLabel.text.splitlines()[1:] == [
        "Femur as found: look at it",
        "The slices are thicker than they say.",
    ]


@pytest.mark.parametrize("module_name", ["CorticalBoneStatistics"])
def test_a_result_of_an_unknown_measure_is_plotted_under_its_stored_name(panel, scene, monkeypatch):
    charts = []
    monkeypatch.setattr(application, "show_chart", charts.append)
    monkeypatch.setattr(application, "turn_to", lambda *_: None)
    answer = small_answer()
    answer.provenance["analysis"]["measure"] = "bone_stuff"
    nodes = add_answer(scene, answer, "Month 36")
    scene.InvokeEvent(scene.EndImportEvent)
    panel.ui.clustersTable.cellClicked.emit(0, 0)
    assert charts[0].GetYAxisTitle() == "bone_stuff"
    assert json.loads(nodes.provenance.GetText())["analysis"]["measure"] == "bone_stuff"


@pytest.mark.parametrize("module_name", ["CorticalBoneMapping"])
def test_a_table_that_lacks_a_column_of_today_is_shown(panel, scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    nodes.regions.GetTable().RemoveColumnByName("n_metal")
    panel.ui.resultSelector.setCurrentNode(nodes.bone)
    panel.ui.shownMeasureCombo.setCurrentIndex(panel.ui.shownMeasureCombo.findData("quality"))
    assert [panel.ui.regionsTable.item(0, column).text() for column in (1, 2, 3)] == ["3", "2", "–"]

"""The answer of a study as nodes of a real MRML scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from restored_nodes import restored_answer
from small_answer import ARMS, VISITS, small_answer

from CorticalBoneMappingLib.core.colours import NOT_MEASURED_COLOUR
from CorticalBoneMappingLib.slicer.scene.answers import (
    add_answer,
    answer_of,
    answers_in,
    show_answer,
    views_of,
)
from CorticalBoneMappingLib.slicer.scene.vertex_plot import nearest_vertex, plot_vertex


@pytest.fixture
def answer():
    return small_answer()


def test_the_effect_is_coloured_where_it_is_significant_and_grey_elsewhere(scene, answer):
    nodes = add_answer(scene, answer, "Month 36")
    display = nodes.effect.GetDisplayNode()
    shown = slicer.util.arrayFromModelPointData(nodes.effect, display.GetActiveScalarName())
    significant = answer.surface.arrays["significant"] == 1
    np.testing.assert_array_equal(np.isfinite(shown), significant)
    np.testing.assert_allclose(shown[significant], answer.surface.arrays["effect_percent"][significant])
    table = display.GetColorNode()
    assert table.GetLookupTable().GetNanColor()[:3] == pytest.approx(NOT_MEASURED_COLOUR)
    assert display.GetScalarRange() == (-15.0, 15.0)
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    assert legend.GetTitleText() == "Effect where significant\n(%)"


def test_every_view_has_its_range_and_gain_and_loss_have_opposite_colours(scene, answer):
    nodes = add_answer(scene, answer, "Month 36")
    display = nodes.effect.GetDisplayNode()
    seen = {}
    for view in views_of(nodes):
        show_answer(nodes, view)
        seen[view] = (display.GetActiveScalarName(), display.GetScalarRange())
    assert seen == {
        "significant": ("effect_where_significant", (-15.0, 15.0)),
        "effect": ("effect_percent", (-15.0, 15.0)),
        "thickness": ("thickness_percent", (-15.0, 15.0)),
        "density": ("density_percent", (-15.0, 15.0)),
        "statistic": ("t", (-8.0, 8.0)),
        "p": ("p_corrected", (0.0, 0.1)),
    }
    show_answer(nodes, "effect")
    lookup = display.GetColorNode().GetLookupTable()
    loss, gain = lookup.GetTableValue(0), lookup.GetTableValue(254)
    assert loss[2] > loss[0]  # blue
    assert gain[0] > gain[2]  # orange


def test_of_two_answers_one_is_seen_since_they_lie_in_one_place(scene, answer):
    first, second = (add_answer(scene, answer, name) for name in ("One", "Two"))
    assert [bool(nodes.effect.GetDisplayNode().GetVisibility()) for nodes in (first, second)] == [False, True]
    show_answer(first, "effect")
    assert [bool(nodes.effect.GetDisplayNode().GetVisibility()) for nodes in (first, second)] == [True, False]


def test_an_answer_survives_saving_and_a_restart_of_slicer(new_scene, answer, tmp_path: Path):
    before = new_scene()
    nodes = add_answer(before, answer, "Month 36")
    plot_vertex(nodes, 7, "Mass (mg/cm²)")
    file = tmp_path / "scene.mrb"
    assert before.WriteToMRB(str(file))
    after = new_scene()
    after.SetURL(str(file))
    after.ReadFromMRB(str(file))
    (found,) = answers_in(after)
    assert answer_of(found.effect) == found
    back = restored_answer(found)
    assert back.groups == answer.groups
    assert back.clusters == answer.clusters
    assert back.regions[0]["effect"] == 12.5
    assert np.isnan(back.regions[0]["percent_lower"])
    assert back.provenance == answer.provenance
    np.testing.assert_allclose(back.surface.arrays["t"], answer.surface.arrays["t"])
    nan = found.effect.GetDisplayNode().GetColorNode().GetLookupTable().GetNanColor()[:3]
    assert nan == pytest.approx(NOT_MEASURED_COLOUR)
    chart = after.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert chart.GetNumberOfPlotSeriesNodes() == 3 * len(ARMS)


def test_the_plot_at_a_vertex_holds_the_means_of_arms_over_visits(scene, answer):
    nodes = add_answer(scene, answer, "Month 36")
    vertex = nearest_vertex(nodes, (0.0, 0.0, 25.2))
    assert vertex == answer.clusters[0]["peak_vertex"]
    for _ in range(2):  # filled anew, not made again
        chart = plot_vertex(nodes, vertex, "Mass (mg/cm²)")
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 3 * len(ARMS)
    series = chart.GetNthPlotSeriesNode(3)  # placebo, mean
    assert series.GetName() == "placebo"
    table = series.GetTableNode().GetTable()
    values = [table.GetColumnByName(series.GetYColumnName()).GetValue(row) for row in range(len(VISITS))]
    np.testing.assert_allclose(values, [101.0, 113.0, 137.0], atol=1e-3)
    visits = [table.GetColumnByName(series.GetXColumnName()).GetValue(row) for row in range(len(VISITS))]
    assert visits == [0.0, 12.0, 36.0]
    lower = table.GetColumnByName("placebo lower").GetValue(0)
    assert lower == pytest.approx(99.0, abs=1e-3)
    assert chart.GetYAxisTitle() == "Mass (mg/cm²)"

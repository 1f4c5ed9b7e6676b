"""The means of the arms over the visits at one vertex, as a plot."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from ...core.surface import Surface
from ...io.numbers import number_of
from ...study.analysis.answer_tables import GROUP_COLUMNS
from .answers import AnswerNodes
from .models import surface_from_model
from .tables import table_rows

_PLOT = "CorticalBoneMapping.VertexPlot"
# Okabe and Ito 2008: distinct in every kind of colour vision.
_COLOURS = (
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.00, 0.62, 0.45),
    (0.80, 0.47, 0.65),
    (0.34, 0.34, 0.34),
)
_VISIT = "visit"


def plot_vertex(nodes: AnswerNodes, vertex: int, label: str) -> slicer.vtkMRMLPlotChartNode:
    """Plot the mean of every arm at every visit at a vertex, with one standard error to either side.

    A scene has one such plot, which is filled again each time.

    Parameters
    ----------
    nodes : AnswerNodes
        The answer.
    vertex : int
        Index in the average femur.
    label : str
        Label of the axis: measure and unit.

    Returns
    -------
    vtkMRMLPlotChartNode
    """
    scene, surface = nodes.effect.GetScene(), surface_from_model(nodes.effect)
    rows = table_rows(nodes.groups, GROUP_COLUMNS)
    arms, visits = (list(dict.fromkeys(row[name] for row in rows)) for name in ("arm", "visit"))
    chart = _node(scene, "vtkMRMLPlotChartNode", "chart")
    table = _node(scene, "vtkMRMLTableNode", "table")
    table.SetAndObserveTable(_table(rows, surface, vertex, arms, visits))
    chart.RemoveAllPlotSeriesNodeIDs()
    for index, arm in enumerate(arms):
        for name in ("mean", "lower", "upper"):
            series = _series(scene, table, arm, name, _COLOURS[index % len(_COLOURS)])
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
    x, y, z = surface.points[vertex]
    chart.SetTitle(f"Vertex {vertex} ({x:.0f}, {y:.0f}, {z:.0f}) mm")
    chart.SetXAxisTitle("Visit")
    chart.SetYAxisTitle(label)
    return chart


def nearest_vertex(nodes: AnswerNodes, place: tuple[float, float, float]) -> int:
    """Return the vertex of the average femur that is nearest to a point, RAS mm."""
    points = surface_from_model(nodes.effect).points
    return int(np.argmin(np.linalg.norm(points - np.asarray(place), axis=1)))


def _table(
    rows: list[dict], surface: Surface, vertex: int, arms: list[str], visits: list[str]
) -> vtk.vtkTable:
    """Make a row for every visit: a column for its place on the axis, and three for every arm."""
    table = vtk.vtkTable()
    _add_column(table, _VISIT, _places(visits))
    group = {(row["arm"], row["visit"]): row["group"] for row in rows}
    for arm in arms:
        numbers = [group.get((arm, visit)) for visit in visits]
        mean, error = (
            np.array([surface.arrays[f"group_{n}_{kind}"][vertex] if n else np.nan for n in numbers])
            for kind in ("mean", "se")
        )
        for name, values in (("mean", mean), ("lower", mean - error), ("upper", mean + error)):
            _add_column(table, _column(arm, name), values)
    return table


def _places(visits: list[str]) -> np.ndarray:
    """Return the number of each visit (months), or 1, 2, … if they have names."""
    numbers = [number_of(visit) for visit in visits]
    return np.arange(1.0, len(visits) + 1.0) if None in numbers else np.array(numbers)


def _add_column(table: vtk.vtkTable, name: str, values: np.ndarray) -> None:
    array = vtk.vtkDoubleArray()
    array.SetName(name)
    for value in values:
        array.InsertNextValue(float(value))
    table.AddColumn(array)


def _column(arm: str, name: str) -> str:
    return f"{arm or 'all'} {name}"


def _series(
    scene: slicer.vtkMRMLScene,
    table: slicer.vtkMRMLTableNode,
    arm: str,
    name: str,
    colour: tuple[float, float, float],
) -> slicer.vtkMRMLPlotSeriesNode:
    series = _node(scene, "vtkMRMLPlotSeriesNode", _column(arm, name))
    series.SetName(arm or "all" if name == "mean" else f"{arm or 'all'} {name} (1 SE)")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName(_VISIT)
    series.SetYColumnName(_column(arm, name))
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    is_mean = name == "mean"
    kind = slicer.vtkMRMLPlotSeriesNode
    series.SetMarkerStyle(kind.MarkerStyleCircle if is_mean else kind.MarkerStyleNone)
    series.SetLineStyle(kind.LineStyleSolid if is_mean else kind.LineStyleDash)
    series.SetLineWidth(2.0 if is_mean else 1.0)
    series.SetColor(*colour)
    return series


def _node(scene: slicer.vtkMRMLScene, kind: str, role: str) -> slicer.vtkMRMLNode:
    """Find a node of the plot by its attribute, or make it."""
    nodes = (scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind)))
    node = next((node for node in nodes if node.GetAttribute(_PLOT) == role), None)
    if node is None:
        node = scene.AddNewNodeByClass(kind, f"Values at a vertex: {role}")
        node.SetAttribute(_PLOT, role)
    return node

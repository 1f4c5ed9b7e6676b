"""Maps on a surface as model nodes: arrays, colours, fixed range, legend with unit.

The colours of maps as MRML colour tables: one for measures, one for why a point carries none.

Nodes that belong together: one folder in the subject hierarchy, and attributes that say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ...core.colours import NO_CORTEX_COLOUR, NOT_MEASURED_COLOUR, diverging, sequential
from ...core.errors import SurfaceError
from ...core.measures import Measure, Quality, measure_named
from ...core.surface import Surface, from_polydata, to_polydata

_ATTRIBUTE = "CorticalBoneMapping.Colours"

# Short names: Slicer shrinks a legend's letters until the longest fits. Colours after Okabe and Ito 2008,
# which every kind of colour vision tells apart.
_QUALITY_COLOURS = {
    Quality.GOOD: ("measured", (0.90, 0.90, 0.84)),
    Quality.NOT_MEASURED: ("cut end", NOT_MEASURED_COLOUR),
    Quality.OUTSIDE_SCAN: ("outside scan", (0.34, 0.71, 0.91)),
    Quality.NO_CORTEX: ("no cortex", NO_CORTEX_COLOUR),
    Quality.FIT_FAILED: ("fit failed", (0.90, 0.62, 0.00)),
    Quality.METAL: ("metal", (0.15, 0.15, 0.15)),
}


def colour_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Give the scene's table for measures; it is added where it is not there yet.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the table is, or is added.

    Returns
    -------
    vtkMRMLColorTableNode
        256 colours from little to much; not-a-number is grey.
    """
    return _ramp(scene, "Cortical bone map", sequential(256))


def difference_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Give the scene's table for effects: blue for a loss, orange for a gain, grey for not significant."""
    return _ramp(scene, "Cortical bone effect", diverging(255))


def quality_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Give the scene's table for `Quality`: one named colour a value."""
    return _table(scene, "Cortical bone map quality", [_QUALITY_COLOURS[kind] for kind in Quality])


def _ramp(scene: slicer.vtkMRMLScene, name: str, ramp: np.ndarray) -> slicer.vtkMRMLColorTableNode:
    table = _table(scene, name, [(f"{index}", tuple(colour)) for index, colour in enumerate(ramp)])
    # MRML files do not keep the colour of not-a-number: without this, a restored map shows dark red where
    # nothing was measured, which reads as a value.
    table.GetLookupTable().SetNanColor(*NOT_MEASURED_COLOUR, 1.0)
    table.Modified()
    return table


def _table(
    scene: slicer.vtkMRMLScene, name: str, colours: list[tuple[str, tuple[float, ...]]]
) -> slicer.vtkMRMLColorTableNode:
    """Find a table by what it says of itself (users may rename it), or make it."""
    kind = "vtkMRMLColorTableNode"
    tables = (scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind)))
    node = next((table for table in tables if table.GetAttribute(_ATTRIBUTE) == name), None)
    if node is None:
        node = scene.AddNewNodeByClass(kind, name)
        node.SetAttribute(_ATTRIBUTE, name)
        node.SetTypeToUser()
        node.SetNumberOfColors(len(colours))
        for index, (label, colour) in enumerate(colours):
            node.SetColor(index, label, *colour, 1.0)
    return node


QUALITY = "quality"
"""Array of the reasons why points carry no value; it is shown like a measure."""

_MANUAL_RANGE = "UseManual"
_UNIT_FIELD = "unit_of_"  # how `surface.to_polydata` names the unit of an array
_NORMALS = "Normals"  # VTK's own name for them


def add_map_model(scene: slicer.vtkMRMLScene, surface: Surface, name: str) -> slicer.vtkMRMLModelNode:
    """Add a surface with its arrays as a model that is ready to show a measure.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the model is added.
    surface : Surface
        RAS mm, as MRML holds it; arrays and their units go along and are saved with the scene.
    name : str
        Name of the model.

    Returns
    -------
    vtkMRMLModelNode
    """
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
    model.SetAndObservePolyData(_smoothly_shaded(surface))
    model.CreateDefaultDisplayNodes()
    display = model.GetDisplayNode()
    display.SetAndObserveColorNodeID(colour_table(scene).GetID())
    display.SetInterpolation(slicer.vtkMRMLDisplayNode.GouraudInterpolation)
    display.SetScalarRangeFlagFromString(_MANUAL_RANGE)
    display.SetVisibility2D(True)
    return model


def surface_from_model(model: slicer.vtkMRMLModelNode) -> Surface:
    """Give the surface of a model, its arrays and units, in RAS mm.

    Raises
    ------
    SurfaceError
        If the model holds no triangles.
    """
    polydata = model.GetPolyData()
    if polydata is None or polydata.GetNumberOfCells() == 0:
        raise SurfaceError(f"The model '{model.GetName()}' holds no triangles.")
    surface = from_polydata(polydata)
    arrays = {name: values for name, values in surface.arrays.items() if name != _NORMALS}
    return replace(surface, arrays=arrays)


def show_measure(model: slicer.vtkMRMLModelNode, measure_name: str, legend: bool = True) -> None:
    """Colour a model by one measure, in the measure's fixed range, and label the legend.

    Parameters
    ----------
    model : vtkMRMLModelNode
        From `add_map_model`, or restored from a saved scene.
    measure_name : str
        Of an array of the model: a measure, or `QUALITY`.
    legend : bool
        Whether the legend is seen; where several models stand in one view, one legend is enough.

    Raises
    ------
    SurfaceError
        If the model has no such array.
    """
    polydata = model.GetPolyData()
    if polydata is None or not polydata.GetPointData().HasArray(measure_name):
        raise SurfaceError(f"The model '{model.GetName()}' carries no '{measure_name}'.")
    display = model.GetDisplayNode()
    is_quality = measure_name == QUALITY
    table = (quality_table if is_quality else colour_table)(model.GetScene())
    display.SetAndObserveColorNodeID(table.GetID())
    display.SetActiveScalar(measure_name, vtk.vtkDataObject.POINT)
    display.SetScalarRangeFlagFromString(_MANUAL_RANGE)
    # Half a step beyond the first and the last kind, so that each has the whole of its colour.
    display.SetScalarRange(
        *((-0.5, len(Quality) - 0.5) if is_quality else _stored(model, measure_name).range)
    )
    display.SetScalarVisibility(True)
    label_legend(model, legend_title(model, measure_name), legend)


def hide_legend(model: slicer.vtkMRMLModelNode) -> None:
    """Hide the legend of a model, if it has one."""
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(model.GetDisplayNode())
    if legend is not None:
        legend.SetVisibility(False)


def legend_title(model: slicer.vtkMRMLModelNode, measure_name: str) -> str:
    """Give label and unit of a measure as this model holds it; says so where it is not calibrated.

    On two lines: the longest does not fit into a view on one.
    """
    if measure_name == QUALITY:
        return "Quality"
    measure = _stored(model, measure_name)
    unit = _unit(model, measure_name) or measure.unit
    note = "" if unit == measure.unit else ", not calibrated"
    return f"{measure.label}\n({unit}{note})" if unit else measure.label


def _unit(model: slicer.vtkMRMLModelNode, measure_name: str) -> str:
    kept = model.GetPolyData().GetFieldData().GetAbstractArray(_UNIT_FIELD + measure_name)
    return "" if kept is None else kept.GetValue(0)


def _stored(model: slicer.vtkMRMLModelNode, measure_name: str) -> Measure:
    """Give a measure of a model; one that is not known is shown in the range of its values."""
    values = model.GetPolyData().GetPointData().GetArray(measure_name)
    return measure_named(measure_name, _unit(model, measure_name), values.GetFiniteRange(0))


def label_legend(model: slicer.vtkMRMLModelNode, title: str, visible: bool = True) -> None:
    """Give a model a legend with a title, for the colours that it shows now."""
    display = model.GetDisplayNode()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    if legend is None:
        legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(display)
    legend.SetTitleText(title)
    is_quality = display.GetActiveScalarName() == QUALITY
    legend.SetUseColorNamesForLabels(is_quality)
    legend.SetNumberOfLabels(len(Quality) if is_quality else 5)
    high = display.GetScalarRange()[1]
    number_format = "%.0f" if high > 20 else "%.1f" if high > 0.5 else "%.3f"
    legend.SetLabelFormat("%s" if is_quality else number_format)
    # Slicer fits the numbers into the width, and gives the title their size: a narrow legend keeps the
    # longest title within the view.
    legend.SetSize(0.25 if is_quality else 0.1, 0.5)
    legend.SetVisibility(visible)


def _smoothly_shaded(surface: Surface) -> vtk.vtkPolyData:
    """Convert to VTK with normals: without them every triangle shows as a facet."""
    polydata = to_polydata(surface)
    normals = numpy_to_vtk(np.ascontiguousarray(surface.normals, dtype=np.float32), deep=True)
    normals.SetName(_NORMALS)
    polydata.GetPointData().SetNormals(normals)
    return polydata


def put_in_folder(scene: slicer.vtkMRMLScene, nodes: Mapping[str, slicer.vtkMRMLNode], name: str) -> None:
    """Put nodes into a folder of their own, in their order."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)
    for node in nodes.values():
        _put(hierarchy, node, folder)


def put_beside(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode, other: slicer.vtkMRMLNode) -> None:
    """Put a node into the folder of another."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    _put(hierarchy, node, hierarchy.GetItemParent(hierarchy.GetItemByDataNode(other)))


def families_in(
    scene: slicer.vtkMRMLScene, family: str, role: str, roles: tuple[str, ...]
) -> list[dict[str, slicer.vtkMRMLNode]]:
    """Find nodes that share an attribute, by role, in order of making; incomplete families are left out.

    Parameters
    ----------
    scene : vtkMRMLScene
        Also one that was restored from a file: attributes are saved, names may be edited by users.
    family, role : str
        Names of the attributes that say which family a node belongs to, and what it is in it.
    roles : tuple of str
        What makes a family whole.
    """
    found: dict[str, dict[str, slicer.vtkMRMLNode]] = {}
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if node.GetAttribute(family) and node.GetAttribute(role) in roles:
            found.setdefault(node.GetAttribute(family), {})[node.GetAttribute(role)] = node
    return [members for members in found.values() if len(members) == len(roles)]


def _put(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, node: slicer.vtkMRMLNode, folder: int) -> None:
    item = hierarchy.GetItemByDataNode(node)
    if item != hierarchy.GetInvalidItemID():  # Slicer makes items by itself, slicer-core does not
        hierarchy.SetItemParent(item, folder)
    else:
        hierarchy.CreateItem(folder, node)

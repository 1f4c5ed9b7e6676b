"""Maps as model nodes with colour tables and legends, and folders of nodes that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ...core.colours import NO_CORTEX_COLOUR, NOT_MEASURED_COLOUR, diverging, sequential
from ...core.errors import SurfaceError
from ...core.measures import Measure, VertexStatus, measure_named
from ...core.surface import Surface, from_polydata, to_polydata

QUALITY = "quality"
"""Array of the vertex status: measured, or why not. It is shown like a measure."""

QUALITY_TITLE = "Vertex status"
"""Its name in the panel and in the legend."""


_MANUAL_RANGE = "UseManual"
_UNIT_FIELD = "unit_of_"  # as `surface.to_polydata` names the unit of an array
_NORMALS = "Normals"  # VTK's own name for them
_ATTRIBUTE = "CorticalBoneMapping.Colours"

# Short names: Slicer shrinks a legend's letters until the longest fits. Colours after Okabe and Ito 2008,
# which every kind of colour vision can distinguish.
_STATUS_COLOURS = {
    VertexStatus.GOOD: ("measured", (0.90, 0.90, 0.84)),
    VertexStatus.NOT_MEASURED: ("cut end", NOT_MEASURED_COLOUR),
    VertexStatus.OUTSIDE_SCAN: ("outside scan", (0.34, 0.71, 0.91)),
    VertexStatus.NO_CORTEX: ("no cortex", NO_CORTEX_COLOUR),
    VertexStatus.FIT_FAILED: ("fit failed", (0.90, 0.62, 0.00)),
    VertexStatus.METAL: ("metal", (0.15, 0.15, 0.15)),
}


def add_map_model(scene: slicer.vtkMRMLScene, surface: Surface, name: str) -> slicer.vtkMRMLModelNode:
    """Add a surface with its arrays as a model that can show a measure.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    surface : Surface
        RAS mm; its arrays and units are saved with the scene.
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
    """Return the surface of a model with arrays and units, in RAS mm.

    Raises
    ------
    SurfaceError
        If the model has no triangles.
    """
    polydata = model.GetPolyData()
    if polydata is None or polydata.GetNumberOfCells() == 0:
        raise SurfaceError(f"The model '{model.GetName()}' has no triangles.")
    surface = from_polydata(polydata)
    arrays = {name: values for name, values in surface.arrays.items() if name != _NORMALS}
    return replace(surface, arrays=arrays)


def _smoothly_shaded(surface: Surface) -> vtk.vtkPolyData:
    """Convert to VTK with normals, without which every triangle shows as a facet."""
    polydata = to_polydata(surface)
    normals = numpy_to_vtk(np.ascontiguousarray(surface.normals, dtype=np.float32), deep=True)
    normals.SetName(_NORMALS)
    polydata.GetPointData().SetNormals(normals)
    return polydata


def show_measure(model: slicer.vtkMRMLModelNode, measure_name: str, legend: bool = True) -> None:
    """Colour a model by one measure, in the measure's fixed range, and label the legend.

    Parameters
    ----------
    model : vtkMRMLModelNode
        From `add_map_model`, or restored from a saved scene.
    measure_name : str
        Name of an array of the model: a measure, or `QUALITY`.
    legend : bool
        Whether its legend is visible; of several models in one view only one needs it.

    Raises
    ------
    SurfaceError
        If the model has no such array.
    """
    polydata = model.GetPolyData()
    if polydata is None or not polydata.GetPointData().HasArray(measure_name):
        raise SurfaceError(f"The model '{model.GetName()}' has no array '{measure_name}'.")
    display = model.GetDisplayNode()
    is_quality = measure_name == QUALITY
    table = (status_table if is_quality else colour_table)(model.GetScene())
    display.SetAndObserveColorNodeID(table.GetID())
    display.SetActiveScalar(measure_name, vtk.vtkDataObject.POINT)
    display.SetScalarRangeFlagFromString(_MANUAL_RANGE)
    # Half a step beyond the first and the last status, so that each has its whole colour.
    display.SetScalarRange(
        *((-0.5, len(VertexStatus) - 0.5) if is_quality else _stored(model, measure_name).range)
    )
    display.SetScalarVisibility(True)
    label_legend(model, legend_title(model, measure_name), legend)


def legend_title(model: slicer.vtkMRMLModelNode, measure_name: str) -> str:
    """Return label and unit of a measure of this model, with a note if it is not calibrated.

    On two lines, since the longest does not fit into a view on one.
    """
    if measure_name == QUALITY:
        return QUALITY_TITLE
    measure = _stored(model, measure_name)
    unit = _unit(model, measure_name) or measure.unit
    note = "" if unit == measure.unit else ", not calibrated"
    return f"{measure.label}\n({unit}{note})" if unit else measure.label


def label_legend(model: slicer.vtkMRMLModelNode, title: str, visible: bool = True) -> None:
    """Set title and format of a model's legend, for the colours that it shows now."""
    display = model.GetDisplayNode()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    if legend is None:
        legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(display)
    legend.SetTitleText(title)
    is_quality = display.GetActiveScalarName() == QUALITY
    legend.SetUseColorNamesForLabels(is_quality)
    legend.SetNumberOfLabels(len(VertexStatus) if is_quality else 5)
    high = display.GetScalarRange()[1]
    number_format = "%.0f" if high > 20 else "%.1f" if high > 0.5 else "%.3f"
    legend.SetLabelFormat("%s" if is_quality else number_format)
    # Slicer fits the numbers into the width and gives the title their size. Sizes are shares of the view,
    # chosen by hand so that the longest title stays in it.
    legend.SetSize(0.25 if is_quality else 0.1, 0.5)
    legend.SetVisibility(visible)


def hide_legend(model: slicer.vtkMRMLModelNode) -> None:
    """Hide the legend of a model, if it has one."""
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(model.GetDisplayNode())
    if legend is not None:
        legend.SetVisibility(False)


def _unit(model: slicer.vtkMRMLModelNode, measure_name: str) -> str:
    kept = model.GetPolyData().GetFieldData().GetAbstractArray(_UNIT_FIELD + measure_name)
    return "" if kept is None else kept.GetValue(0)


def _stored(model: slicer.vtkMRMLModelNode, measure_name: str) -> Measure:
    """Return a measure of a model; one that is not known has the range of its values."""
    values = model.GetPolyData().GetPointData().GetArray(measure_name)
    return measure_named(measure_name, _unit(model, measure_name), values.GetFiniteRange(0))


def colour_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Return the scene's colour table for measures; add it if the scene has none.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.

    Returns
    -------
    vtkMRMLColorTableNode
        256 colours from low to high; not-a-number is grey.
    """
    return _ramp(scene, "Cortical bone map", sequential(256))


def difference_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Return the scene's colour table for effects: blue is a loss, orange a gain, grey not significant."""
    return _ramp(scene, "Cortical bone effect", diverging(255))


def status_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Return the scene's colour table for the vertex status: one named colour for each `VertexStatus`."""
    return _table(scene, "Cortical bone map quality", [_STATUS_COLOURS[kind] for kind in VertexStatus])


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
    """Find a table by its attribute (users may rename it), or make it."""
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


def put_in_folder(scene: slicer.vtkMRMLScene, nodes: Mapping[str, slicer.vtkMRMLNode], name: str) -> None:
    """Put nodes into a new folder of the subject hierarchy, in their order."""
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
    """Find nodes that share an attribute, by role, oldest first; incomplete families are left out.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene; attributes are saved with it, while users may edit names.
    family, role : str
        Names of the attributes that hold a node's family, and its role in it.
    roles : tuple of str
        Roles of a complete family.
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

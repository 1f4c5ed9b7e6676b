"""The colours of cortical maps as a MRML colour table."""

from __future__ import annotations

import slicer

from ..colours import NOT_MEASURED_COLOUR, sequential

_NAME = "Cortical bone map"
_ATTRIBUTE = "CorticalBoneMapping.Colours"


def colour_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    """Give the scene's table of map colours; it is added where it is not there yet.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the table is, or is added.

    Returns
    -------
    vtkMRMLColorTableNode
        256 colours from little to much; not-a-number is grey.
    """
    node = _existing_table(scene)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", _NAME)
        node.SetAttribute(_ATTRIBUTE, "sequential")
        node.SetTypeToUser()
        node.SetHideFromEditors(False)
        ramp = sequential(256)
        node.SetNumberOfColors(len(ramp))
        for index, (red, green, blue) in enumerate(ramp):
            node.SetColor(index, f"{index}", red, green, blue, 1.0)
    grey_where_not_measured(node)
    return node


def grey_where_not_measured(table: slicer.vtkMRMLColorTableNode) -> None:
    """Paint points without a value grey.

    MRML files do not keep the not-a-number colour of a table: without this, a restored map shows dark
    red where nothing was measured, which reads as a value.
    """
    table.GetLookupTable().SetNanColor(*NOT_MEASURED_COLOUR, 1.0)
    table.Modified()


def _existing_table(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode | None:
    kind = "vtkMRMLColorTableNode"
    tables = (scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind)))
    return next((table for table in tables if table.GetAttribute(_ATTRIBUTE)), None)

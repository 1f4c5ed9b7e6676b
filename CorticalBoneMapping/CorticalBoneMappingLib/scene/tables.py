"""The regional values as a table node."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from ..study.regions import REGION_COLUMNS

_ARRAYS = {str: vtk.vtkStringArray, float: vtk.vtkDoubleArray, int: vtk.vtkIntArray}


def add_region_table(
    scene: slicer.vtkMRMLScene, rows: list[dict[str, Any]], name: str
) -> slicer.vtkMRMLTableNode:
    """Add the regional values as a table.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where the table is added.
    rows : list of dict
        One row per region and measure, with the keys of `REGION_COLUMNS`.
    name : str
        Name of the table.

    Returns
    -------
    vtkMRMLTableNode
    """
    table = vtk.vtkTable()
    for column, kind in REGION_COLUMNS.items():
        array = _ARRAYS[kind]()
        array.SetName(column)
        for row in rows:
            array.InsertNextValue(kind(row[column]))
        table.AddColumn(array)
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    node.SetAndObserveTable(table)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    return node


def region_rows(node: slicer.vtkMRMLTableNode) -> list[dict[str, Any]]:
    """Give the rows of a region table.

    Tables come back from a scene file as text where no schema was kept, so every value is brought to
    the kind of its column.

    Returns
    -------
    list of dict
        With the keys of `REGION_COLUMNS`.
    """
    table = node.GetTable()
    columns = {name: table.GetColumnByName(name) for name in REGION_COLUMNS}
    return [
        {name: kind(columns[name].GetValue(row)) for name, kind in REGION_COLUMNS.items()}
        for row in range(table.GetNumberOfRows())
    ]

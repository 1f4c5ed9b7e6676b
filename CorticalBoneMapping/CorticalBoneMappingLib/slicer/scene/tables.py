"""Table nodes of rows, such as the regional values."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from ...pipeline.regions import REGION_COLUMNS

_ARRAYS = {str: vtk.vtkStringArray, float: vtk.vtkDoubleArray, int: vtk.vtkIntArray}


def add_region_table(
    scene: slicer.vtkMRMLScene, rows: list[dict[str, Any]], name: str
) -> slicer.vtkMRMLTableNode:
    """Add the regional values as a table.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    rows : list of dict
        One row per region and measure, with the keys of `REGION_COLUMNS`.
    name : str
        Name of the table.

    Returns
    -------
    vtkMRMLTableNode
    """
    return add_table(scene, rows, REGION_COLUMNS, name)


def add_table(
    scene: slicer.vtkMRMLScene, rows: list[dict[str, Any]], columns: dict[str, type], name: str
) -> slicer.vtkMRMLTableNode:
    """Add rows as a table; `columns` has the type of each column: str, float or int.

    Returns
    -------
    vtkMRMLTableNode
        Locked.
    """
    table = vtk.vtkTable()
    for column, kind in columns.items():
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
    """Return the rows of a region table.

    A table that comes back from a scene file without its schema holds text, so every value is converted to
    the type of its column.

    Returns
    -------
    list of dict
        With the keys of `REGION_COLUMNS`.
    """
    return table_rows(node, REGION_COLUMNS)


def table_rows(node: slicer.vtkMRMLTableNode, columns: dict[str, type]) -> list[dict[str, Any]]:
    """Return the rows of a table from `add_table`, also of one that came back from a file.

    A column that the saved scene does not have is not-a-number, or empty if it holds text.
    """
    table = node.GetTable()
    arrays = {name: table.GetColumnByName(name) for name in columns}
    return [
        {name: _typed(arrays[name] and arrays[name].GetValue(row), kind) for name, kind in columns.items()}
        for row in range(table.GetNumberOfRows())
    ]


def _typed(value: Any, kind: type) -> Any:
    if value is None:
        return "" if kind is str else float("nan")
    return float("nan") if kind is float and value == "" else kind(value)

"""A triangle surface with values at its points.

Points are RAS in mm; `io.surface_files` turns them to LPS in files.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

from .errors import SurfaceError

_UNIT_FIELD = "unit_of_"
_TEXT_FIELD = "text_of_"


@dataclass(frozen=True)
class Surface:
    """Triangles, and arrays over their vertices.

    Attributes
    ----------
    points : ndarray of shape (n_points, 3)
        RAS mm, float64.
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices, counter-clockwise seen from outside, int64.
    arrays : dict of str to ndarray of shape (n_points,) or (n_points, k)
        Values at the points.
    units : dict of str to str
        Unit of an array, where it has one.
    texts : dict of str to tuple of str
        What is known of the surface in words, by what it is (such as its verdict), a sentence each.

    Examples
    --------
    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> pyramid = Surface(corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    >>> pyramid.is_closed(), round(pyramid.volume_mm3, 4)
    (True, 0.1667)
    >>> pyramid.with_arrays(units={"height": "mm"}, height=corners[:, 2]).units
    {'height': 'mm'}
    """

    points: np.ndarray
    triangles: np.ndarray
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _corner_cross(self) -> np.ndarray:
        corners = self.points[self.triangles]
        return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

    @cached_property
    def normals(self) -> np.ndarray:
        """Outward unit normals at the points (area-weighted mean of the triangles'), shape (n_points, 3)."""
        corner, n = self.triangles.T.ravel(), len(self.points)
        sums = [np.bincount(corner, weights=np.tile(way, 3), minlength=n) for way in self._corner_cross.T]
        normals = np.stack(sums, axis=1)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return normals / np.where(length > 0, length, 1.0)

    @cached_property
    def triangle_areas(self) -> np.ndarray:
        """Area of each triangle in mm², shape (n_triangles,)."""
        return 0.5 * np.linalg.norm(self._corner_cross, axis=1)

    @cached_property
    def point_areas(self) -> np.ndarray:
        """Area of each point (a third of its triangles') in mm², shape (n_points,)."""
        shares = np.repeat(self.triangle_areas / 3.0, 3)
        return np.bincount(self.triangles.ravel(), weights=shares, minlength=len(self.points))

    @cached_property
    def edges(self) -> np.ndarray:
        """Each edge once, as a sorted pair of vertices, shape (n_edges, 2)."""
        n = max(len(self.points), 1)
        return np.stack(np.divmod(np.unique(_edge_numbers(self.triangles, n)), n), axis=1)

    @property
    def mean_spacing_mm(self) -> float:
        """Mean edge length in mm."""
        ends = self.points[self.edges]
        return float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).mean())

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume in mm³; negative when the triangles look inward."""
        corners = self.points[self.triangles]
        return float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0)

    def is_closed(self) -> bool:
        """Whether every edge has exactly two triangles."""
        n = max(len(self.points), 1)
        _, counts = np.unique(_edge_numbers(self.triangles, n), return_counts=True)
        return bool(len(counts)) and bool(np.all(counts == 2))

    def with_arrays(self, units: dict[str, str] | None = None, **arrays: np.ndarray) -> Surface:
        """Give a surface with more arrays over its points.

        Parameters
        ----------
        units : dict of str to str, optional
            Units of those arrays.
        **arrays : ndarray of shape (n_points,) or (n_points, k)
            The arrays by name.

        Returns
        -------
        Surface
        """
        return replace(self, arrays=self.arrays | arrays, units=self.units | (units or {}))

    def mirrored(self) -> Surface:
        """Give the left-right mirror image, its triangles still looking outward; arrays stay."""
        return replace(self, points=self.points * [-1.0, 1.0, 1.0], triangles=self.triangles[:, ::-1].copy())


def _edge_numbers(triangles: np.ndarray, n_points: int) -> np.ndarray:
    """Number the three sides of each triangle, lower vertex × n_points + higher, shape (3 n_triangles,).

    One number sorts many times faster than a pair.
    """
    start, stop = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
    return np.minimum(start, stop) * n_points + np.maximum(start, stop)


def to_polydata(surface: Surface) -> vtk.vtkPolyData:
    """Convert to VTK; coordinates stay as they are (RAS)."""
    polydata = vtk.vtkPolyData()
    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(surface.points), deep=True))
    polydata.SetPoints(points)
    cells = vtk.vtkCellArray()
    offsets = np.arange(0, 3 * len(surface.triangles) + 1, 3, dtype=np.int64)
    connectivity = np.ascontiguousarray(surface.triangles, dtype=np.int64).ravel()
    cells.SetData(
        numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(connectivity, deep=True)
    )
    polydata.SetPolys(cells)
    for name, values in surface.arrays.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        polydata.GetPointData().AddArray(array)
    for name, unit in surface.units.items():
        add_text(polydata, _UNIT_FIELD + name, unit)
    for name, sentences in surface.texts.items():
        if sentences:
            add_text(polydata, _TEXT_FIELD + name, *sentences)
    return polydata


def from_polydata(polydata: vtk.vtkPolyData) -> Surface:
    """Convert from VTK; coordinates stay as they are.

    Raises
    ------
    SurfaceError
        If there are no triangles.
    """
    triangulate = vtk.vtkTriangleFilter()
    triangulate.SetInputData(polydata)
    triangulate.PassVertsOff()
    triangulate.PassLinesOff()
    triangulate.Update()
    mesh = triangulate.GetOutput()
    if mesh.GetNumberOfPolys() == 0:
        raise SurfaceError("The surface has no triangles.")
    points = vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    point_data, texts = mesh.GetPointData(), mesh.GetFieldData()
    arrays = {}
    for index in range(point_data.GetNumberOfArrays()):
        array = point_data.GetArray(index)
        if array is not None and array.GetName():
            arrays[array.GetName()] = vtk_to_numpy(array).copy()
    found = {}
    for index in range(texts.GetNumberOfArrays()):
        text = texts.GetAbstractArray(index)
        if isinstance(text, vtk.vtkStringArray) and text.GetName():
            found[text.GetName()] = tuple(text.GetValue(n) for n in range(text.GetNumberOfValues()))
    units = {name: values[0] for name, values in _with_prefix(found, _UNIT_FIELD).items() if values}
    return Surface(points, triangles, arrays, units, _with_prefix(found, _TEXT_FIELD))


def _with_prefix(found: dict[str, tuple[str, ...]], prefix: str) -> dict[str, tuple[str, ...]]:
    return {name.removeprefix(prefix): values for name, values in found.items() if name.startswith(prefix)}


def add_text(polydata: vtk.vtkPolyData, name: str, *sentences: str) -> None:
    """Add sentences to the field data of a VTK surface."""
    array = vtk.vtkStringArray()
    array.SetName(name)
    for sentence in sentences:
        array.InsertNextValue(sentence)
    polydata.GetFieldData().AddArray(array)

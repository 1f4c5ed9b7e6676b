"""Surfaces from and to files: LPS in mm outside, as Slicer writes and expects them; RAS in mm inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import vtk

from ..core.errors import SurfaceError
from ..core.surface import Surface, add_text, from_polydata, to_polydata
from .files import raise_if_full, whole_file

_READERS = {
    ".vtp": vtk.vtkXMLPolyDataReader,
    ".vtk": vtk.vtkPolyDataReader,
    ".stl": vtk.vtkSTLReader,
    ".ply": vtk.vtkPLYReader,
    ".obj": vtk.vtkOBJReader,
}
# RAS and LPS differ by the sign of the first two coordinates, so one array serves both ways.
_RAS_LPS = np.array([-1.0, -1.0, 1.0])
_SPACE_FIELD = "SPACE"  # the name under which Slicer keeps it in VTP files


def write_surface(path: str | Path, surface: Surface) -> None:
    """Write a VTP file in LPS, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Ends in ``.vtp``.
    surface : Surface
        Arrays keep their names; units go to field data as ``unit_of_<array>``, texts as ``text_of_<name>``.

    Raises
    ------
    OSError, SurfaceError
        If writing the file failed.
    """
    polydata = to_polydata(replace(surface, points=(surface.points * _RAS_LPS).astype(np.float32)))
    polydata.GetPolys().ConvertTo32BitStorage()  # half the size of VTK's default
    add_text(polydata, _SPACE_FIELD, "LPS")
    with whole_file(path) as temporary:
        if not _write_polydata(polydata, temporary):
            raise_if_full(temporary)
            raise SurfaceError(f"{path}: the surface could not be written.")


def read_surface(path: str | Path) -> Surface:
    """Read VTP, VTK, STL, PLY or OBJ.

    Parameters
    ----------
    path : str or Path
        Coordinates are taken as LPS mm unless the file states RAS.

    Returns
    -------
    Surface
        In RAS mm. STL corners that coincide are merged.

    Raises
    ------
    SurfaceError
        If the file is missing, of another kind, holds no triangles, or has points that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise SurfaceError(f"{path}: this file does not exist.")
    if path.suffix.lower() not in _READERS:
        known = ", ".join(_READERS)
        raise SurfaceError(f"{path}: '{path.suffix}' is not a kind of surface this program reads ({known}).")
    errors: list[str] = []
    reader = _READERS[path.suffix.lower()]()
    reader.AddObserver("ErrorEvent", lambda *_: errors.append("error"))
    reader.SetFileName(str(path))
    reader.Update()
    polydata = reader.GetOutput()
    if errors or polydata is None or polydata.GetNumberOfPoints() == 0:
        raise SurfaceError(f"{path}: the file is damaged, or holds no surface.")
    space = polydata.GetFieldData().GetAbstractArray(_SPACE_FIELD)
    surface = from_polydata(polydata)
    if not np.all(np.isfinite(surface.points)):
        raise SurfaceError(f"{path}: some points of the surface are not finite numbers.")
    is_ras = space is not None and space.GetValue(0) == "RAS"
    return surface if is_ras else replace(surface, points=surface.points * _RAS_LPS)


def _write_polydata(polydata: vtk.vtkPolyData, path: Path) -> bool:
    """Write a file and close it, as the writer does when it goes; give whether that went well."""
    writer = vtk.vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(polydata)
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetCompressorTypeToZLib()
    with quiet_vtk():
        is_written = writer.Write()
    # Of a full disk VTK may report that all was written, and keep the failure as a code.
    return bool(is_written) and not writer.GetErrorCode()


@contextmanager
def quiet_vtk() -> Iterator[None]:
    """Keep VTK from writing to the terminal; what matters is checked and raised as an error."""
    shown = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        vtk.vtkObject.SetGlobalWarningDisplay(shown)

"""How a result was made: what a stranger needs to make it again."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import SimpleITK as sitk
import vtk

from .. import __version__
from ..foreign_files import PROGRAM
from ..input_files import hash_of
from ..measures import QUALITY_LABELS, Quality
from .source import mapping_source


class Stopwatch:
    """Seconds by stage, in the order of the stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block."""
        begun = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begun, 3)


def program() -> dict[str, Any]:
    """Name, version and source of this program, and versions of what it computes with."""
    # Asked of the libraries themselves: those inside Slicer have no record with the package manager.
    libraries = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "vtk": vtk.vtkVersion.GetVTKVersion(),
        "SimpleITK": sitk.Version.VersionString(),
    }
    return {
        "name": PROGRAM,
        "version": __version__,
        "mapping_source": mapping_source(),
        "libraries": libraries,
    }


def input_record(path: str | Path) -> dict[str, Any]:
    """Name an input by its content: file name (never its folder) and SHA-256.

    Parameters
    ----------
    path : str or Path
        A file, or a folder of DICOM files; see `input_files.files_of` for what is read with it.

    Returns
    -------
    dict
        ``name`` and ``sha256``; and ``covers``, which says what was hashed, if that is more than one file.
    """
    sha256, covers = hash_of(path)
    record = {"name": Path(path).resolve().name if Path(path).is_dir() else Path(path).name}
    return record | {"sha256": sha256} | ({"covers": list(covers)} if covers else {})


def without_folders(text: str) -> str:
    """Keep the last part of a path, so that a record shows nothing of the machine it was made on.

    Parameters
    ----------
    text : str
        A path, ``rods:PATH``, or something that is no path and stays.

    Returns
    -------
    str
    """
    kind, colon, path = text.partition(":")
    if colon and kind.isalpha() and len(kind) > 1:  # one letter is a drive of Windows
        return f"{kind}:{without_folders(path)}"
    parts = [part for part in text.replace("\\", "/").split("/") if part]
    return parts[-1] if parts else text


def count_quality(quality: np.ndarray) -> dict[str, int]:
    """Count the points of each quality, by its label.

    Parameters
    ----------
    quality : ndarray of int, shape (n_points,)
        Values of `Quality`.
    """
    return {QUALITY_LABELS[kind]: int(np.sum(quality == kind)) for kind in Quality}


def plain(content: Any) -> Any:
    """Turn numpy values and not-a-number into what JSON knows (not-a-number becomes null)."""
    if isinstance(content, dict):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, np.ndarray | np.generic):
        return plain(content.tolist())
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content

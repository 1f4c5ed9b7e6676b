"""Shape models as files: a VTP file with the modes, and a JSON file with the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import SurfaceError
from ..core.surface import Surface
from ..io.files import write_json
from ..io.surface_files import read_surface, write_surface
from .plausibility import LeftOut
from .shape_model import ShapeModel

_STEP_MM = 1.0 / 256.0  # modes are written to this precision: it halves the file and moves no point
_RAS_LPS = np.array([-1.0, -1.0, 1.0])
_LEFT_OUT_SD = "left_out_sd"


def write_shape_model(path: str | Path, model: ShapeModel) -> None:
    """Write a shape model as a VTP file, with a JSON file of the same name beside it.

    The JSON file holds ``people``, ``residual_sd_mm``, ``explained`` and, where the model knows it,
    ``left_out``: what it makes of people left out, by the names of `LeftOut`. Its ``sd_mm`` is the array
    ``left_out_sd`` of the VTP file.

    Parameters
    ----------
    path : str or Path
        Ends in ``.vtp``. Its vector arrays ``mode_01``, ``mode_02`` … are displacements in mm, LPS like
        the points, for one standard deviation.
    model : ShapeModel
        Is written with modes rounded to 1/256 mm.
    """
    names = [f"mode_{number:02d}" for number in range(1, len(model.modes) + 1)]
    arrays = dict(zip(names, (_rounded(model.modes) * _RAS_LPS).astype(np.float32)))
    facts: dict[str, Any] = {
        "people": model.people,
        "residual_sd_mm": round(model.residual_sd_mm, 6),
        "explained": _plain(model.explained),
    }
    if (known := model.left_out) is not None:
        arrays[_LEFT_OUT_SD] = np.maximum(_rounded(known.sd_mm), _STEP_MM).astype(np.float32)
        facts["left_out"] = {
            "people": known.people,
            "residual_mm": round(known.residual_mm, 6),
            "explained": _plain(known.explained),
            "coordinates_log": _plain(known.coordinates_log),
            "residual_log": _plain(known.residual_log),
            "correlation": round(known.correlation, 6),
        }
    units = dict.fromkeys(arrays, "mm")
    write_surface(path, Surface(model.mean, model.surface.triangles, arrays, units=units))
    write_json(Path(path).with_suffix(".json"), facts)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.round(values / _STEP_MM) * _STEP_MM


def _plain(values: np.ndarray | tuple[float, ...]) -> list[float]:
    return [round(float(value), 6) for value in values]


def read_shape_model(path: str | Path) -> ShapeModel:
    """Read a shape model that `write_shape_model` wrote.

    Parameters
    ----------
    path : str or Path
        The VTP file.

    Returns
    -------
    ShapeModel
        Without `left_out` if the files do not know it: it then judges a shape by its coordinates alone.

    Raises
    ------
    SurfaceError
        If a file is missing or not a shape model.
    """
    surface = read_surface(path)
    facts_path = Path(path).with_suffix(".json")
    try:
        facts = json.loads(facts_path.read_text(encoding="utf-8"))
        explained = np.array(facts["explained"], dtype=np.float64)
        names = [f"mode_{number:02d}" for number in range(1, len(explained) + 1)]
        modes = np.array([surface.arrays[name] for name in names], dtype=np.float64) * _RAS_LPS
        residual_sd_mm, people = float(facts["residual_sd_mm"]), int(facts["people"])
        left_out = _left_out(facts["left_out"], surface) if "left_out" in facts else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SurfaceError(f"{path}: with {facts_path.name}, this is not a shape model.") from error
    bare = Surface(surface.points, surface.triangles)
    return ShapeModel(bare, modes.reshape(len(explained), -1, 3), residual_sd_mm, people, explained, left_out)


def _left_out(facts: dict[str, Any], surface: Surface) -> LeftOut:
    coordinates_log, residual_log = (
        (float(mean), float(sd)) for mean, sd in (facts["coordinates_log"], facts["residual_log"])
    )
    return LeftOut(
        people=int(facts["people"]),
        sd_mm=np.asarray(surface.arrays[_LEFT_OUT_SD], dtype=np.float64),
        residual_mm=float(facts["residual_mm"]),
        explained=np.array(facts["explained"], dtype=np.float64),
        coordinates_log=coordinates_log,
        residual_log=residual_log,
        correlation=float(facts["correlation"]),
    )

"""An atlas as a folder: written whole beside its place, then put there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..anatomy import Anatomy
from ..errors import SettingError
from ..files import write_json
from ..folders import ready_folder, whole_folder
from ..meshing import remesh
from ..shape_model import write_shape_model
from ..surface import Surface, write_surface
from .average import DENSITIES, KIND, RECORD, SHAPE_MODEL, read_record
from .build import Average, BuildSettings

_SHAPE_MODEL_POINTS = 2000  # modes are smooth: interpolated from so few points they are right to 0.01 mm


def check_place(folder: Path) -> None:
    """Refuse a folder that holds anything but an atlas, before the work begins.

    Raises
    ------
    SettingError
        If writing an atlas there would destroy something.
    """
    if folder.is_dir() and any(folder.iterdir()):
        try:
            read_record(folder)
        except SettingError as error:
            raise SettingError(
                f"{folder}: this folder holds something else than an atlas. Give one that is new or empty."
            ) from error
    ready_folder(folder, "atlas", RECORD, [*DENSITIES.values(), SHAPE_MODEL])


def write_atlas(
    folder: Path,
    average: Average,
    anatomy: Anatomy,
    region_names: dict[int, str],
    name: str,
    settings: BuildSettings,
) -> None:
    """Write an atlas, whole or not at all; one that is there already is replaced.

    Parameters
    ----------
    folder : Path
        New, empty, or an atlas.
    average : Average
        Its meshes have the arrays ``region`` and ``cut_end``.
    anatomy : Anatomy
        Of the average.
    region_names : dict of int to str
        By the values of ``region``.
    name : str
        Of the atlas.
    settings : BuildSettings
        With which it was built.

    Raises
    ------
    SettingError
        If the folder holds something else.
    """
    check_place(folder)
    with whole_folder(folder, "atlas", RECORD) as temporary:
        _write_files(temporary, average)
        write_json(temporary / RECORD, _record(average, anatomy, region_names, name, settings))


def _record(
    average: Average, anatomy: Anatomy, region_names: dict[int, str], name: str, settings: BuildSettings
) -> dict[str, Any]:
    rounds = [{key: round(value, 4) for key, value in asdict(one).items()} for one in average.rounds]
    return {
        "kind": KIND,
        "name": name,
        "people": average.rounds[-1].people,
        "region_names": {str(number): region for number, region in region_names.items()},
        "landmarks": {
            place: (np.round(point, 3) + 0.0).tolist() for place, point in anatomy.landmarks.items()
        },
        "head_radius_mm": round(anatomy.head_radius_mm, 3),
        "settings": asdict(settings),
        "rounds": rounds,
        "left_out": average.left_out,
        "remarks": average.remarks,
        "program": {"name": "cortical-bone-mapping", "version": __version__},
    }


def _write_files(folder: Path, average: Average) -> None:
    meshes = {"standard": average.surface, "fine": average.fine}
    for density, name in DENSITIES.items():
        write_surface(folder / name, meshes[density])
    bare = Surface(average.surface.points, average.surface.triangles)
    coarse = remesh(bare, n_points=min(_SHAPE_MODEL_POINTS, len(bare.points)))
    write_shape_model(folder / SHAPE_MODEL, average.shape_model.resampled(coarse))

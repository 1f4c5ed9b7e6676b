"""Read the femurs of a cohort, build their atlas with its landmarks and regions, and write it to a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from .. import __version__
from ..anatomy import Anatomy, measure_anatomy
from ..anatomy.regions import CUT_END, regions_of
from ..core.errors import SettingError
from ..core.progress import Progress
from ..core.side import SIDES
from ..core.surface import Surface
from ..io.files import write_json
from ..io.folders import ready_folder, whole_folder
from ..io.surface_files import read_surface, write_surface
from ..io.tables import read_written_table
from ..mesh.meshing import remesh
from ..mesh.shape_model import ShapeModel
from ..mesh.shape_model_files import write_shape_model
from ..registration import RegistrationSettings, register
from .average import DENSITIES, KIND, RECORD, SHAPE_MODEL, AverageFemur, read_atlas_record
from .build import BuildSettings, CohortAverage, build_average
from .femurs import Subject

_SHAPE_MODEL_POINTS = 2000  # modes are smooth: interpolated from so few points they are exact to 0.01 mm


def read_cohort(right: Sequence[Path], left: Sequence[Path] = ()) -> list[Subject]:
    """Read surfaces of femurs.

    Parameters
    ----------
    right, left : sequence of Path
        Files of right and of left femurs. A ``.csv`` file lists some in its columns ``surface`` (relative to
        the table), ``side`` (left or right) and, if it has it, ``person`` (whose femur it is; empty for a
        person of whom no other is given).

    Returns
    -------
    list of Subject
        In the order given, right ones first; named by their files.

    Raises
    ------
    SettingError, TableError
        If no file is given, reading a table fails, it lacks a column or a side, or a file is listed twice.
    SurfaceError
        If reading a surface fails.
    """
    listed = []
    for side, paths in (("right", right), ("left", left)):
        for path in paths:
            listed += _rows(path) if path.suffix.lower() == ".csv" else [(path, side, "")]
    if not listed:
        raise SettingError("No femur is given: name their surfaces, or a table that lists them.")
    names = _names([path for path, _, _ in listed])
    return [
        Subject(name, read_surface(path), side, person) for name, (path, side, person) in zip(names, listed)
    ]


def _rows(table: Path) -> list[tuple[Path, str, str]]:
    written = read_written_table(table)
    if not {"surface", "side"} <= written.columns.keys():
        raise SettingError(
            f"{table}: the table needs the columns surface and side, and a row for each femur."
        )
    surfaces, sides = written.columns["surface"], written.columns["side"]
    for row, surface, side in zip(written.rows, surfaces, sides):
        if side not in SIDES:
            raise SettingError(f"{table}, row {row}: the side is '{side}'; it must be left or right.")
        if not surface:
            raise SettingError(f"{table}, row {row}: the surface is empty; name a file.")
    persons = written.columns.get("person", [""] * len(sides))
    return [(table.parent / surface, *rest) for surface, *rest in zip(surfaces, sides, persons)]


def _names(paths: Sequence[Path]) -> list[str]:
    """Name each file by the shortest end of its path that no other file has."""
    if len({path.resolve() for path in paths}) < len(paths):
        twice = next(path for path in paths if [p.resolve() for p in paths].count(path.resolve()) > 1)
        raise SettingError(f"{twice}: this femur is listed twice.")
    depth = 1
    names = [path.name for path in paths]
    while len(set(names)) < len(names):
        depth += 1
        names = ["/".join(path.resolve().parts[-depth:]) for path in paths]
    return names


def build_atlas(
    subjects: Sequence[Subject],
    folder: Path,
    name: str,
    origin: AverageFemur,
    settings: BuildSettings | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> CohortAverage:
    """Build the atlas of a cohort and write it.

    Parameters
    ----------
    subjects : sequence of Subject
        The cohort.
    folder : Path
        New, empty, or an atlas, which is replaced once the new one is whole.
    name : str
        Of the atlas.
    origin : AverageFemur
        Where the average begins, and whose regions it gets.
    settings : BuildSettings, optional
        How.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    executor : concurrent.futures.Executor, optional
        Registers several femurs at a time; see `build_average`.

    Returns
    -------
    CohortAverage
        As it was written.

    Raises
    ------
    CorticalBoneMappingError
        Of the step that failed, with the reason.
    """
    settings, progress = settings or BuildSettings(), progress or Progress()
    start = Surface(
        origin.surface.points, origin.surface.triangles, {"cut_end": origin.surface.arrays["cut_end"]}
    )
    average = build_average(subjects, start, origin.shape_model, settings, progress.part(0.0, 0.9), executor)
    progress.report(0.9, "Carrying the regions over")
    average, anatomy = centred(average)
    average = with_regions_of(average, origin)
    progress.report(0.95, "Writing")
    write_atlas(folder, average, anatomy, origin.region_names, name, settings)
    progress.report(1.0, "Done")
    return average


def check_place(folder: Path) -> None:
    """Check before the work that an atlas can be written to a folder.

    Raises
    ------
    SettingError
        If the folder holds something else.
    """
    if folder.is_dir() and any(folder.iterdir()):
        try:
            read_atlas_record(folder)
        except SettingError as error:
            raise SettingError(
                f"{folder}: this folder holds something else than an atlas. Give one that is new or empty."
            ) from error
    ready_folder(folder, "atlas", RECORD, [*DENSITIES.values(), SHAPE_MODEL])


def write_atlas(
    folder: Path,
    average: CohortAverage,
    anatomy: Anatomy,
    region_names: dict[int, str],
    name: str,
    settings: BuildSettings,
) -> None:
    """Write an atlas, whole or not at all; an existing one is replaced.

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
    average: CohortAverage, anatomy: Anatomy, region_names: dict[int, str], name: str, settings: BuildSettings
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
        "shape_covariates": covariates_of(average.shape_model),
        "settings": asdict(settings),
        "rounds": rounds,
        "left_out": average.left_out,
        "remarks": average.warnings,
        "program": {"name": "cortical-bone-mapping", "version": __version__},
    }


def covariates_of(model: ShapeModel) -> dict[str, float]:
    """Return the modes that may be covariates of a study, with the share of shape that each explains."""
    return {
        f"femur shape {number}": round(float(share), 4)
        for number, share in enumerate(model.shares[: model.n_covariates], start=1)
    }


def _write_files(folder: Path, average: CohortAverage) -> None:
    meshes = {"standard": average.surface, "fine": average.fine}
    for density, name in DENSITIES.items():
        write_surface(folder / name, meshes[density])
    bare = Surface(average.surface.points, average.surface.triangles)
    coarse = remesh(bare, n_points=min(_SHAPE_MODEL_POINTS, len(bare.points)))
    write_shape_model(folder / SHAPE_MODEL, average.shape_model.resampled(coarse))


def centred(average: CohortAverage) -> tuple[CohortAverage, Anatomy]:
    """Put the origin at the head's centre, and measure the anatomy there.

    Raises
    ------
    SurfaceError
        If a landmark is not found on the average.
    """
    shift = -measure_anatomy(average.fine, "right").landmarks["head_centre"]
    model = average.shape_model

    def moved(surface: Surface) -> Surface:
        return replace(surface, points=surface.points + shift)

    moved_model = replace(model, surface=moved(model.surface))
    average = replace(
        average, surface=moved(average.surface), fine=moved(average.fine), shape_model=moved_model
    )
    return average, measure_anatomy(average.fine, "right")


def with_regions_by_anatomy(average: CohortAverage, anatomy: Anatomy) -> CohortAverage:
    """Add the array ``region`` (int8) to the meshes, by the definitions of `anatomy.regions`."""
    return _labelled(average, lambda surface: regions_of(surface, anatomy))


def with_regions_of(average: CohortAverage, atlas: AverageFemur) -> CohortAverage:
    """Carry the regions of an atlas to an average femur by registration.

    Parameters
    ----------
    average : Average
        Without regions.
    atlas : AverageFemur
        Whose regions are carried; its fine mesh has their borders best.

    Returns
    -------
    Average
        Its meshes with the array ``region`` (int8). Places that the atlas does not reach get the region of
        the closest place that it reaches.
    """
    settings = RegistrationSettings(check_side=False)
    registered_template = register(
        average.fine, atlas.surface, "right", shape_model=atlas.shape_model, settings=settings
    )
    carried = registered_template.to_subject(atlas.region.astype(np.int64))
    known = (carried >= 0) & (carried != CUT_END)
    tree = cKDTree(average.fine.points[known])
    return _labelled(average, lambda surface: carried[known][tree.query(surface.points)[1]])


def _labelled(average: CohortAverage, region_of: Callable[[Surface], np.ndarray]) -> CohortAverage:
    """Label both meshes; the flat end has no region."""

    def labelled(surface: Surface) -> Surface:
        at_end = surface.arrays["cut_end"] == 1
        return surface.with_arrays(region=np.where(at_end, CUT_END, region_of(surface)).astype(np.int8))

    return replace(average, surface=labelled(average.surface), fine=labelled(average.fine))

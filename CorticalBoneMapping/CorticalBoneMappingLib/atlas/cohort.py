"""The femurs of a cohort, by their files and sides, and their atlas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import SettingError
from ..progress import Progress
from ..surface import Surface, read_surface
from ..written_table import read_written_table
from .average import AverageFemur
from .build import Average, BuildSettings, Subject, build_average
from .folder import write_atlas
from .labels import centred, with_regions_of


def read_cohort(right: Sequence[Path], left: Sequence[Path] = ()) -> list[Subject]:
    """Read surfaces of femurs.

    Parameters
    ----------
    right, left : sequence of Path
        Files of right and of left femurs. A ``.csv`` file stands for those that it lists in its columns
        ``surface`` (relative to the table) and ``side`` (left or right).

    Returns
    -------
    list of Subject
        In the order given, right ones first; named by their files.

    Raises
    ------
    SettingError, TableError
        If no file is given, a table cannot be read, lacks a column or a side, or a file is listed twice.
    SurfaceError
        If a surface cannot be read.
    """
    listed = []
    for side, paths in (("right", right), ("left", left)):
        for path in paths:
            listed += _rows(path) if path.suffix.lower() == ".csv" else [(path, side)]
    if not listed:
        raise SettingError("There are no femurs: name their surfaces, or a table that lists them.")
    names = _names([path for path, _ in listed])
    return [Subject(name, read_surface(path), side) for name, (path, side) in zip(names, listed)]


def build_atlas(
    subjects: Sequence[Subject],
    folder: Path,
    name: str,
    origin: AverageFemur,
    settings: BuildSettings | None = None,
    progress: Progress | None = None,
) -> Average:
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
        Where the average begins, and whose regions it takes over.
    settings : BuildSettings, optional
        How.
    progress : Progress, optional
        Told after each femur.

    Returns
    -------
    Average
        As it was written.

    Raises
    ------
    CorticalBoneMappingError
        Of the kind that tells which step could not be done and why.
    """
    settings, progress = settings or BuildSettings(), progress or Progress()
    start = Surface(
        origin.surface.points, origin.surface.triangles, {"cut_end": origin.surface.arrays["cut_end"]}
    )
    average = build_average(subjects, start, origin.shape_model, settings, progress.part(0.0, 0.9))
    progress.report(0.9, "Carrying the regions over")
    average, anatomy = centred(average)
    average = with_regions_of(average, origin)
    progress.report(0.95, "Writing")
    write_atlas(folder, average, anatomy, origin.region_names, name, settings)
    progress.report(1.0, "Done")
    return average


def _rows(table: Path) -> list[tuple[Path, str]]:
    written = read_written_table(table)
    if not {"surface", "side"} <= written.columns.keys():
        raise SettingError(
            f"{table}: the table needs the columns surface and side, and a row for each femur."
        )
    surfaces, sides = written.columns["surface"], written.columns["side"]
    for row, surface, side in zip(written.rows, surfaces, sides):
        if side not in ("left", "right"):
            raise SettingError(f"{table}, row {row}: the side is '{side}'; it is left or right.")
        if not surface:
            raise SettingError(f"{table}, row {row}: the surface is empty; name a file.")
    return [(table.parent / surface, side) for surface, side in zip(surfaces, sides)]


def _names(paths: Sequence[Path]) -> list[str]:
    """Give each file the shortest end of its path that no other file has."""
    if len({path.resolve() for path in paths}) < len(paths):
        twice = next(path for path in paths if [p.resolve() for p in paths].count(path.resolve()) > 1)
        raise SettingError(f"{twice}: this femur is listed twice.")
    depth = 1
    names = [path.name for path in paths]
    while len(set(names)) < len(names):
        depth += 1
        names = ["/".join(path.resolve().parts[-depth:]) for path in paths]
    return names

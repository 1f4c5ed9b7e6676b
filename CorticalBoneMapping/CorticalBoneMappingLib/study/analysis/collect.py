"""Collect the maps of a study, row by row of its table, and choose the rows that a model is fitted to."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...core.errors import StatisticsError
from ...core.progress import Progress
from ...core.side import SIDES
from ...core.surface import Surface
from ...io.surface_files import read_surface
from ...mesh.smoothing import smooth
from ...pipeline.provenance import input_record
from ...pipeline.result import AVERAGE_FILE
from ...statistics.maps import Maps
from ...statistics.model.design import Term, read_terms
from ...statistics.model.effects import change_from_baseline
from ...statistics.table import PARTICIPANT, PATH, SIDE, VISIT, Table, read_table
from ..mapping.results_table import table_of_results, without_rejected
from ..study_file.study_toml import Coding, StudyFile

_NEEDED = (PARTICIPANT, VISIT, SIDE, PATH)
_TOGETHER = 64  # maps smoothed at once: one factorisation for all, memory bounded; chosen by hand


def rows_of_hips(maps: Maps, hips: str) -> Maps:
    """Return the rows of the chosen hips: ``both``, their ``mean``, ``left`` or ``right``.

    Raises
    ------
    StatisticsError
        If no row is of that side.
    """
    if hips == "both":
        return maps
    if hips == "mean":
        return _one_hip_a_visit(maps)
    rows = maps.table.labels(SIDE) == hips
    if not rows.any():
        raise StatisticsError(f"No row of the table is of the {hips} hip; choose other hips.")
    return maps.take(rows)


def outcome_of(maps: Maps, outcome: str, baseline: str) -> Maps:
    """Return what the model is fitted to: the values, or their change from each hip's own baseline.

    Raises
    ------
    StatisticsError
        If no row is of the baseline visit.
    """
    if outcome == "value":
        return maps
    return change_from_baseline(maps, baseline, "percent" if outcome == "percent-change" else "absolute")


def _one_hip_a_visit(maps: Maps) -> Maps:
    """Average left and right of every participant and visit; one side alone counts for both.

    Returns
    -------
    Maps
        Rows in the order of their first; a vertex measured on one side only has that side's value. Columns
        of the table are those of the first row, except ``side``, which is gone.
    """
    keys = list(zip(maps.table.labels(PARTICIPANT), maps.table.labels(VISIT)))
    first: dict[tuple[str, str], int] = {}
    group = np.array([first.setdefault(key, len(first)) for key in keys])
    member = (np.arange(len(first))[:, None] == group).astype(np.float64)
    count = member @ maps.measured.astype(np.float64)
    total = member @ np.where(maps.measured, maps.values, 0.0)
    with np.errstate(invalid="ignore"):
        means = (total / count).astype(np.float32)
    rows = np.array([int(np.argmax(group == number)) for number in range(len(first))])
    table = maps.table.take(rows)
    kept = {name: values for name, values in table.columns.items() if name not in (SIDE, PATH)}
    return replace(maps, values=means, table=replace(table, columns=kept), sd=None)


def read_study_table(study: StudyFile) -> Table:
    """Read a study's table and check what every analysis needs of it.

    Where the table names scans, it becomes that of their maps. Rows that quality control rejected (``qc.csv``
    in the folder of results) lose their path, as if the visit had been missed; see `results_table.left_out`.

    Raises
    ------
    StatisticsError
        If a column is missing, a case has two rows, or a side is neither left nor right; names file and row.
    """
    if study.scans:
        table = table_of_results(study.table, study.results, study.scans, study.coding.levels)
    else:
        table = read_table(study.table, study.coding.levels)
    for name in _NEEDED:
        if name not in table:
            raise StatisticsError(
                f"{study.table}: the column '{name}' is missing; a study needs {', '.join(_NEEDED)}."
            )
    for name in (PARTICIPANT, VISIT, SIDE):
        if len(rows := np.flatnonzero(table.missing(name))):
            raise StatisticsError(f"{study.table}: '{name}' is empty in {table.describe_rows(rows)}.")
    wrong = np.flatnonzero(~np.isin(table.labels(SIDE), SIDES))
    if len(wrong):
        raise StatisticsError(
            f"{study.table}: the side is neither 'left' nor 'right' in {table.describe_rows(wrong)}."
        )
    try:
        table.refuse_duplicates()
    except StatisticsError as error:
        raise StatisticsError(f"{study.table}: {error}") from error
    return without_rejected(table, study.results)


def maps_record(table: Table, results: Path) -> dict[str, str]:
    """Return name and hash of the maps that are analysed, without those that were left out.

    Parameters
    ----------
    table : Table
        From `read_study_table`.
    results : Path
        What its paths are relative to.

    Returns
    -------
    dict
        ``name`` and ``sha256``; the hash changes with any map, and with which of them count.
    """
    columns = (table.labels(name) for name in (PARTICIPANT, VISIT, SIDE, PATH))
    rows = sorted(row for row in zip(*columns) if row[-1])
    digest = hashlib.sha256()
    for *identity, path in rows:
        hashed = input_record(results / path / AVERAGE_FILE)["sha256"]
        digest.update("\t".join([*identity, hashed]).encode("utf-8") + b"\n")
    return {"name": f"{len(rows)} maps", "sha256": digest.hexdigest()}


def collect_maps(
    table: Table,
    results: Path,
    measures: tuple[str, ...],
    progress: Progress | None = None,
) -> dict[str, Maps]:
    """Read every row's maps on the average femur.

    Parameters
    ----------
    table : Table
        With a column ``path``: the folder of the row's result, empty where the visit was missed.
    results : Path
        What relative paths are relative to.
    measures : tuple of str
        Which.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    dict of str to Maps
        Of n rows and v vertices each, float32; missed rows are not-a-number. Their surface is the average
        femur with its ``region``.

    Raises
    ------
    StatisticsError
        If a folder is missing, was made on another average femur or in another unit, or lacks a
        measure; names the rows.
    """
    progress = progress or Progress()
    folders = [results / path if path else None for path in table.labels(PATH)]
    _check_present(table, folders)
    average, values, units = None, {}, {}
    for row, folder in enumerate(folders):
        progress.report(row / len(folders), f"Reading map {row + 1} of {len(folders)}")
        if folder is None:
            continue
        surface = read_surface(folder / AVERAGE_FILE)
        if average is None:
            average = _bare(surface)
            shape = (len(table), len(surface.points))
            values = {measure: np.full(shape, np.nan, np.float32) for measure in measures}
            units = {measure: surface.units.get(measure, "") for measure in measures}
        _check_alike(table, row, surface, average, units)
        for measure in measures:
            values[measure][row] = surface.arrays[measure]
    if average is None:
        raise StatisticsError("No row of the table has a result; fill in its column 'path'.")
    progress.report(1.0, f"{len(folders)} rows read")
    return {measure: Maps(values[measure], table, measure, units[measure], average) for measure in measures}


def smoothed(maps: Maps, fwhm_mm: float, progress: Progress | None = None) -> Maps:
    """Smooth every map on the surface; vertices without a value stay without.

    Parameters
    ----------
    maps : Maps
        On a surface.
    fwhm_mm : float
        Full width at half maximum, mm; 0 leaves them as they are.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    """
    if fwhm_mm == 0:
        return maps
    progress = progress or Progress()
    values = np.empty_like(maps.values)
    for start in range(0, len(values), _TOGETHER):
        progress.report(start / len(values), f"Smoothing map {start + 1} of {len(values)}")
        part = slice(start, start + _TOGETHER)
        values[part] = smooth(maps.surface, maps.values[part].T.astype(np.float64), fwhm_mm).T
    return replace(maps, values=values, sd=None)


def parse_terms(texts: tuple[str, ...], table: Table, coding: Coding) -> list[Term]:
    """Return ``arm``, ``age`` or ``visit × arm`` as terms of a design.

    Text, visit, side and what the coding calls categorical are levels; other numbers are continuous.

    Raises
    ------
    StatisticsError
        If the table lacks a column.
    """
    return read_terms(texts, table, coding.categorical, coding.reference)


def _check_present(table: Table, folders: list[Path | None]) -> None:
    """Name all rows without a result at once, so that they can be fixed at once."""
    lacking = [
        row
        for row, folder in enumerate(folders)
        if folder is not None and not (folder / AVERAGE_FILE).is_file()
    ]
    if lacking:
        raise StatisticsError(
            f"{AVERAGE_FILE} is missing for {table.describe_rows(np.array(lacking))}; map these scans, or "
            "leave 'path' empty where a visit was missed."
        )


def _bare(surface: Surface) -> Surface:
    kept = {name: surface.arrays[name] for name in ("region", "cut_end") if name in surface.arrays}
    return replace(surface, arrays=kept, units={})


def _check_alike(table: Table, row: int, surface: Surface, average: Surface, units: dict[str, str]) -> None:
    same = surface.points.shape == average.points.shape and np.allclose(
        surface.points, average.points, atol=1e-3
    )
    if not same:
        raise StatisticsError(
            f"{table.describe(row)} was mapped to another average femur than the rows before; map all scans "
            "of a study with one atlas."
        )
    for measure, unit in units.items():
        if measure not in surface.arrays:
            raise StatisticsError(f"{table.describe(row)} lacks '{measure}'; map this scan again.")
        if (own := surface.units.get(measure, "")) != unit:
            raise StatisticsError(
                f"{table.describe(row)} gives '{measure}' in {own}, the rows before in {unit}; calibrate all "
                "scans of a study alike."
            )

"""Compare one patient: two scans with the scatter of repeat scans, or one scan with a control group."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import SettingError, StatisticsError
from ..core.measures import MEASURES
from ..core.progress import Progress
from ..core.surface import Surface
from ..io.files import write_json, write_text
from ..io.folders import ready_folder, whole_folder
from ..io.surface_files import write_surface
from ..io.tables import Columns, csv_of_rows
from ..pipeline.provenance import input_record, plain, program
from ..pipeline.regions import WHOLE_FEMUR
from ..pipeline.result import AVERAGE_FILE, PROVENANCE_FILE
from ..statistics.follow_up import (
    Change,
    Comparison,
    compare_scans,
    compare_with_controls,
    precision_from_repeats,
)
from ..statistics.inference.false_discovery import q_values
from ..statistics.maps import Maps
from ..statistics.model.design import build_design
from ..statistics.model.least_squares import fit_least_squares
from ..statistics.table import PARTICIPANT, PATH, Table, is_numeric, read_table
from .analysis.collect import collect_maps, parse_terms, smoothed
from .analysis.fit_and_test import region_names
from .study_file.study_toml import Coding

SURFACE_FILE, PICTURE_FILE = "comparison.vtp", "comparison.png"
REGIONS_FILE = "regions.csv"
CHANGE_COLUMNS: Columns = {
    "region": str,
    "unit": str,
    "first": float,
    "second": float,
    "change": float,
    "change_percent": float,
    "ci_lower": float,
    "ci_upper": float,
    "least_significant_change": float,
    "direction": int,
    "p": float,
}
CONTROL_COLUMNS: Columns = {
    "region": str,
    "unit": str,
    "patient": float,
    "expected": float,
    "difference": float,
    "t": float,
    "dof": float,
    "z": float,
    "percentile": float,
    "p": float,
}
"""Columns of the two region tables; `follow_up.Change` and `follow_up.Comparison` explain them."""


@dataclass(frozen=True)
class PatientAnswer:
    """What was found in one patient.

    Attributes
    ----------
    surface : Surface
        The average femur with the arrays named in `CHANGE_COLUMNS` or `CONTROL_COLUMNS`, and ``q``, the false
        discovery rate at which a vertex counts.
    shown : str
        The array that a picture shows: not-a-number where the change is within the least significant one.
    regions : list of dict
        Rows with the keys of `columns`; areas weigh, and each region has its own spread.
    columns : Columns
        `CHANGE_COLUMNS` or `CONTROL_COLUMNS`.
    provenance : dict
        How it was made.
    """

    surface: Surface
    shown: str
    regions: list[dict[str, Any]]
    columns: Columns
    provenance: dict[str, Any]


def compare_two_scans(
    first: Path,
    second: Path,
    repeats: Path,
    measure: str = "cortical_thickness",
    fwhm_mm: float = 10.0,
    level: float = 0.95,
    progress: Progress | None = None,
) -> PatientAnswer:
    """Compare two scans of one hip with what repeat scans of unchanged hips differ by.

    Parameters
    ----------
    first, second : Path
        Folders that `cbm map` wrote.
    repeats : Path
        CSV or TSV with a row a scan: ``participant``, perhaps ``visit`` and ``side``, and ``path``, the
        folder of its result relative to the table. Rows of equal participant, visit and side are repeats.
    measure : str
        One of `measures.MEASURES`.
    fwhm_mm : float
        Smoothing on the average femur of all of them, mm.
    level : float
        Of confidence, between 0 and 1.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    PatientAnswer

    Raises
    ------
    StatisticsError
        If the two are of different sides, or no hip was scanned twice, or maps do not fit together.
    """
    if _side(first) != _side(second):
        raise StatisticsError(
            f"{first} is a {_side(first)} femur and {second} a {_side(second)} one; compare two scans of one "
            "femur."
        )
    maps = _collect([first, second], repeats, measure, fwhm_mm, progress or Progress())
    change = _change(maps, level)
    regions = _by_region(maps)
    columns = vars(_change(regions, level)) | {"first": regions.values[0], "second": regions.values[1]}
    arrays = _named(vars(change)) | {"q": q_values(change.p)}
    shown = "change_where_significant"
    arrays[shown] = np.where(change.direction != 0, change.change, np.nan)
    record = _provenance(maps, repeats, fwhm_mm, [first, second]) | {"confidence_level": level}
    surface = _with(maps, arrays, ("change", "ci_lower", "ci_upper", "least_significant_change", shown))
    rows = _rows(regions, _named(columns), CHANGE_COLUMNS)
    return PatientAnswer(surface, shown, rows, CHANGE_COLUMNS, plain(record))


def compare_to_controls(
    patient: Path,
    values: Mapping[str, str],
    controls: Path,
    terms: tuple[str, ...],
    measure: str = "cortical_thickness",
    fwhm_mm: float = 10.0,
    progress: Progress | None = None,
) -> PatientAnswer:
    """Compare one scan with a control group.

    Parameters
    ----------
    patient : Path
        Folder that `cbm map` wrote.
    values : mapping of str to str
        The patient's own values of the columns that `terms` name.
    controls : Path
        CSV or TSV with a row a participant: ``participant``, ``path`` relative to the table, and covariates.
    terms : tuple of str
        Columns that the comparison is adjusted for, such as ``age`` and ``sex``; at least one.
    measure : str
        One of `measures.MEASURES`.
    fwhm_mm : float
        Smoothing on the average femur, mm.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    PatientAnswer

    Raises
    ------
    StatisticsError
        If a value or column is missing, or maps do not fit together.
    """
    maps = _collect([patient], controls, measure, fwhm_mm, progress or Progress())
    names = {name for term in terms for name in term.replace("×", "*").replace(":", "*").split("*")}
    lacking = sorted(name.strip() for name in names if name.strip() not in values)
    if lacking:
        raise StatisticsError(f"The patient's own {', '.join(lacking)} must be given, as '{lacking[0]}=…'.")
    row = Table.of({name: [value] for name, value in values.items()})
    found = _against(maps, row, terms)
    regions = _by_region(maps)
    columns = vars(_against(regions, row, terms)) | {"patient": regions.values[0]}
    arrays = dict(vars(found)) | {"patient": maps.values[0], "q": q_values(found.p)}
    record = _provenance(maps, controls, fwhm_mm, [patient])
    record |= {"adjusted_for": list(terms), "patient": dict(values)}
    surface = _with(maps, arrays, ("expected", "difference", "patient"))
    return PatientAnswer(
        surface, "z", _rows(regions, columns, CONTROL_COLUMNS), CONTROL_COLUMNS, plain(record)
    )


def check_place(folder: Path) -> None:
    """Check before the work that a comparison can be written to a folder; see `folders.ready_folder`."""
    ready_folder(folder, "comparison", PROVENANCE_FILE, [SURFACE_FILE, REGIONS_FILE, PICTURE_FILE])


def write_patient(answer: PatientAnswer, folder: Path) -> None:
    """Write surface, region table and provenance, or none of them."""
    with whole_folder(folder, "comparison", PROVENANCE_FILE) as temporary:
        write_surface(temporary / SURFACE_FILE, answer.surface)
        write_text(temporary / REGIONS_FILE, csv_of_rows(answer.columns, answer.regions))
        write_json(temporary / PROVENANCE_FILE, answer.provenance)


def _collect(own: list[Path], others: Path, measure: str, fwhm_mm: float, progress: Progress) -> Maps:
    """Read the patient's maps, in the first rows, and those of a table."""
    known = [name for name, kind in MEASURES.items() if not kind.is_uncertainty]
    if measure not in known:
        raise SettingError(f"The measure '{measure}' is unknown; choose one of {', '.join(known)}.")
    table = read_table(others)
    paths = [str(path.absolute()) for path in own]
    paths += [str(others.parent.absolute() / path) for path in table.labels(PATH)]
    nothing = {name: np.nan if is_numeric(values) else "" for name, values in table.columns.items()}
    columns = {name: np.array([nothing[name]] * len(own) + list(v)) for name, v in table.columns.items()}
    # Names of their own, so that the patient's scans never count as repeats.
    names = [f"this patient, scan {number}" for number in range(1, len(own) + 1)]
    columns[PARTICIPANT] = np.array(names + list(table.labels(PARTICIPANT)))
    columns[PATH] = np.array(paths)
    whole = Table(columns, (0,) * len(own) + table.rows, table.unclear)
    maps = collect_maps(whole, Path(), (measure,), progress.part(0.0, 0.7))[measure]
    return smoothed(maps, fwhm_mm, progress.part(0.7, 1.0))


def _change(maps: Maps, level: float) -> Change:
    repeats = maps.take(np.arange(2, len(maps.table)))
    return compare_scans(maps.values[0], maps.values[1], precision_from_repeats(repeats), level)


def _against(maps: Maps, row: Table, terms: tuple[str, ...]) -> Comparison:
    controls = maps.take(np.arange(1, len(maps.table)))
    design = build_design(controls.table, parse_terms(terms, controls.table, Coding()))
    return compare_with_controls(maps.values[0], row, fit_least_squares(controls.values, design))


def _by_region(maps: Maps) -> Maps:
    """Means of the whole femur, then of each region."""
    region, present = maps.surface.arrays["region"], region_names(maps)
    whole = maps.region_means(np.isin(region, list(present)).astype(int), {1: WHOLE_FEMUR})
    parts = maps.region_means(region, present)
    values = np.concatenate([whole.values, parts.values], axis=1)
    return Maps(values, maps.table, maps.measure, maps.unit, labels=whole.labels + parts.labels)


def _named(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns under the names that files use everywhere."""
    names = {
        "percent": "change_percent",
        "lower": "ci_lower",
        "upper": "ci_upper",
        "least_significant": "least_significant_change",
    }
    return {names.get(name, name): values for name, values in found.items()}


def _with(maps: Maps, arrays: Mapping[str, np.ndarray], with_unit: tuple[str, ...]) -> Surface:
    units = dict.fromkeys(with_unit, maps.unit)
    single = {name: v if v.dtype.kind == "i" else v.astype(np.float32) for name, v in arrays.items()}
    return maps.surface.with_arrays(units=units, **single)


def _rows(maps: Maps, columns: Mapping[str, np.ndarray], kinds: Columns) -> list[dict[str, Any]]:
    return [
        {"region": region, "unit": maps.unit}
        | {name: kind(columns[name][index]) for name, kind in kinds.items() if name in columns}
        for index, region in enumerate(maps.labels)
    ]


def _provenance(maps: Maps, others: Path, fwhm_mm: float, own: list[Path]) -> dict[str, Any]:
    return {
        "program": program(),
        "measure": maps.measure,
        "unit": maps.unit,
        "smoothing_fwhm_mm": fwhm_mm,
        "inputs": [input_record(folder / AVERAGE_FILE) | {"folder": folder.name} for folder in own],
        "others": input_record(others) | {"rows": len(maps.table) - len(own)},
        "sides": [_side(folder) for folder in own],
    }


def _side(folder: Path) -> str:
    try:
        return str(json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))["side"])
    except (OSError, ValueError, KeyError) as error:
        raise StatisticsError(
            f"{folder}: this is not the folder of a mapped femur, or it is damaged ({error})."
        ) from error

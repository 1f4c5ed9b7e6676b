"""The scans of a study: ``[scans]`` and ``[map]`` of its file, its table, and the cases in it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ...core.errors import SettingError
from ...core.wording import counted
from ...io.numbers import number_of
from ...io.tables import is_missing, is_spreadsheet_error, read_written_table
from ...pipeline.find.found_files import record_beside
from ...pipeline.settings import MapSettings
from ...statistics.table import ARM, PARTICIPANT, PATH, SIDE, VISIT
from .case_names import case_folder, case_name, label_of
from .problems import ERROR, NOTE, Problem
from .toml_values import check_keys, quoted

SERIES, MASK, LABEL, CALIBRATION = "series", "mask", "label", "calibration"
SLICE_THICKNESS, NOTES = "slice_thickness", "notes"
NEEDED = (PARTICIPANT, VISIT, SIDE, PATH)
OF_THE_SCAN = (SERIES, MASK, LABEL, CALIBRATION, SLICE_THICKNESS, NOTES)
"""Columns that say how a scan is mapped; no analysis needs them."""

BOTH = "both"
_SHOWN = 5  # faults in one message
_LONGEST_NAME = 200  # bytes; file systems allow 255, and a case adds to it
_SIDES = {"left": ("left",), "right": ("right",), BOTH: ("left", "right")}


@dataclass(frozen=True)
class StudyScans:
    """How the scans of a study are mapped: the tables ``[scans]`` and ``[map]`` of its file.

    Attributes
    ----------
    folder : Path
        What path, mask and calibration in the table are relative to.
    settings : MapSettings
        Of every case; a row's own label, calibration and slice thickness replace them.
    """

    folder: Path
    settings: MapSettings


@dataclass(frozen=True)
class Case:
    """One femur of one participant at one visit, and what it is measured from.

    Attributes
    ----------
    participant, visit, side : str
    ct : Path
        DICOM folder or file.
    mask : Path or None
        Label map or surface; None where the femur has to be found.
    settings : MapSettings
    row : int
        Of the table as a spreadsheet shows it; the header is row 1.
    series : str or None
        UID, description or number of the series, where a DICOM folder holds several.
    """

    participant: str
    visit: str
    side: str
    ct: Path
    mask: Path | None
    settings: MapSettings
    row: int
    series: str | None = None

    @property
    def name(self) -> str:
        """As BIDS would write it."""
        return case_name(self.participant, self.visit, self.side)

    @property
    def folder(self) -> Path:
        """Of its result, relative to the folder of results."""
        return case_folder(self.participant, self.visit, self.side)

    @property
    def inputs(self) -> dict[str, Path]:
        """All files that it is made from, by what they are."""
        files = {"ct": self.ct}
        if self.mask is not None:
            files["mask"] = self.mask
            if (record := record_beside(self.mask)) is not None:
                files["mask_record"] = record
        if self.settings.calibration.startswith("rods:"):
            files["rods"] = Path(self.settings.calibration.removeprefix("rods:"))
        return files


@dataclass(frozen=True)
class ScanTable:
    """The table of scans as it is written.

    Attributes
    ----------
    path : Path
    columns : dict of str to list of str
        Cells; empty where a value is missing.
    rows : tuple of int
        Number of each row as a spreadsheet shows it; the header is row 1.
    separator : str
        Between the cells.
    warnings : tuple of str
        What was uncertain when it was read.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: tuple[int, ...]
    separator: str
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def cell(self, column: str, row: int) -> str:
        """Return a cell, empty without such a column; the first row is 0."""
        return self.columns[column][row] if column in self.columns else ""

    def problem(self, row: int, column: str, sentence: str, severity: str = ERROR) -> Problem:
        """Return a problem of a cell; the first row is 0."""
        return Problem(str(self.path), self.rows[row], column, self.cell(column, row), severity, sentence)

    def problem_of(self, case: Case, column: str, sentence: str, severity: str = ERROR) -> Problem:
        """Return a problem of a cell in the row of a case."""
        return self.problem(self.rows.index(case.row), column, sentence, severity)


def scans_in(content: dict[str, Any], base: Path) -> StudyScans | None:
    """Read the tables ``[scans]`` and ``[map]`` of a study file.

    Parameters
    ----------
    content : dict
        Of the file.
    base : Path
        Its folder.

    Returns
    -------
    StudyScans or None
        None without ``[scans]``: the table then names folders of maps.

    Raises
    ------
    SettingError
        If a key is unknown, or a value is invalid.
    """
    if "scans" not in content:
        if "map" in content:
            raise SettingError("[map] says how scans are mapped; write [scans] as well, even if empty.")
        return None
    scans = content["scans"]
    if not isinstance(scans, dict) or set(scans) - {"folder"}:
        raise SettingError("[scans] knows one key: folder, which the paths of the table are relative to.")
    settings = _settings(content.get("map", {}), base)
    return StudyScans((base / str(scans.get("folder", "."))).resolve(), settings)


def scan_lines(scans: StudyScans) -> list[str]:
    """Write them as lines of TOML that `scans_in` reads, paths in full."""
    lines = ["", "[scans]", f"folder = {quoted(scans.folder.as_posix())}", "", "[map]"]
    for field in fields(MapSettings):
        value = getattr(scans.settings, field.name)
        value = value.as_posix() if isinstance(value, Path) else value
        lines += [] if value is None else [f"{field.name} = {quoted(value)}"]
    return lines


def read_scans(table: Path) -> ScanTable:
    """Read the table of scans.

    Raises
    ------
    TableError, SettingError
        If the file is not a table, or lacks a needed column.
    """
    written = read_written_table(table)
    columns = written.columns
    if lacking := [name for name in NEEDED if name not in columns]:
        raise SettingError(
            f"{table}: the column '{lacking[0]}' is missing; a study needs {', '.join(NEEDED)}, and this "
            f"table has {', '.join(columns)}."
        )
    cells = {name: ["" if is_missing(cell) else cell for cell in column] for name, column in columns.items()}
    return ScanTable(table, cells, written.rows, written.separator, written.warnings)


def cases_of(table: ScanTable, scans: StudyScans) -> tuple[list[Case], list[Problem]]:
    """Return the cases of a table; a row of both sides makes two, one without a path none.

    Parameters
    ----------
    table : ScanTable
    scans : StudyScans

    Returns
    -------
    cases : list of Case
        Of the rows in which nothing is wrong.
    problems : list of Problem
        All that is wrong with the cells, without a look at the scans.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for row in range(len(table)):
        found = _problems_of(table, row)
        settings = scans.settings
        for column in (LABEL, CALIBRATION, SLICE_THICKNESS):
            try:
                settings = replace(settings, **_setting_of(column, table.cell(column, row), scans.folder))
            except SettingError as error:
                found.append(table.problem(row, column, str(error)))
        problems += found
        if not any(problem.severity == ERROR for problem in found) and table.cell(PATH, row):
            cases += _cases_of(table, row, scans.folder, settings)
    kept, twice = _without_doubles(table, cases)
    return kept, problems + twice


def valid_cases(table: ScanTable, scans: StudyScans) -> list[Case]:
    """Return the cases of a table, if nothing is wrong with its cells.

    Raises
    ------
    SettingError
        If something is; names the first faults.
    """
    cases, problems = cases_of(table, scans)
    errors = [problem for problem in problems if problem.severity == ERROR]
    if not errors:
        return cases
    first = "\n".join(f"  {problem}" for problem in errors[:_SHOWN])
    more = f"\n  and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    count = f"{counted(len(errors), 'cell has', 'cells have')} to be corrected first"
    raise SettingError(f"{table.path}: {count} ('cbm study check' lists all):\n{first}{more}")


def sides_of(text: str) -> tuple[str, ...]:
    """Return the sides that a cell names; empty for anything else."""
    return _SIDES.get(text.lower(), ())


def _problems_of(table: ScanTable, row: int) -> list[Problem]:
    found = [
        table.problem(row, name, f"The {name} is empty (or NA, n/a, nan, a dot); fill it in.")
        for name in (PARTICIPANT, VISIT)
        if not table.cell(name, row)
    ]
    if len(label_of(table.cell(PARTICIPANT, row) + table.cell(VISIT, row))) > _LONGEST_NAME:
        sentence = "Participant and visit are too long for the name of a file; shorten them."
        found.append(table.problem(row, PARTICIPANT, sentence))
    found += [
        table.problem(row, name, "This is an error of a spreadsheet; correct the cell, or leave it empty.")
        for name in (*NEEDED, ARM, *OF_THE_SCAN)
        if is_spreadsheet_error(table.cell(name, row))
    ]
    side = table.cell(SIDE, row)
    if not sides_of(side):
        found.append(table.problem(row, SIDE, f"'{side}' is not a side; write left, right or both."))
    if not table.cell(PATH, row):
        sentence = "The scan is missing; this visit counts as missed."
        found.append(table.problem(row, PATH, sentence, NOTE))
    return found


def _cases_of(table: ScanTable, row: int, folder: Path, settings: MapSettings) -> list[Case]:
    mask = table.cell(MASK, row)
    return [
        Case(
            participant=table.cell(PARTICIPANT, row),
            visit=table.cell(VISIT, row),
            side=side,
            ct=folder / table.cell(PATH, row),
            mask=folder / mask if mask else None,
            settings=settings,
            row=table.rows[row],
            series=table.cell(SERIES, row) or None,
        )
        for side in sides_of(table.cell(SIDE, row))
    ]


def _setting_of(column: str, cell: str, folder: Path) -> dict[str, Any]:
    """Return what a cell of a row sets, instead of the study's; nothing if it is empty."""
    if not cell:
        return {}
    if column == CALIBRATION:
        return {"calibration": _rods_from(cell, folder)}
    number = number_of(cell)
    if column == SLICE_THICKNESS and number is not None:
        return {"slice_thickness_mm": number}
    if column == LABEL and number is not None and number == int(number):
        return {"label": int(number)}
    what = "label is a whole number" if column == LABEL else "slice thickness is a number of mm"
    raise SettingError(f"The {what}, not '{cell}'.")


def _without_doubles(table: ScanTable, cases: list[Case]) -> tuple[list[Case], list[Problem]]:
    """Keep the first of each name; names count as equal if only capitals differ, as to some file systems."""
    first: dict[str, Case] = {}
    problems = []
    for case in cases:
        same = first.setdefault(case.name.lower(), case)
        if same is not case:
            whose = f"participant {case.participant}, visit {case.visit}, {case.side}"
            alike = "is" if same.name == case.name else "but for capitals is"
            sentence = f"{whose} {alike} in row {same.row} already; remove one, or rename it."
            problems.append(table.problem_of(case, PARTICIPANT, sentence))
    return list(first.values()), problems


def _settings(entry: Any, base: Path) -> MapSettings:
    known = {field.name: str(field.type) for field in fields(MapSettings)}
    check_keys("[map]", entry, set(known))
    values = {key: _typed(key, known[key], value, base) for key, value in entry.items()}
    return MapSettings(**values)


def _typed(key: str, kind: str, value: Any, base: Path) -> Any:
    kinds = kind.split(" | ")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if "str" in kinds and isinstance(value, str):
        return _rods_from(value, base.resolve()) if key == "calibration" else value
    if "Path" in kinds and isinstance(value, str):
        return (base / value).resolve()
    if "float" in kinds and is_number:
        return float(value)
    if "int" in kinds and is_number and value == int(value):
        return int(value)
    raise SettingError(f"[map] {key} = {value!r} should be of the kind {kinds[0].lower()}.")


def _rods_from(calibration: str, folder: Path) -> str:
    """Make the path in ``rods:FILE`` relative to `folder`."""
    if not calibration.startswith("rods:"):
        return calibration
    return f"rods:{folder / calibration.removeprefix('rods:')}"

"""Check the participants' columns of a table: ages, weights, heights, arms, visits, names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ...io.numbers import ReadColumn, read_columns
from ...statistics.table import ARM, PARTICIPANT, TEXT_COLUMNS, VISIT, sorted_levels
from .case_names import alike, looks_rewritten
from .problems import NOTE, WARNING, Problem
from .scans import OF_THE_SCAN, ScanTable

_CONSTANT = (ARM, "sex")
"""Columns that do not change from visit to visit."""

_COLUMN = re.compile(r"(age|weight|height|bmi)(?:[ _\[(]+([a-z²/0-9]+)[)\]]*)?")


@dataclass(frozen=True)
class _Unit:
    """A unit, and the range in it that holds any adult (chosen by hand)."""

    measure: str
    name: str
    words: tuple[str, ...]
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


_UNITS = (
    _Unit("age", "years", ("years", "year", "y", "yr"), 18.0, 115.0),
    _Unit("age", "months", ("months",), 216.0, 1380.0),
    _Unit("age", "a year of birth", ("born",), 1880.0, 2100.0),
    _Unit("weight", "kg", ("kg",), 25.0, 300.0),
    _Unit("weight", "g", ("g",), 25_000.0, 300_000.0),
    _Unit("weight", "lb", ("lb", "lbs"), 55.0, 660.0),
    _Unit("height", "cm", ("cm",), 110.0, 230.0),
    _Unit("height", "m", ("m",), 1.1, 2.3),
    _Unit("height", "mm", ("mm",), 1100.0, 2300.0),
    _Unit("height", "inches", ("in", "inch", "inches"), 43.0, 91.0),
    _Unit("bmi", "kg/m²", ("kg", "kg/m2", "kg/m²"), 10.0, 80.0),
)


def problems_of_participants(table: ScanTable, levels: Collection[str] = ()) -> list[Problem]:
    """Find impossible ages, weights and heights, arms that change, names that look alike, missing visits.

    Parameters
    ----------
    table : ScanTable
    levels : collection of str
        Columns that hold levels, whatever they look like.

    Returns
    -------
    list of Problem
    """
    found: list[Problem] = []
    free = {n: c for n, c in table.columns.items() if n not in {*TEXT_COLUMNS, *OF_THE_SCAN, *levels}}
    for name, column in read_columns(free, table.separator).items():
        found += [table.problem(row, name, f"{text}.") for row, text in column.questions.items()]
        if match := _COLUMN.fullmatch(name.strip().lower()):
            found += _impossible(table, name, column, match[1], match[2])
    for name in _CONSTANT:
        if name in table.columns:
            found += _changing(table, name)
    return found + _alike(table) + _missing_visits(table)


def _impossible(
    table: ScanTable, name: str, column: ReadColumn, measure: str, word: str | None
) -> list[Problem]:
    values = [] if column.numbers is None else column.numbers.tolist()
    known = {row: value for row, value in enumerate(values) if not np.isnan(value)}
    unit = _unit_of(measure, word, list(known.values()))
    found = []
    for row, value in known.items():
        if unit.holds(value):
            continue
        other = next((u for u in _UNITS if u.measure == measure and u is not unit and u.holds(value)), None)
        hint = (
            f"it looks like {other.name}; write it in {unit.name}"
            if other
            else "correct it, or leave it empty"
        )
        sentence = f"No adult has this {measure} in {unit.name} ({unit.low:g} to {unit.high:g}): {hint}."
        found.append(table.problem(row, name, sentence))
    return found


def _unit_of(measure: str, word: str | None, values: list[float]) -> _Unit:
    """Return the unit in the column's name, else the one that fits most of its values."""
    units = [unit for unit in _UNITS if unit.measure == measure]
    named = [unit for unit in units if word in unit.words]
    if named:
        return named[0]
    fits = [sum(unit.holds(value) for value in values) for unit in units]
    return units[int(np.argmax(fits))]  # the first of equals: years, kg, cm


def _changing(table: ScanTable, name: str) -> list[Problem]:
    first: dict[str, tuple[int, str]] = {}
    found = []
    for row, (person, cell) in enumerate(zip(table.columns[PARTICIPANT], table.columns[name])):
        if not person or not cell:
            continue
        earlier_row, earlier = first.setdefault(person, (row, cell))
        if cell != earlier:
            sentence = (
                f"Participant {person} has '{earlier}' in row {table.rows[earlier_row]}; which is right?"
            )
            found.append(table.problem(row, name, sentence, WARNING))
    return found


def _alike(table: ScanTable) -> list[Problem]:
    """Point to names that are different letter by letter, but may be meant as one."""
    found = []
    for name in (PARTICIPANT, VISIT, ARM):
        cells = table.columns.get(name, [])
        for row, earlier in alike(cells).items():
            sentence = f"This is another {name} than '{earlier}', which it looks like; is it meant so?"
            found.append(table.problem(row, name, sentence, WARNING))
        rewritten = [row for row, cell in enumerate(cells) if looks_rewritten(cell)]
        sentence = "This looks as if a spreadsheet had made a date or a rounded number of it; is it right?"
        found += [table.problem(row, name, sentence, WARNING) for row in rewritten[:1]]
    return found


def _missing_visits(table: ScanTable) -> list[Problem]:
    seen: dict[str, dict[str, int]] = defaultdict(dict)
    rows = zip(table.columns[PARTICIPANT], table.columns[VISIT])
    for row, (person, visit) in enumerate(rows):
        if person and visit:
            seen[person].setdefault(visit, row)
    visits = sorted_levels(table.columns[VISIT])
    return [
        table.problem(min(rows.values()), VISIT, f"Participant {person} has no row for visit {visit}.", NOTE)
        for person, rows in seen.items()
        for visit in visits
        if visit not in rows
    ]

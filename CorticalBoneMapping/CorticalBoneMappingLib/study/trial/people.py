"""What the numbers beside the scans say about people, and whether it can be true."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ...statistics.table import ARM, PARTICIPANT, VISIT, sorted_levels
from .problems import NOTE, WARNING, Problem
from .scans import NEEDED, OF_THE_SCAN, ScanTable

_CONSTANT = (ARM, "sex")
"""Columns that do not change from visit to visit."""

_MOSTLY = 0.8  # share of numbers from which a column was meant to be one
_COLUMN = re.compile(r"(age|weight|height|bmi)(?:[ _\[(]+([a-z²/0-9]+)[)\]]*)?")


@dataclass(frozen=True)
class _Unit:
    """A unit of a measure of people, and between which values any adult lies in it."""

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


def problems_of_people(table: ScanTable) -> list[Problem]:
    """Find values that cannot be: ages, weights and heights, units, arms that change, visits without a row.

    Parameters
    ----------
    table : ScanTable

    Returns
    -------
    list of Problem
    """
    found: list[Problem] = []
    for name in table.columns:
        if name in (*NEEDED, *OF_THE_SCAN):
            continue
        found += _texts_among_numbers(table, name)
        if match := _COLUMN.fullmatch(name.strip().lower()):
            found += _impossible(table, name, match[1], match[2])
    for name in _CONSTANT:
        if name in table.columns:
            found += _changing(table, name)
    return found + _same_number(table) + _missing_visits(table)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _texts_among_numbers(table: ScanTable, name: str) -> list[Problem]:
    """A single text would turn a whole column of numbers into levels."""
    cells = {row: cell for row, cell in enumerate(table.columns[name]) if cell}
    texts = [row for row, cell in cells.items() if _number(cell) is None]
    if not texts or len(texts) > (1.0 - _MOSTLY) * len(cells):
        return []
    sentence = f"This is no number, as the others in '{name}' are; the point is the decimal sign."
    return [table.problem(row, name, sentence) for row in texts]


def _impossible(table: ScanTable, name: str, measure: str, word: str | None) -> list[Problem]:
    values = {row: _number(cell) for row, cell in enumerate(table.columns[name])}
    known = {row: value for row, value in values.items() if value is not None}
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
    """The unit that the column's name tells, else the one that fits most of its values."""
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
            sentence = f"Participant {person} has '{earlier}' in row {earlier_row + 1}; which is right?"
            found.append(table.problem(row, name, sentence, WARNING))
    return found


def _same_number(table: ScanTable) -> list[Problem]:
    """The statistics read a column of numbers as numbers: 01 and 1 would be one person."""
    found = []
    for name in (PARTICIPANT, VISIT):
        cells = table.columns[name]
        if any(_number(cell) is None for cell in cells if cell):
            continue
        spelled: dict[float | None, str] = {}
        for row, cell in enumerate(cells):
            earlier = spelled.setdefault(_number(cell), cell) if cell else cell
            if earlier != cell:
                sentence = f"'{earlier}' and '{cell}' are the same number; write {name}s in one way."
                found.append(table.problem(row, name, sentence))
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

"""Numbers in tables that people write: one rule for what is a number, and a question where it is unclear."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .tables import is_missing, is_spreadsheet_error

_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:[eE][+-]?\d+)?", re.ASCII)
"""Sign, digits, one decimal point or comma, exponent. A comma can only be in a cell of a table that is
separated by something else, or in quotation marks. No thousands separators, underscores or infinities."""

_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)  # 1,234 is 1.234 or 1234
_OTHER_NUMBER = re.compile(
    r"[+-]?\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+(?:[.,]\d+)?|[+-]?\d[\d_]*(?:[.,]\d+)?"
    r"|[+-]?inf(?:inity)?|[+-]?∞|[+−-]?[\d.,]+(?:[eE][+-]?\d+)?",
    re.IGNORECASE | re.ASCII,
)
"""Meant as a number, but not by the rule."""

_MOSTLY = 0.5
"""Share of numbers among the cells from which a column is taken to be meant as one of numbers."""

DECLARE = "or, if the column holds names, list it in categorical under [columns] of the study file"


@dataclass(frozen=True)
class ReadColumn:
    """A column with its numbers, or why it is not clear whether it holds numbers.

    Attributes
    ----------
    numbers : ndarray of shape (n,) or None
        float64, not-a-number where a cell is missing; None for text.
    questions : dict of int to str
        What is unclear in which cells, by their index, and what to do; empty if nothing is.
    """

    numbers: np.ndarray | None = None
    questions: dict[int, str] = field(default_factory=dict)


def number_of(text: str) -> float | None:
    """Give the number that a text is by the rule of tables; None if it is not one.

    A sign, digits, one decimal point or comma, an exponent; ``1_2``, ``1,234.5``, ``inf`` are not numbers.
    """
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text.replace(",", "."))
    return number if np.isfinite(number) else None


def read_columns(columns: Mapping[str, Sequence[str]], separator: str = ",") -> dict[str, ReadColumn]:
    """Separate the columns of numbers of a table from those of text.

    Parameters
    ----------
    columns : mapping of str to sequence of str
        Cells; identities, which are text whatever they look like, are left out by the caller.
    separator : str
        Between the cells. Where it is a semicolon, ``1.234`` may be written for 1234.

    Returns
    -------
    dict of str to ReadColumn
        A column is numeric if every cell that is not missing is a number and all have one decimal sign. It
        is a question if most but not all cells are, or if ``1,234`` may be 1.234 or 1234 and no other cell
        of the table shows which sign is the decimal one.
    """
    whole = {name: _all_numbers(cells) for name, cells in columns.items()}
    clear = {
        name: {_sign(cell) for cell in columns[name] if not _THOUSANDS.fullmatch(cell)} - {""}
        for name, is_whole in whole.items()
        if is_whole
    }
    of_table = set().union(*clear.values())
    if not of_table and separator != ";":
        of_table = {"."}
    return {
        name: _numeric(cells, clear[name] or of_table) if whole[name] else _text(cells)
        for name, cells in columns.items()
    }


def _all_numbers(cells: Sequence[str]) -> bool:
    present = [cell for cell in cells if not is_missing(cell)]
    return bool(present) and all(number_of(cell) is not None for cell in present)


def _sign(cell: str) -> str:
    """The decimal sign of a number, empty for a whole one."""
    return "," if "," in cell else "." if "." in cell and not is_missing(cell) else ""


def _numeric(cells: Sequence[str], decimal: set[str]) -> ReadColumn:
    """Read cells that are all numbers, where their decimal sign is known."""
    signs = [_sign(cell) for cell in cells]
    used = set(signs) - {""}
    if len(used) == 2:
        rare = min(sorted(used), key=signs.count)
        sentence = "'{}' is written with another decimal sign than other cells; use one"
        return _unclear(cells, [row for row, sign in enumerate(signs) if sign == rare], sentence)
    if used and used != decimal:
        row = next(row for row, sign in enumerate(signs) if sign)
        point = cells[row].replace(",", ".")
        sentence = f"'{{}}' may be {point} or {point.replace('.', '')}; write it without thousands separators"
        return _unclear(cells, [row], sentence)
    numbers = [np.nan if is_missing(cell) else number_of(cell) for cell in cells]
    return ReadColumn(np.array(numbers, dtype=np.float64))


def _text(cells: Sequence[str]) -> ReadColumn:
    present = {row: cell for row, cell in enumerate(cells) if not is_missing(cell)}
    if broken := [row for row, cell in present.items() if is_spreadsheet_error(cell)]:
        return _unclear(
            cells, broken, "'{}' is an error of a spreadsheet; correct the cell, or leave it empty"
        )
    strange = [row for row, cell in present.items() if number_of(cell) is None]
    numbers = len(present) - len(strange)
    meant = numbers + sum(_OTHER_NUMBER.fullmatch(cells[row]) is not None for row in strange)
    if not present or meant < _MOSTLY * len(present):
        return ReadColumn()
    others = "as other cells of the column are" if numbers else "as tables are read"
    return _unclear(cells, strange, f"'{{}}' is not a number, {others}; correct the cell, {DECLARE}")


def _unclear(cells: Sequence[str], rows: Sequence[int], sentence: str) -> ReadColumn:
    return ReadColumn(None, {row: sentence.format(cells[row]) for row in rows})

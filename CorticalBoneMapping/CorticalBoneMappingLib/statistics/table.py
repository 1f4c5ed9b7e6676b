"""A table of the rows of a study: who, when, which side, which arm, and any numbers beside."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StatisticsError

PARTICIPANT, VISIT, SIDE, ARM = "participant", "visit", "side", "arm"
_IDENTITY = (PARTICIPANT, VISIT, SIDE)
_MISSING = {"", "na", "n/a", "nan", "."}  # not "none": that may be an arm
_SHOWN = 6  # rows named in one sentence; more would hide the advice behind them


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes
    ----------
    columns : dict of str to ndarray of shape (n,)
        Numeric ones are float64 with not-a-number where missing, all others are text, empty where missing.
    """

    columns: dict[str, np.ndarray]

    @classmethod
    def of(cls, columns: Mapping[str, Iterable[Any]]) -> Table:
        """Make a table of any lists; a column whose present values are all numbers becomes numeric.

        Raises
        ------
        StatisticsError
            If there is no column, or the columns differ in length.
        """
        typed = {str(name): _typed(list(values)) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in typed.items()}
        if len(set(lengths.values())) != 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise StatisticsError(f"The columns of a table must be of one length; here they have: {told}.")
        return cls(typed)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def column(self, name: str) -> np.ndarray:
        """Give a column.

        Raises
        ------
        StatisticsError
            If there is none of that name.
        """
        if name not in self.columns:
            raise StatisticsError(f"The table has no column '{name}'; it has {', '.join(self.columns)}.")
        return self.columns[name]

    def labels(self, name: str) -> np.ndarray:
        """Give a column as text, a whole number without its point (``36``, not ``36.0``); shape (n,)."""
        values = self.column(name)
        return np.array([_label(value) for value in values]) if is_numeric(values) else values

    def missing(self, name: str) -> np.ndarray:
        """Whether a column has no value, shape (n,)."""
        values = self.column(name)
        return np.isnan(values) if is_numeric(values) else values == ""

    def take(self, rows: np.ndarray) -> Table:
        """Give the table of some rows, by indices or by a mask."""
        return Table({name: values[rows] for name, values in self.columns.items()})

    def complete(self, names: Sequence[str]) -> np.ndarray:
        """Whether a row has a value in each of the columns, shape (n,)."""
        return ~np.any([self.missing(name) for name in names], axis=0)

    def describe(self, row: int) -> str:
        """Name a row for a person: ``row 5 (participant P03, visit 12, side left)``; the first is row 1."""
        told = [f"{name} {self.labels(name)[row]}" for name in _IDENTITY if name in self]
        return f"row {row + 1}" + (f" ({', '.join(told)})" if told else "")

    def describe_rows(self, rows: np.ndarray) -> str:
        """Name some rows, the first few of them where there are many."""
        told = ", ".join(self.describe(int(row)) for row in rows[:_SHOWN])
        return told + (f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")

    def refuse_duplicates(self) -> None:
        """Refuse a table in which one participant, visit and side stand twice.

        Raises
        ------
        StatisticsError
            Naming both rows.
        """
        names = [name for name in _IDENTITY if name in self]
        first: dict[tuple[str, ...], int] = {}
        for row, key in enumerate(zip(*(self.labels(name) for name in names))):
            if key in first:
                raise StatisticsError(
                    f"Row {first[key] + 1} and {self.describe(row)} are the same {', '.join(names)}; "
                    "remove one, or tell them apart."
                )
            first[key] = row


def read_table(path: str | Path) -> Table:
    """Read a CSV or TSV file with a header.

    Parameters
    ----------
    path : str or Path
        UTF-8; separated by tabs if it ends in ``.tsv``, else by commas or semicolons.

    Returns
    -------
    Table

    Raises
    ------
    StatisticsError
        If the file is missing, empty, has a column twice, or has a row of another length.
    """
    return Table.of(read_cells(path))


def read_cells(path: str | Path) -> dict[str, list[str]]:
    """Read the cells of a CSV or TSV file as they are written, by column; as `read_table` without types.

    Raises
    ------
    StatisticsError
        As `read_table`.
    """
    path = Path(path)
    if not path.is_file():
        raise StatisticsError(f"{path}: there is no such table.")
    text = path.read_text(encoding="utf-8-sig")
    header = text.partition("\n")[0]
    separator = "\t" if path.suffix == ".tsv" else ";" if header.count(";") > header.count(",") else ","
    rows = [row for row in csv.reader(text.splitlines(), delimiter=separator) if any(row)]
    if len(rows) < 2:
        raise StatisticsError(f"{path}: the table has no rows below its header.")
    names = [name.strip() for name in rows[0]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StatisticsError(f"{path}: column '{twice[0]}' stands twice in the header; rename one.")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(names):
            raise StatisticsError(
                f"{path}: row {number} has {len(row)} cells, the header has {len(names)}; mend that row."
            )
    return {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(names)}


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value: empty, ``NA``, ``n/a``, ``nan`` or a dot."""
    return text.lower() in _MISSING


def is_numeric(values: np.ndarray) -> bool:
    """Whether a column holds numbers."""
    return values.dtype.kind == "f"


def sorted_levels(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort levels as a person would: numbers by value, then text by letter."""
    return tuple(sorted({str(label) for label in labels} - {""}, key=_sort_key))


def _typed(values: list[Any]) -> np.ndarray:
    texts = ["" if value is None else str(value).strip() for value in values]
    texts = ["" if is_missing(text) else text for text in texts]
    try:
        numbers = np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except ValueError:
        return np.array(texts, dtype=str)
    if np.any(np.isinf(numbers)):
        raise StatisticsError("A table holds an infinite number; mend it or leave the cell empty.")
    return numbers if any(texts) else np.array(texts, dtype=str)


def _label(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.0f}" if value == round(value) else f"{value:g}"


def _sort_key(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)

"""A table of the rows of a study: who, when, which side, which arm, and any numbers beside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import StatisticsError
from ..io.numbers import number_of, read_columns
from ..io.tables import is_missing, is_spreadsheet_error, read_written_table

PARTICIPANT, VISIT, SIDE, ARM, PATH = "participant", "visit", "side", "arm", "path"
TEXT_COLUMNS = (PARTICIPANT, VISIT, SIDE, ARM, PATH)
"""Columns of who, when and where: text, letter by letter, whatever they look like."""

_IDENTITY = (PARTICIPANT, VISIT, SIDE)
_SHOWN = 6  # rows named in one sentence; more would hide the advice behind them


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes
    ----------
    columns : dict of str to ndarray of shape (n,)
        Numeric ones are float64 with not-a-number where missing, all others are text, empty where missing.
    rows : tuple of int
        Number of each row in its file as a spreadsheet shows it, where the header is row 1; 0 for a row that
        is not in it. Empty: the rows follow each other.
    unclear : dict of str to str
        Of columns of which it is not clear whether they hold numbers: why, and what to do. They can be
        used as levels only.

    Examples
    --------
    >>> table = Table.of({"participant": ["P1", "P2"], "visit": [0, 36], "age": ["61", "64.5"]})
    >>> table.numbers("age").tolist(), table.labels("visit").tolist()
    ([61.0, 64.5], ['0', '36'])
    >>> table.describe(1)
    'row 3 (participant P2, visit 36)'
    """

    columns: dict[str, np.ndarray]
    rows: tuple[int, ...] = ()
    unclear: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Iterable[Any]],
        levels: Collection[str] = (),
        rows: Sequence[int] = (),
        separator: str = ",",
        source: str = "",
    ) -> Table:
        """Make a table of any lists; a column whose present values are all numbers becomes numeric.

        Parameters
        ----------
        columns : mapping of str to iterable
            Texts as a person writes them (see `written_numbers`), or numbers.
        levels : collection of str
            Columns that stay text, as `TEXT_COLUMNS` do.
        rows : sequence of int
            See `Table`.
        separator : str
            Between the cells of the file that the texts are from.
        source : str
            That file, for messages.

        Raises
        ------
        StatisticsError
            If it has no column, or the columns differ in length, or a number is infinite.
        """
        texts = {str(name): [_text(value) for value in values] for name, values in columns.items()}
        lengths = {name: len(values) for name, values in texts.items()}
        if len(set(lengths.values())) != 1:
            lengths_found = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise StatisticsError(
                f"The columns of a table must be of one length; here they have: {lengths_found}."
            )
        names = {*TEXT_COLUMNS, *levels}
        found = read_columns({name: cells for name, cells in texts.items() if name not in names}, separator)
        typed = {
            name: np.array(cells, dtype=str)
            if name not in found or found[name].numbers is None
            else found[name].numbers
            for name, cells in texts.items()
        }
        table = cls(typed, tuple(rows))
        unclear = {
            name: f"{source}{': ' if source else ''}column '{name}', {table.describe(row)}: {question}."
            for name, column in found.items()
            for row, question in list(column.questions.items())[:1]
        }
        return replace(table, unclear=unclear)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def column(self, name: str) -> np.ndarray:
        """Give a column.

        Raises
        ------
        StatisticsError
            If there is none of that name, or it is not clear whether it holds numbers.
        """
        if name in self.unclear:
            raise StatisticsError(self.unclear[name])
        return self._cells(name)

    def numbers(self, name: str) -> np.ndarray:
        """Give a column as numbers, even one that is text (``visit``, in months); shape (n,).

        Raises
        ------
        StatisticsError
            If a value is not a number; names its row.
        """
        values = self.column(name)
        if is_numeric(values):
            return values
        wrong = [row for row, text in enumerate(values) if text and number_of(text) is None]
        if wrong:
            raise StatisticsError(
                f"'{name}' holds text (such as '{values[wrong[0]]}' in {self.describe(wrong[0])}); use it as "
                "categorical, or correct the column."
            )
        return np.array([number_of(text) if text else np.nan for text in values], dtype=np.float64)

    def labels(self, name: str) -> np.ndarray:
        """Give a column as text, a whole number without its point (``36``, not ``36.0``); shape (n,).

        Different numbers have different labels.
        """
        values = self._cells(name)
        return np.array([_label(value) for value in values]) if is_numeric(values) else values

    def missing(self, name: str) -> np.ndarray:
        """Whether a column has no value, shape (n,)."""
        values = self._cells(name)
        return np.isnan(values) if is_numeric(values) else values == ""

    def take(self, rows: np.ndarray) -> Table:
        """Give the table of some rows, by indices or by a mask."""
        numbers = tuple(np.array(self._row_numbers())[rows].tolist())
        return replace(self, columns={name: v[rows] for name, v in self.columns.items()}, rows=numbers)

    def with_columns(self, columns: Mapping[str, np.ndarray]) -> Table:
        """Give the table with some columns added or replaced."""
        return replace(self, columns=self.columns | dict(columns))

    def complete(self, names: Sequence[str]) -> np.ndarray:
        """Whether a row has a value in each of the columns, shape (n,)."""
        return ~np.any([self.missing(name) for name in names], axis=0)

    def describe(self, row: int) -> str:
        """Name a row as a spreadsheet does: ``row 6 (participant P03, visit 12, side left)``."""
        identity = ", ".join(f"{name} {self.labels(name)[row]}" for name in _IDENTITY if name in self)
        if not (number := self._row_numbers()[row]):
            return identity or "a row"
        return f"row {number}" + (f" ({identity})" if identity else "")

    def describe_rows(self, rows: np.ndarray) -> str:
        """Name some rows, the first few of them where there are many."""
        described = ", ".join(self.describe(int(row)) for row in rows[:_SHOWN])
        return described + (f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")

    def refuse_duplicates(self) -> None:
        """Refuse a table in which one participant, visit and side appear twice.

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
                    f"Row {self._row_numbers()[first[key]]} and {self.describe(row)} are the same "
                    f"{', '.join(names)}; remove one, or make them differ."
                )
            first[key] = row

    def _cells(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise StatisticsError(f"The table has no column '{name}'; it has {', '.join(self.columns)}.")
        return self.columns[name]

    def _row_numbers(self) -> Sequence[int]:
        return self.rows or range(2, len(self) + 2)


def read_table(path: str | Path, levels: Collection[str] = ()) -> Table:
    """Read a table with a header; see `written_table` and `written_numbers`.

    Parameters
    ----------
    path : str or Path
        CSV or TSV.
    levels : collection of str
        Columns that stay text, as `TEXT_COLUMNS` do.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        If the file is not a readable table.
    StatisticsError
        If a cell of who, when or where is an error of a spreadsheet.
    """
    written = read_written_table(path)
    table = Table.of(written.columns, levels, written.rows, written.separator, str(path))
    for name in TEXT_COLUMNS:
        broken = [row for row, cell in enumerate(written.columns.get(name, ())) if is_spreadsheet_error(cell)]
        if broken:
            raise StatisticsError(
                f"{path}: '{written.columns[name][broken[0]]}' in column '{name}' is an error of a "
                f"spreadsheet, in {table.describe(broken[0])}; correct the cell, or leave it empty."
            )
    return table


def is_numeric(values: np.ndarray) -> bool:
    """Whether a column holds numbers."""
    return values.dtype.kind == "f"


def sorted_levels(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort levels as a person would: numbers by value, then text by letter."""
    return tuple(sorted({str(label) for label in labels} - {""}, key=_sort_key))


def _text(value: Any) -> str:
    """Write a value as a cell, empty where it marks a missing one."""
    if isinstance(value, float | np.floating):
        if np.isinf(value):
            raise StatisticsError("A table holds an infinite number; correct it or leave the cell empty.")
        return _label(float(value))
    text = "" if value is None else str(value).strip()
    return "" if is_missing(text) else text


def _label(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e15 else repr(float(value))


def _sort_key(label: str) -> tuple[int, float, str]:
    number = number_of(label)
    return (1, 0.0, label) if number is None else (0, number, label)

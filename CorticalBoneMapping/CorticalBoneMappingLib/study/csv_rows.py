"""Rows of results as CSV, and back: the columns of each table say what they hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

Columns = dict[str, type]
"""Names of columns in their order, and what they hold: str, float or int."""


def csv_of_rows(columns: Columns, rows: Iterable[dict[str, Any]]) -> str:
    """Give rows as CSV text, numbers to six digits, what is not a number empty."""
    return csv_text(list(columns), ([_cell(row[name]) for name in columns] for row in rows))


def csv_text(header: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """Give a header and cells as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_rows(path: Path, columns: Columns) -> list[dict[str, Any]]:
    """Read what `csv_of_rows` gave.

    Raises
    ------
    OSError, ValueError, KeyError
        If the file is missing or is not such a table.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            {name: _typed(row[name], kind) for name, kind in columns.items()}
            for row in csv.DictReader(stream)
        ]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return str(value)


def _typed(text: str, kind: type) -> Any:
    return float("nan") if kind is float and not text else kind(text)

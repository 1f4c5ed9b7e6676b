"""Size and shape of each femur as covariates, from the records that `cbm map` wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from ...errors import StatisticsError
from ...statistics.table import PATH, Table
from ..result_files import PROVENANCE_FILE

SIZE = "femur size"
_SHAPE = re.compile(r"femur shape (\d+)")


def with_shape(table: Table, results: Path, terms: tuple[str, ...]) -> Table:
    """Add the columns ``femur size`` and ``femur shape 1``, 2 … that some terms name.

    Where bones of different shape are laid on one average, a misfit that goes with shape can look like an
    effect; shape as covariate takes it out (Gee and Treece 2014, Gee, Treece and Poole 2018).

    Parameters
    ----------
    table : Table
        With a column ``path``.
    results : Path
        What its paths are relative to.
    terms : tuple of str
        Of an analysis.

    Returns
    -------
    Table
        Size in shares of the average femur's, shapes in standard deviations of the atlas' population;
        missing where the row has no result.

    Raises
    ------
    StatisticsError
        If a record holds no such number; names the row.
    """
    asked = shape_columns(table, terms)
    if not asked:
        return table
    rows = [_of_row(table, row, results, asked) for row in range(len(table))]
    columns = {name: np.array([row[name] for row in rows]) for name in asked}
    return table.with_columns(columns)


def shape_columns(table: Table, terms: tuple[str, ...]) -> list[str]:
    """Give the names of size and shape that some terms hold and the table does not."""
    asked = {name for term in terms for name in re.split(r"\s*[×*:]\s*", term.strip())}
    return sorted(name for name in asked if name not in table and (name == SIZE or _SHAPE.fullmatch(name)))


def _of_row(table: Table, row: int, results: Path, asked: list[str]) -> dict[str, float]:
    path = table.labels(PATH)[row]
    if not path:
        return dict.fromkeys(asked, float("nan"))
    try:
        record = json.loads((results / path / PROVENANCE_FILE).read_text(encoding="utf-8"))["shape"]
        return {name: _number(record, name) for name in asked}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise StatisticsError(
            f"{table.describe(row)}: the record of its map holds no '{asked[-1]}'; map this scan again with "
            "an atlas that has a shape model."
        ) from error


def _number(record: dict, name: str) -> float:
    if name == SIZE:
        return float(record["size"])
    return float(record["coordinates"][int(_SHAPE.fullmatch(name)[1]) - 1])

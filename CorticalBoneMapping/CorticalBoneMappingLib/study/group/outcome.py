"""From the maps of a study to the rows that a model is fitted to: hips, and change from baseline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...errors import StatisticsError
from ...statistics.maps import Maps
from ...statistics.table import PARTICIPANT, SIDE, VISIT, Table
from .collect import PATH


def rows_of_hips(maps: Maps, hips: str) -> Maps:
    """Give the rows of the hips that are asked for: ``both``, their ``mean``, ``left`` or ``right``.

    Raises
    ------
    StatisticsError
        If there is no row of that side.
    """
    if hips == "both":
        return maps
    if hips == "mean":
        return _one_hip_a_visit(maps)
    rows = maps.table.labels(SIDE) == hips
    if not rows.any():
        raise StatisticsError(f"No row of the table is of the {hips} hip; choose other hips.")
    return maps.take(rows)


def change_from_baseline(maps: Maps, baseline: str, percent: bool) -> Maps:
    """Take from every row the same hip's value at the baseline visit.

    Parameters
    ----------
    maps : Maps
        Rows of the baseline visit and of others.
    baseline : str
        The visit, as in the table.
    percent : bool
        Whether the change is told in percent of the baseline.

    Returns
    -------
    Maps
        Rows of the other visits; not-a-number where the baseline has no value (or, in percent, none above
        zero). A row whose baseline visit was missed has no value anywhere.

    Raises
    ------
    StatisticsError
        If no row is of that visit, or none of another.
    """
    table = maps.table
    at_baseline = table.labels(VISIT) == baseline
    if not at_baseline.any() or at_baseline.all():
        raise StatisticsError(
            f"A change from visit {baseline} needs rows of that visit and of others; the table has visits "
            f"{', '.join(dict.fromkeys(table.labels(VISIT)))}."
        )
    names = [name for name in (PARTICIPANT, SIDE) if name in table]
    keys = list(zip(*(table.labels(name) for name in names)))
    start = {keys[row]: row for row in np.flatnonzero(at_baseline)}
    later = np.array([row for row in np.flatnonzero(~at_baseline) if keys[row] in start], dtype=np.int64)
    if len(later) == 0:
        raise StatisticsError(f"No hip has both visit {baseline} and a later one, so nothing has changed.")
    first = maps.values[[start[keys[row]] for row in later]].astype(np.float64)
    change = maps.values[later] - first
    if percent:
        change = 100.0 * change / np.where(first > 0, first, np.nan)
    unit = "%" if percent else maps.unit
    return replace(maps, values=change.astype(np.float32), table=table.take(later), unit=unit, sd=None)


def _one_hip_a_visit(maps: Maps) -> Maps:
    """Average left and right of every participant and visit; one side alone stands for both.

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
    table = Table({name: values for name, values in table.columns.items() if name not in (SIDE, PATH)})
    return replace(maps, values=means, table=table, sd=None)

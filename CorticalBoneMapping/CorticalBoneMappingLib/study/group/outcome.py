"""From the maps of a study to the rows that a model is fitted to: hips, and change from baseline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...errors import StatisticsError
from ...statistics.effects import change_from_baseline
from ...statistics.maps import Maps
from ...statistics.table import PARTICIPANT, PATH, SIDE, VISIT


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


def outcome_of(maps: Maps, outcome: str, baseline: str) -> Maps:
    """Give what the model is fitted to: the values, or their change from each hip's own baseline.

    Raises
    ------
    StatisticsError
        If no row is of the baseline visit.
    """
    if outcome == "value":
        return maps
    return change_from_baseline(maps, baseline, "percent" if outcome == "percent-change" else "absolute")


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
    kept = {name: values for name, values in table.columns.items() if name not in (SIDE, PATH)}
    return replace(maps, values=means, table=replace(table, columns=kept), sd=None)

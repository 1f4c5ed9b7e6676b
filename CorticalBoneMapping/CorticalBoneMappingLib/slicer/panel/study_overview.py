"""Overview of a study before its maps are analysed: rows, missing maps, possible terms, a contrast."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ...core.wording import counted
from ...pipeline.result import AVERAGE_FILE
from ...statistics.table import ARM, PARTICIPANT, PATH, SIDE, VISIT, Table, is_numeric, sorted_levels
from ...study.analysis.collect import read_study_table
from ...study.study_file.study_toml import StudyFile

FOUND, MISSED, ABSENT = "map found", "visit missed", "no map in its folder"
_IDENTITY = (PARTICIPANT, PATH)


@dataclass(frozen=True)
class StudyOverview:
    """A study's table as the panel shows it.

    Attributes
    ----------
    rows : list of tuple of str
        Participant, visit, side, arm, and one of `FOUND`, `MISSED`, `ABSENT`.
    summary : str
        Counts, in one line.
    terms : list of str
        Possible terms of a model: columns, and interactions of those that hold levels.
    suggested_terms : list of str
        Those of them that a trial needs.
    suggested_contrast : str
        A first contrast; empty where none is obvious.
    """

    rows: list[tuple[str, ...]]
    summary: str
    terms: list[str]
    suggested_terms: list[str]
    suggested_contrast: str


def overview_of(plan: StudyFile) -> StudyOverview:
    """Read a study's table and look for its maps.

    Parameters
    ----------
    plan : StudyFile
        The study; if its table names scans, the maps are those of `cbm study run`.

    Returns
    -------
    StudyOverview

    Raises
    ------
    StatisticsError
        If the table could not be used.
    """
    table = read_study_table(plan)
    arms = table.labels(ARM) if ARM in table else np.full(len(table), "")
    identity = (table.labels(name) for name in (PARTICIPANT, VISIT, SIDE))
    status = [_status(plan.results, path) for path in table.labels(PATH)]
    rows = [tuple(map(str, row)) for row in zip(*identity, arms, status)]
    people, visits = (len(set(table.labels(name))) for name in (PARTICIPANT, VISIT))
    sizes = ((people, "participant"), (visits, "visit"), (len(rows), "row"))
    counts = ", ".join(counted(*size) for size in sizes) + f": {status.count(FOUND)} with a map"
    others = [f"{status.count(kind)} {kind}" for kind in (MISSED, ABSENT) if kind in status]
    terms = _terms(table, plan)
    contrast = _suggested_contrast(table, plan.coding.reference.get(ARM))
    return StudyOverview(rows, ", ".join([counts, *others]), terms, _suggested_terms(terms), contrast)


def _status(results: Path, path: str) -> str:
    if not path:
        return MISSED
    return FOUND if (results / path / AVERAGE_FILE).is_file() else ABSENT


def _terms(table: Table, plan: StudyFile) -> list[str]:
    varied = [
        name
        for name, values in table.columns.items()
        if name not in _IDENTITY and name not in table.unclear and len(sorted_levels(table.labels(name))) > 1
    ]
    first = [name for name in (VISIT, ARM, SIDE) if name in varied]
    known = (VISIT, SIDE, *plan.coding.categorical)
    levels = [name for name in varied if name in known or not is_numeric(table.column(name))]
    levels.sort(key=lambda name: first.index(name) if name in first else len(first))
    others = [name for name in varied if name not in first]
    return [*first, *others, *(f"{one} × {other}" for one, other in combinations(levels, 2))]


def _suggested_terms(terms: list[str]) -> list[str]:
    """Visits, arms and whether the arms change differently."""
    wanted = (VISIT, ARM, f"{VISIT} × {ARM}")
    return [term for term in wanted if term in terms]


def _suggested_contrast(table: Table, reference: str | None) -> str:
    """Compare two arms in their change over the study, or two arms, or the last visit with the first."""
    arms = sorted_levels(table.labels(ARM)) if ARM in table else ()
    visits = sorted_levels(table.labels(VISIT))
    if len(arms) == 2:
        usual = next((arm for arm in arms if arm.lower() in ("placebo", "control", "sham")), arms[1])
        control = reference if reference in arms else usual
        contrast = f"{next(arm for arm in arms if arm != control)} − {control}"
        if len(visits) > 1:
            contrast += f" in the change from {VISIT} {visits[0]} to {VISIT} {visits[-1]}"
        return contrast
    return f"{VISIT} {visits[-1]} − {VISIT} {visits[0]}" if len(visits) > 1 else ""

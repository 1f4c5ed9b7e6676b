"""Whether the questions of a study can be asked of its table, found without any map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ...errors import CorticalBoneMappingError, SettingError, StatisticsError
from ...statistics.contrast_map import check_direction
from ...statistics.maps import Maps
from ...statistics.mixed_model import check_repeats
from ...statistics.table import PATH, Table, sorted_levels
from .analysis import endpoints_of, rows_and_design
from .shape_terms import shape_columns

if TYPE_CHECKING:
    from .plan import Analysis, StudyPlan

COLUMNS = "[columns]"
_SHOWN = 5  # faults in one message


def faults_of_questions(
    plan: StudyPlan, table: Table, analyses: Iterable[Analysis] | None = None
) -> Iterator[tuple[str, str]]:
    """Find what is wrong with the words of a study file: terms, contrasts, references, visits, endpoints.

    Parameters
    ----------
    plan : StudyPlan
    table : Table
        A row a femur; one without a ``path`` has no map.
    analyses : iterable of Analysis, optional
        By default all of the plan.

    Yields
    ------
    where : str
        Name of the analysis, or `COLUMNS`.
    sentence : str
        The wrong word, and what there is.
    """
    yield from ((COLUMNS, sentence) for sentence in _faults_of_columns(plan, table))
    for analysis in plan.analyses if analyses is None else analyses:
        try:
            check_question(plan, table, analysis)
        except CorticalBoneMappingError as error:
            yield analysis.name, str(error)


def refuse_wrong_questions(plan: StudyPlan, table: Table, analyses: Iterable[Analysis] | None = None) -> None:
    """Refuse a study with a question that cannot be asked of its table; see `faults_of_questions`.

    Raises
    ------
    SettingError
        Naming the analyses, the wrong words and what there is.
    """
    faults = [
        f"  {where}: {sentence}" if where == COLUMNS else f"  analysis '{where}': {sentence}"
        for where, sentence in faults_of_questions(plan, table, analyses)
    ]
    if faults:
        more = [f"  and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        told = "\n".join([*faults[:_SHOWN], *more])
        raise SettingError(f"{plan.source}: correct the questions first, or take them out for now:\n{told}")


def check_question(plan: StudyPlan, table: Table, analysis: Analysis) -> None:
    """Build the design of an analysis and read its contrast, as if each row with a path had a map.

    Raises
    ------
    CorticalBoneMappingError
        As the analysis itself would, which only reads the maps first.
    """
    rng = np.random.default_rng(
        1
    )  # the maps know size and shape; no two columns of numbers depend on another
    shapes = shape_columns(table, analysis.terms)
    table = table.with_columns({name: rng.normal(size=len(table)) for name in shapes})
    there = ~table.missing(PATH)
    if not there.any():
        raise StatisticsError("No row of the table has a result; fill in its column 'path'.")
    _ask(Maps(np.where(there, 1.0, np.nan)[:, None], table), analysis, plan)
    if analysis.endpoints:
        _ask(*endpoints_of(table, analysis), plan)


def _ask(maps: Maps, analysis: Analysis, plan: StudyPlan) -> None:
    _, design = rows_and_design(maps, analysis, plan)
    if analysis.model == "mixed":
        check_repeats(design)
    check_direction(design.contrast(analysis.contrast), analysis.alternative)


def _faults_of_columns(plan: StudyPlan, table: Table) -> Iterator[str]:
    for name in plan.levels:
        if name not in table:
            yield f"the table has no column '{name}'; it has {', '.join(table.columns)}."
    for name, level in plan.reference.items():
        if name in table and level not in (levels := sorted_levels(table.labels(name))):
            yield f"the reference '{level}' does not occur in '{name}'; its levels are {', '.join(levels)}."

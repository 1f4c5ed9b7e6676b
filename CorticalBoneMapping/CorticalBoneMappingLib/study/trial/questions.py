"""The questions of a study of scans, checked on its table before anything is mapped."""

from __future__ import annotations

from collections.abc import Sequence

from ..group.plan import StudyPlan
from ..group.questions import COLUMNS, faults_of_questions, refuse_wrong_questions
from .mapped import table_of_femurs
from .problems import ERROR, Problem
from .scans import Case, ScanTable

_ANALYSIS = "analysis"


def problems_of_questions(plan: StudyPlan, scans: ScanTable, cases: Sequence[Case]) -> list[Problem]:
    """Find what is wrong with the questions, as if all cases were mapped.

    Parameters
    ----------
    plan : StudyPlan
    scans : ScanTable
    cases : sequence of Case
        In whose rows nothing is wrong; without any there is nothing to ask.

    Returns
    -------
    list of Problem
        Of the study file.
    """
    if not cases:
        return []
    faults = faults_of_questions(plan, table_of_femurs(scans, cases, plan.levels))
    return [
        Problem(plan.source, 0, *((where, "") if where == COLUMNS else (_ANALYSIS, where)), ERROR, sentence)
        for where, sentence in faults
    ]


def refuse_questions_before_mapping(plan: StudyPlan, scans: ScanTable, cases: Sequence[Case]) -> None:
    """Refuse a study whose questions could not be answered when all cases are mapped.

    Raises
    ------
    CorticalBoneMappingError
        See `refuse_wrong_questions`.
    """
    refuse_wrong_questions(plan, table_of_femurs(scans, cases, plan.levels))

"""All that is wrong with a study's table and scans, before anything runs; only headers of scans are read."""

from __future__ import annotations

from dataclasses import dataclass

from ...progress import Progress
from ..group.plan import StudyPlan
from .problems import ERROR, NOTE, WARNING, Problem
from .run import scans_of
from .scans import cases_of, read_scans


@dataclass(frozen=True)
class StudyCheck:
    """What a check found.

    Attributes
    ----------
    cases : int
        Femurs that could be mapped as far as the table goes.
    scans : int
        Files and DICOM folders that they are in.
    problems : tuple of Problem
        By row.
    """

    cases: int
    scans: int
    problems: tuple[Problem, ...]

    def summary(self) -> str:
        """Say all of it."""
        counts = [sum(p.severity == kind for p in self.problems) for kind in (ERROR, WARNING, NOTE)]
        told = "{} errors, {} warnings, {} notes".format(*counts)
        lines = [f"{self.cases} femurs in {self.scans} scans: {told}"]
        return "\n".join([*lines, *(f"  {problem}" for problem in self.problems)])


def check_study(plan: StudyPlan, progress: Progress | None = None) -> StudyCheck:
    """Look for all that is wrong.

    Parameters
    ----------
    plan : StudyPlan
        With scans.
    progress : Progress, optional
        Told of every scan.

    Returns
    -------
    StudyCheck

    Raises
    ------
    CorticalBoneMappingError
        If the table itself cannot be read.
    """
    progress = progress or Progress()
    table = read_scans(plan.table)
    cases, problems = cases_of(table, scans_of(plan))
    scans = {case.ct for case in cases}
    progress.report(1.0, "Checked")
    return StudyCheck(len(cases), len(scans), tuple(sorted(problems, key=lambda p: (p.row, p.column))))

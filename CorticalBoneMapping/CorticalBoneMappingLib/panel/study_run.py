"""One run of ``cbm stats`` for the panel."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from ..study.group.answered import ASKED_FILE
from ..study.group.files import AnswerFiles, read_answer
from ..study.group.plan import StudyPlan, read_plan, write_plan
from ..study.group.run import plan_folder
from .child_run import ChildRun
from .commands import stats_command


class StudyRun(ChildRun):
    """Answer a study in a child process.

    An analysis that is asked as its study file has it is asked of that file. Any other is written to the
    output folder as ``asked.toml``, so that ``cbm stats`` can be run on it again without the panel.

    Parameters
    ----------
    plan : StudyPlan
        With one analysis.
    folder : Path
        Where the answer is written.
    python : str
        The Python that has the library's dependencies.

    Raises
    ------
    CorticalBoneMappingError
        If there is an ``asked.toml`` that was written or changed by hand.
    """

    def __init__(self, plan: StudyPlan, folder: Path, python: str = sys.executable) -> None:
        (analysis,) = plan.analyses
        self.folder = plan_folder(folder, analysis)
        if _is_of_its_file(plan):
            study, only = Path(plan.source), analysis.name
        else:
            study, only = folder / ASKED_FILE, None
            folder.mkdir(parents=True, exist_ok=True)
            write_plan(study, plan)
        super().__init__(stats_command(python, study, folder, only))

    def answer(self) -> AnswerFiles:
        """Read the answer of a run that is done."""
        return read_answer(self.folder)


def _is_of_its_file(plan: StudyPlan) -> bool:
    """Whether the study file asks just this, among other things."""
    if not plan.source:
        return False
    own = read_plan(plan.source, needs_analysis=False)
    same_folder = own.results.resolve() == plan.results.resolve()
    asked_alone = replace(own, analyses=plan.analyses, results=plan.results)
    return same_folder and asked_alone == plan and plan.analyses[0] in own.analyses

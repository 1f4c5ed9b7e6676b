"""One run of ``cbm stats`` for the panel."""

from __future__ import annotations

import sys
from pathlib import Path

from ..files import write_text
from ..study.group.files import AnswerFiles, read_answer
from ..study.group.plan import StudyPlan, plan_text
from ..study.group.run import plan_folder
from .child_run import ChildRun
from .commands import stats_command

STUDY_FILE = "study.toml"


class StudyRun(ChildRun):
    """Answer a study in a child process.

    What was asked is written to the output folder as ``study.toml``, so that ``cbm stats`` can be run on it
    again without the panel.

    Parameters
    ----------
    plan : StudyPlan
        With one analysis.
    folder : Path
        Where study file and answer are written.
    python : str
        The Python that has the library's dependencies.
    """

    def __init__(self, plan: StudyPlan, folder: Path, python: str = sys.executable) -> None:
        self.folder = plan_folder(folder, plan.analyses[0])
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / STUDY_FILE, plan_text(plan))
        super().__init__(stats_command(python, folder / STUDY_FILE, folder))

    def answer(self) -> AnswerFiles:
        """Read the answer of a run that is done."""
        return read_answer(self.folder)

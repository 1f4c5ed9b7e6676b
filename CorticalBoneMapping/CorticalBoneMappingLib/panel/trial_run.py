"""Runs of ``cbm study check`` and ``cbm study run`` for the panel."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ..errors import CorticalBoneMappingError
from ..study.csv_rows import read_rows
from ..study.trial.problems import PROBLEM_COLUMNS, Problem
from .child_run import AnsweringRun, ChildRun
from .commands import study_check_command, study_run_command

_PROBLEMS_FILE = "problems.csv"


class CheckRun(AnsweringRun):
    """Look in a child process for all that is wrong with a study; a study with errors is checked as well.

    Parameters
    ----------
    study : Path
        ``study.toml``, which names scans.
    python : str
        The Python that has the library's dependencies.
    """

    def __init__(self, study: Path, python: str = sys.executable) -> None:
        answer = tempfile.TemporaryDirectory(prefix="cortical-bone-study-")
        self._file = Path(answer.name) / _PROBLEMS_FILE
        try:
            super().__init__(study_check_command(python, study, self._file), answer)
        except BaseException:
            answer.cleanup()
            raise

    def problems(self) -> list[Problem]:
        """Read what a run that is done has found; once."""
        return self.take(lambda folder: _read_problems(folder / _PROBLEMS_FILE))

    def _ended_well(self) -> bool:
        return super()._ended_well() or self._file.is_file()


class TrialRun(ChildRun):
    """Map all scans of a study in a child process; what is done stays, whenever it ends.

    Parameters
    ----------
    study : Path
        ``study.toml``, which names scans.
    python : str
        The Python that has the library's dependencies.
    """

    def __init__(self, study: Path, python: str = sys.executable) -> None:
        super().__init__(study_run_command(python, study))


def _read_problems(path: Path) -> list[Problem]:
    try:
        return [Problem(**row) for row in read_rows(path, PROBLEM_COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(f"The list of problems could not be read ({error}).") from error

"""The cases of a study for the panel: how each went, what was decided on it, and which scan it is from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..errors import CorticalBoneMappingError
from ..study.csv_rows import read_rows
from ..study.group.plan import StudyPlan, read_plan
from ..study.trial.case import DONE
from ..study.trial.ledger import mark_of
from ..study.trial.names import case_folder
from ..study.trial.overview import CASE_COLUMNS, CASES_FILE
from ..study.trial.quality import (
    QUALITY_FILE,
    UNSEEN,
    Identity,
    Verdict,
    identity_of,
    read_quality,
)
from ..study.trial.run import scans_of
from ..study.trial.scans import Case, cases_of, read_scans

_WORDS = {"accept": "accepted", "reject": "rejected"}
_LOOK = "look"  # how the program's suggestion to look at a case begins
_NO_VERDICT = Verdict(UNSEEN, "", "")


@dataclass(frozen=True)
class TrialCase:
    """One femur of a study, as ``cases.csv`` and ``qc.csv`` tell of it.

    Attributes
    ----------
    participant, visit, side : str
    name : str
        As BIDS would write it.
    status : str
        ``done``, ``failed`` or ``waiting``.
    reason : str
        Why it failed.
    suggestion : str
        What the program says of the result.
    verdict : Verdict
        What a person says.
    folder : Path
        Of its result.
    """

    participant: str
    visit: str
    side: str
    name: str
    status: str
    reason: str
    suggestion: str
    verdict: Verdict
    folder: Path

    @property
    def identity(self) -> Identity:
        """Participant, visit and side."""
        return self.participant, self.visit, self.side

    @property
    def title(self) -> str:
        """How a person would name it; the name of its folder in the scene."""
        return f"{self.participant} visit {self.visit} {self.side}"

    @property
    def is_mapped(self) -> bool:
        """Whether there is a result to be opened and judged."""
        return self.status == DONE

    @property
    def is_doubtful(self) -> bool:
        """Whether the program suggests to look at it."""
        return self.suggestion.startswith(_LOOK)

    @property
    def judged(self) -> str:
        """The verdict in a word or two; empty where there is none."""
        word = _WORDS.get(self.verdict.verdict, "")
        return f"{word} (earlier result)" if self.verdict.is_of_earlier else word

    def mark(self) -> str:
        """Tell the result that stands there now from others of the same case."""
        return mark_of(self.folder)

    def cells(self) -> tuple[str, ...]:
        """Give its row of a table."""
        return (
            *(self.participant, self.visit, self.side, self.status),
            *(self.judged, self.suggestion, self.reason),
        )

    def in_words(self) -> str:
        """Give all that is known of it."""
        said = self.reason or self.suggestion
        lines = [f"{self.title}: {self.status}" + (f"; {said}" if said else "")]
        if self.judged:
            lines.append(self.judged + (f": {self.verdict.note}" if self.verdict.note else ""))
        return "\n".join(lines)


def trial_plan(study: Path) -> StudyPlan:
    """Read a study file that names scans.

    Raises
    ------
    CorticalBoneMappingError
        If it cannot be read, or names maps.
    """
    plan = read_plan(study, needs_analysis=False)
    scans_of(plan)
    return plan


def names_maps(study: Path) -> bool:
    """Whether a study file can be read and its table names maps: nothing of it is to be mapped."""
    try:
        return read_plan(study, needs_analysis=False).scans is None
    except CorticalBoneMappingError:
        return False


def trial_cases(results: Path) -> list[TrialCase]:
    """Give the cases that a run has told of, in the order of the study; none where there was no run.

    Raises
    ------
    CorticalBoneMappingError
        If a table in the folder of results is damaged.
    """
    path = results / CASES_FILE
    if not path.is_file():
        return []
    try:
        rows = read_rows(path, CASE_COLUMNS)
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(
            f"{path}: this is not the table that a run has written ({error}). Move it, and run the study "
            "again."
        ) from error
    verdicts = read_quality(results)
    cases = []
    for row in rows:
        identity = row["participant"], row["visit"], row["side"]
        verdict = verdicts.get(identity_of(*identity), _NO_VERDICT)
        told = (row[name] for name in ("case", "status", "reason", "suggestion"))
        cases.append(TrialCase(*identity, *told, verdict, results / case_folder(*identity)))
    return cases


def counts(cases: list[TrialCase]) -> str:
    """Count them in a line: how they went, and what was decided."""
    status = Counter(case.status for case in cases)
    judged = Counter(case.verdict.counted for case in cases if case.is_mapped)
    told = [f"{number} {name}" for name, number in status.items()]
    told.append(f"{sum(case.is_doubtful for case in cases)} to look at")
    told += [f"{judged[verdict]} {word}" for verdict, word in _WORDS.items()]
    return f"{len(cases)} cases: {', '.join(told)}"


def sound_cases_of(plan: StudyPlan) -> list[Case]:
    """Give the cases of a study in whose rows nothing is wrong."""
    return cases_of(read_scans(plan.table), scans_of(plan))[0]


def stamp_of_tables(plan: StudyPlan) -> tuple[int, ...]:
    """Give the times at which the tables of cases and verdicts were written; 0 where there is none."""
    return tuple(_written(plan.results / name) for name in (CASES_FILE, QUALITY_FILE))


def stamp_of_study(study: Path, plan: StudyPlan) -> tuple[int, ...]:
    """Give the times at which the study file and its table were written."""
    return _written(study), _written(plan.table)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0

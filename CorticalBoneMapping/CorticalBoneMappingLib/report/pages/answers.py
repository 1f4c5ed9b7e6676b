"""Read the answers that ``cbm stats`` wrote, and choose those that a report shows.

Shown are the answers to the questions that the study file has now; older ones are left out with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorticalBoneMappingError
from ...core.measures import measure_named
from ...core.surface import Surface
from ...study.analysis.answer_files import EFFECT_FILE, PROVENANCE_FILE, AnswerFiles, read_answer
from ...study.analysis.shown import with_significant
from ...study.analysis.up_to_date import inputs_now, why_not_of_now, why_outdated, why_stale
from ...study.study_file.study_toml import StudyFile


@dataclass(frozen=True)
class ReportedAnalysis:
    """One analysis.

    Attributes
    ----------
    files : AnswerFiles
        What its folder holds.
    surface : Surface
        The average femur with the answer, and the effect where it is significant.
    """

    files: AnswerFiles
    surface: Surface

    @property
    def record(self) -> dict[str, Any]:
        """How it was made."""
        return self.files.provenance

    @property
    def analysis(self) -> dict[str, Any]:
        """Model and settings."""
        return self.record["analysis"]

    @property
    def name(self) -> str:
        """Of the analysis."""
        return self.analysis["name"]

    @property
    def question(self) -> str:
        """In words."""
        return self.record["question"]["contrast"]

    @property
    def measure_label(self) -> str:
        """What was compared."""
        return measure_named(self.analysis["measure"]).label

    @property
    def has_effect(self) -> bool:
        """Whether the question has an effect; an F has none."""
        return "effect" in self.surface.arrays

    @property
    def unit(self) -> str:
        """Unit of the effect; empty for an F."""
        return self.surface.units.get("effect", "")

    def significant(self, row: dict[str, Any]) -> bool:
        """Whether a cluster is significant."""
        return bool(row["p_corrected"] <= self.analysis["alpha"])


def read_analyses(folder: str | Path) -> list[ReportedAnalysis]:
    """Read the answer in a folder, or those in the folders within it.

    Returns
    -------
    list of ReportedAnalysis
        By name, numbers in their order (``month 6`` before ``month 12``).

    Raises
    ------
    CorticalBoneMappingError
        If there is none, or one is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CorticalBoneMappingError(f"{folder}: this folder does not exist.")
    inside = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [path for path in inside if (path / EFFECT_FILE).is_file() and (path / PROVENANCE_FILE).is_file()]
    if not found:
        raise CorticalBoneMappingError(
            f"{folder}: it holds no answer of a study; give the folder that 'cbm stats' wrote to."
        )
    answers = [_answer(path) for path in found]
    return sorted(answers, key=lambda answer: _natural(answer.name))


def _answer(folder: Path) -> ReportedAnalysis:
    files = read_answer(folder)
    try:
        answer = ReportedAnalysis(files, with_significant(files.surface))
        _ = answer.name, answer.question, answer.measure_label, answer.record["methods"]["decides"]
        _ = answer.surface.arrays["significant"], answer.surface.arrays["region"]
    except (KeyError, TypeError) as error:
        raise CorticalBoneMappingError(
            f"{folder}: the answer lacks {error}; make it again with 'cbm stats'."
        ) from error
    return answer


def _natural(name: str) -> list[tuple[bool, float, str]]:
    parts = re.split(r"(\d+)", name.casefold())
    return [(part.isdigit(), float(part) if part.isdigit() else 0.0, part) for part in parts if part]


def same_mesh(one: Surface, other: Surface) -> bool:
    """Whether two surfaces have the same points and triangles."""
    return np.array_equal(one.points, other.points) and np.array_equal(one.triangles, other.triangles)


def current_analyses(
    folder: str | Path, answers: Sequence[ReportedAnalysis], plan: StudyFile | None = None
) -> tuple[list[ReportedAnalysis], list[str]]:
    """Leave out answers to questions that the study file no longer has, and warn of uncertain ones.

    Parameters
    ----------
    folder : str or Path
        Of all answers, or of one: that one is shown in any case.
    answers : sequence of ReportedAnalysis
        Of this folder.
    plan : StudyFile, optional
        The study file as it is now.

    Returns
    -------
    kept : list of ReportedAnalysis
    warnings : list of str
        A sentence for every answer that was left out or is uncertain.

    Raises
    ------
    CorticalBoneMappingError
        If none is left.
    """
    folder = Path(folder)
    is_one = (folder / EFFECT_FILE).is_file()
    place = folder.absolute().parent if is_one else folder
    outdated = [why_outdated(answer.record, place) for answer in answers]
    kept = [answer for answer, why in zip(answers, outdated) if is_one or why is None]
    why_not = list(filter(None, outdated))
    if not kept:
        raise CorticalBoneMappingError(
            f"{folder}: no answer is up to date: {why_not[0]} Run 'cbm stats' again."
        )
    left_out = why_not if is_one else [f"{why} Its answer is left out." for why in why_not]
    return kept, [*left_out, *_warnings(kept, place, plan)]


def _warnings(answers: Sequence[ReportedAnalysis], place: Path, plan: StudyFile | None) -> list[str]:
    if plan is None:
        return list(filter(None, (why_stale(answer.record, place) for answer in answers)))
    try:
        inputs, unknown = inputs_now(plan), []
    except (CorticalBoneMappingError, OSError) as error:
        inputs = {}
        unknown = [f"Whether the answers are of the maps that the study has now is not known: {error}"]
    return [*unknown, *filter(None, (why_not_of_now(answer.record, plan, inputs) for answer in answers))]

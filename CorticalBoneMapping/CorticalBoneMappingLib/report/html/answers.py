"""The answers of a study as a report reads them: every folder that ``cbm stats`` wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CorticalBoneMappingError
from ...measures import measure_named
from ...study.group.files import EFFECT_FILE, PROVENANCE_FILE, AnswerFiles, read_answer
from ...study.group.shown import with_significant
from ...surface import Surface


@dataclass(frozen=True)
class Answer:
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


def read_answers(folder: str | Path) -> list[Answer]:
    """Read the answer in a folder, or those in the folders within it.

    Returns
    -------
    list of Answer
        By name, numbers in their order (``month 6`` before ``month 12``).

    Raises
    ------
    CorticalBoneMappingError
        If there is none, or one is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CorticalBoneMappingError(f"{folder}: there is no such folder.")
    inside = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [path for path in inside if (path / EFFECT_FILE).is_file() and (path / PROVENANCE_FILE).is_file()]
    if not found:
        raise CorticalBoneMappingError(
            f"{folder}: there is no answer of a study in it; give the folder that 'cbm stats' wrote to."
        )
    answers = [_answer(path) for path in found]
    return sorted(answers, key=lambda answer: _natural(answer.name))


def _answer(folder: Path) -> Answer:
    files = read_answer(folder)
    try:
        answer = Answer(files, with_significant(files.surface))
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

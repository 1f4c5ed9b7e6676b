"""The cases of a study as ``cbm study run`` left them, with what a person decided on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import CorticalBoneMappingError
from ...io.tables import read_rows
from ...study.mapping.case import DONE
from ...study.mapping.overview import CASE_COLUMNS, CASES_FILE
from ...study.mapping.review import Review, read_reviews
from ...study.study_file.case_names import CaseId, case_folder


@dataclass(frozen=True)
class CaseRow:
    """One femur of a participant at a visit.

    Attributes
    ----------
    row : dict
        Of ``cases.csv``.
    review : Review
        What a person decided.
    folder : Path
        Of its result.
    """

    row: dict[str, Any]
    review: Review
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether it was mapped."""
        return self.row["status"] == DONE

    @property
    def identity(self) -> CaseId:
        """By which it is found in other tables."""
        return self.row["participant"], self.row["visit"], self.row["side"]

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.row['participant']}, visit {self.row['visit']}, {self.row['side']}"


def read_cases(results: str | Path) -> list[CaseRow]:
    """Read ``cases.csv`` and ``qc.csv`` of a folder of results.

    Raises
    ------
    CorticalBoneMappingError
        If the table is missing or damaged.
    """
    results = Path(results)
    path = results / CASES_FILE
    try:
        rows = read_rows(path, CASE_COLUMNS)
        verdicts = read_reviews(results, [(row["participant"], row["visit"], row["side"]) for row in rows])
        return [_case(row, verdicts, results) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorticalBoneMappingError(
            f"{path}: this is not a table of a study's cases ({error}); 'cbm study run' writes it."
        ) from error


def without_folders_in_text(reason: str) -> str:
    """Keep the last part of every path in a sentence: a page shows nothing of the machine."""
    return re.sub(r"(?:\b[A-Za-z]:)?[\\/](?:[^\s:\\/]+[\\/])+(?=[^\s\\/])", "", reason)


def _case(row: dict[str, Any], verdicts: dict[CaseId, Review], results: Path) -> CaseRow:
    identity = row["participant"], row["visit"], row["side"]
    verdict = verdicts.get(identity, Review("", "", ""))
    return CaseRow(row, verdict, results / case_folder(*identity))

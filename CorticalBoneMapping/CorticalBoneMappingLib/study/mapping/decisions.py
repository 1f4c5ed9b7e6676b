"""What a person decides on cases, written into the table that the statistics respect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import SettingError
from ...io.files import write_text
from ...io.tables import csv_of_rows, read_written_table
from ..study_file.case_names import CaseId, in_words, known_identity
from .review import DECISIONS, OF_RESULT, REVIEW_FILE, identity_in, marks_of_results, read_reviews


@dataclass(frozen=True)
class Decision:
    """What a person decides on a case.

    Attributes
    ----------
    verdict : str
        One of `DECISIONS`.
    note : str
    of_result : str
        Mark of the result that was looked at. Without, a verdict that says the same as before stays tied to
        what it was given on, and another is one on the result that stands there.
    """

    verdict: str
    note: str
    of_result: str = ""


def decide(results: Path, decisions: Mapping[CaseId, Decision]) -> int:
    """Write verdicts and notes into ``qc.csv``; all else in it stays as it is.

    Parameters
    ----------
    results : Path
        Folder of results.
    decisions : mapping of (participant, visit, side) to Decision

    Returns
    -------
    int
        How many rows were changed.

    Raises
    ------
    CorticalBoneMappingError
        If a verdict is none, or a case is not in the table; nothing is written then.
    """
    path = results / REVIEW_FILE
    read_reviews(results)  # says what is wrong in the table before it is written again
    columns = read_written_table(path).columns
    rows = [dict(zip(columns, cells)) for cells in zip(*columns.values())]
    marks = marks_of_results(results)
    known = {known_identity(identity_in(row), marks): row for row in rows}
    changed = 0
    for identity, decision in decisions.items():
        case = known_identity(identity, known)
        row = known.get(case)
        if row is None:
            raise SettingError(f"{path}: there is no mapped case {in_words(identity)}.")
        if decision.verdict not in DECISIONS:
            raise SettingError(
                f"{in_words(identity)}: '{decision.verdict}' is no verdict; write accept, reject or none."
            )
        changed += _enter(row, decision, marks.get(case, ""))
    if changed:
        columns = dict.fromkeys([*columns, OF_RESULT], str)
        write_text(path, csv_of_rows(columns, [{OF_RESULT: ""} | row for row in rows]))
    return changed


def decision_now(results: Path, identity: CaseId, verdict: str, note: str) -> Decision:
    """Give a decision on the result that stands there, whatever was decided before."""
    marks = marks_of_results(results)
    return Decision(verdict, note, marks.get(known_identity(identity, marks), ""))


def decisions_of(path: Path) -> dict[CaseId, Decision]:
    """Read the decisions of a table such as the page of cases saves.

    Raises
    ------
    CorticalBoneMappingError
        If it is no such table.
    """
    columns = read_written_table(path).columns
    needed = ("participant", "visit", "side", "verdict", "note")
    if lacking := [name for name in needed if name not in columns]:
        raise SettingError(
            f"{path}: there is no column '{lacking[0]}'; is this the table that the page saved?"
        )
    given_on = columns.get(OF_RESULT, [""] * len(columns["verdict"]))
    rows = zip(*(columns[name] for name in needed), given_on)
    return {
        (person, visit, side): Decision(verdict.lower(), note, mark)
        for person, visit, side, verdict, note, mark in rows
    }


def _enter(row: dict[str, str], decision: Decision, mark: str) -> bool:
    """Write a decision into its row, `mark` that of the result which stands there; say if it changes it."""
    tied = row.get(OF_RESULT, "") if row["verdict"].lower() == decision.verdict else mark
    new = {
        "verdict": decision.verdict,
        "note": _on_one_line(decision.note),
        OF_RESULT: (decision.of_result or tied) if decision.verdict else mark,
    }
    changes = {OF_RESULT: ""} | row | new != {OF_RESULT: ""} | row
    row.update(new)
    return changes


def _on_one_line(note: str) -> str:
    return " ".join(note.split())

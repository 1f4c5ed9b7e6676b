"""Write review decisions into ``qc.csv``, which the statistics respect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import SettingError
from ...io.files import write_text
from ...io.tables import csv_of_rows, read_written_table
from ..study_file.case_names import CaseId, in_words, known_case
from .review import DECISIONS, OF_RESULT, REVIEW_FILE, id_in, marks_of_results, read_reviews


@dataclass(frozen=True)
class Decision:
    """What a person decides on a case.

    Attributes
    ----------
    choice : str
        One of `DECISIONS`.
    note : str
    of_result : str
        Mark of the result that was reviewed. Without, the same choice as before stays tied to its result, and
        another choice is tied to the present one.
    """

    choice: str
    note: str
    of_result: str = ""


def decide(results: Path, decisions: Mapping[CaseId, Decision]) -> int:
    """Write decisions and notes into ``qc.csv``; all else in it stays as it is.

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
        If a choice is unknown, or a case is not in the table; nothing is written then.
    """
    path = results / REVIEW_FILE
    read_reviews(results)  # says what is wrong in the table before it is written again
    columns = read_written_table(path).columns
    rows = [dict(zip(columns, cells)) for cells in zip(*columns.values())]
    marks = marks_of_results(results)
    known = {known_case(id_in(row), marks): row for row in rows}
    changed = 0
    for case_id, decision in decisions.items():
        case = known_case(case_id, known)
        row = known.get(case)
        if row is None:
            raise SettingError(f"{path}: {in_words(case_id)} is not among the mapped cases.")
        if decision.choice not in DECISIONS:
            raise SettingError(
                f"{in_words(case_id)}: '{decision.choice}' is unknown; write accept, reject or none."
            )
        changed += _enter(row, decision, marks.get(case, ""))
    if changed:
        columns = dict.fromkeys([*columns, OF_RESULT], str)
        write_text(path, csv_of_rows(columns, [{OF_RESULT: ""} | row for row in rows]))
    return changed


def decision_now(results: Path, case_id: CaseId, choice: str, note: str) -> Decision:
    """Return a decision on the present result, whatever was decided before."""
    marks = marks_of_results(results)
    return Decision(choice, note, marks.get(known_case(case_id, marks), ""))


def decisions_of(path: Path) -> dict[CaseId, Decision]:
    """Return the decisions of a table that the quality page saved.

    Raises
    ------
    CorticalBoneMappingError
        If a column is missing.
    """
    columns = read_written_table(path).columns
    needed = ("participant", "visit", "side", "verdict", "note")
    if lacking := [name for name in needed if name not in columns]:
        raise SettingError(
            f"{path}: the column '{lacking[0]}' is missing; is this the table that the page saved?"
        )
    given_on = columns.get(OF_RESULT, [""] * len(columns["verdict"]))
    rows = zip(*(columns[name] for name in needed), given_on)
    return {
        (person, visit, side): Decision(choice.lower(), note, mark)
        for person, visit, side, choice, note, mark in rows
    }


def _enter(row: dict[str, str], decision: Decision, mark: str) -> bool:
    """Write a decision into its row (`mark`: of the present result); return whether the row changes."""
    tied = row.get(OF_RESULT, "") if row["verdict"].lower() == decision.choice else mark
    new = {
        "verdict": decision.choice,
        "note": _on_one_line(decision.note),
        OF_RESULT: (decision.of_result or tied) if decision.choice else mark,
    }
    changes = {OF_RESULT: ""} | row | new != {OF_RESULT: ""} | row
    row.update(new)
    return changes


def _on_one_line(note: str) -> str:
    return " ".join(note.split())

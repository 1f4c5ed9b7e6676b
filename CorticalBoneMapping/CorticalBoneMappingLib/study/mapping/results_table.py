"""The results of mapping as the table that the statistics read, and which rows are left out of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import StatisticsError
from ...core.wording import counted, noun
from ...statistics.table import PARTICIPANT, PATH, SIDE, VISIT, Table
from ..study_file.case_names import CaseId
from ..study_file.scans import OF_THE_SCAN, Case, ScanTable, StudyScans, read_scans, sides_of, valid_cases
from .case import FAILED
from .overview import WAITING, state_of
from .review import ACCEPT, REJECT, read_reviews

_SHOWN = 6  # rows named in one sentence


@dataclass(frozen=True)
class LeftOut:
    """Rows that no analysis counts, and why.

    Attributes
    ----------
    rejected : tuple of str
        Rows that the reviewer rejected, with the note.
    failed : tuple of str
        Cases that could not be mapped, with the reason.
    unknown : tuple of str
        Rejected in ``qc.csv``, but not in the study's table.
    earlier : tuple of str
        Rows whose decision was made on an earlier result.
    accepted, not_judged : int
        Of the other rows of ``qc.csv``; who accepted an earlier result has not reviewed this one.
    """

    rejected: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    accepted: int = 0
    not_judged: int = 0

    def notes(self) -> list[str]:
        """Return it in sentences."""
        said = []
        if self.rejected:
            said.append(f"Quality control rejected {_some(self.rejected)}; these rows count for nothing.")
        if self.failed:
            said.append(f"The mapping failed for {_some(self.failed)}; these rows count for nothing.")
        if self.unknown:
            said.append(f"Quality control rejects rows that the study does not have: {_some(self.unknown)}.")
        if self.earlier:
            said.append(
                f"A decision was made on an earlier result, so look again: {_some(self.earlier)}. What was "
                "accepted then counts as not judged; what was rejected stays out until that is taken back."
            )
        if self.not_judged:
            said.append(
                f"{counted(self.not_judged, 'case has', 'cases have')} no decision in quality control yet; "
                f"{noun(self.not_judged, 'it counts', 'they count')}."
            )
        return said

    def record(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "rejected": list(self.rejected),
            "failed": list(self.failed),
            "earlier": list(self.earlier),
            "accepted": self.accepted,
            "not_judged": self.not_judged,
        }


def table_of_results(table: Path, results: Path, mapped: StudyScans, levels: Collection[str] = ()) -> Table:
    """Return a study's table with a row a femur, its ``path`` the folder of the result.

    Parameters
    ----------
    table : Path
        Of scans.
    results : Path
        Folder of results.
    mapped : StudyScans
        How the scans are mapped.
    levels : collection of str
        Columns that stay text, see `Table.of`.

    Returns
    -------
    Table
        ``path`` is empty where a visit was missed or the mapping failed; columns that say how a scan is
        mapped are gone.

    Raises
    ------
    CorticalBoneMappingError
        If the table is invalid, or a case is not mapped yet.
    """
    scans = read_scans(table)
    cases = valid_cases(scans, mapped)
    states = [(case, state_of(case, results)[0]) for case in cases]
    if waiting := [case.name for case, state in states if state == WAITING]:
        raise StatisticsError(
            f"{counted(len(waiting), 'case is', 'cases are')} not mapped yet, such as {waiting[0]}; run "
            "'cbm study run' first."
        )
    return table_of_femurs(scans, [case for case, state in states if state != FAILED], levels)


def table_of_femurs(scans: ScanTable, cases: Collection[Case], levels: Collection[str] = ()) -> Table:
    """Convert a table of scans to one with a row a femur, its ``path`` the folder of its result.

    Parameters
    ----------
    scans : ScanTable
    cases : collection of Case
        Femurs that have a result, or will have; the ``path`` of the others is empty.
    levels : collection of str
        Columns that stay text, see `Table.of`.
    """
    known = {(case.row, case.side): case.folder.as_posix() for case in cases}
    femurs = [(row, side) for row in range(len(scans)) for side in sides_of(scans.cell(SIDE, row))]
    names = [name for name in scans.columns if name not in (*OF_THE_SCAN, SIDE, PATH)]
    columns = {name: [scans.cell(name, row) for row, _ in femurs] for name in names}
    columns[SIDE] = [side for _, side in femurs]
    columns[PATH] = [known.get((scans.rows[row], side), "") for row, side in femurs]
    rows = [scans.rows[row] for row, _ in femurs]
    return Table.of(columns, levels, rows, scans.separator, str(scans.path))


def without_rejected(table: Table, results: Path) -> Table:
    """Empty the ``path`` of the rows that the reviewer rejected; their other columns still count."""
    case_ids = _case_ids(table)
    reviews = read_reviews(results, case_ids)
    rejected = [name in reviews and reviews[name].decision == REJECT for name in case_ids]
    return table.with_columns({PATH: np.where(rejected, "", table.labels(PATH))})


def left_out(table: Table, results: Path, scans: tuple[Path, StudyScans] | None) -> LeftOut:
    """Return what is left out of a table, and why.

    Parameters
    ----------
    table : Table
        Of the study.
    results : Path
        Folder of results, with ``qc.csv`` if there is one.
    scans : tuple of Path and StudyScans, or None
        Table of scans and how they are mapped, where the study names scans.

    Returns
    -------
    LeftOut
    """
    rows = {name: table.describe(row) for row, name in enumerate(_case_ids(table))}
    reviews = read_reviews(results, rows)
    rejected = {name: review for name, review in reviews.items() if review.decision == REJECT}
    judged = [reviews[name].counted for name in rows if name in reviews and name not in rejected]
    earlier = [name for name in rows if name in reviews and reviews[name].is_of_earlier]
    failed = []
    for case in valid_cases(read_scans(scans[0]), scans[1]) if scans else ():
        state, reason = state_of(case, results)
        failed += [f"{case.name} ({reason})"] if state == FAILED else []
    return LeftOut(
        rejected=tuple(_with(rows[name], review.note) for name, review in rejected.items() if name in rows),
        failed=tuple(failed),
        unknown=tuple(", ".join(name) for name in rejected if name not in rows),
        earlier=tuple(f"{rows[name]} ({reviews[name].decision})" for name in earlier),
        accepted=judged.count(ACCEPT),
        not_judged=len(judged) - judged.count(ACCEPT),
    )


def _case_ids(table: Table) -> list[CaseId]:
    return list(zip(*(table.labels(name).tolist() for name in (PARTICIPANT, VISIT, SIDE))))


def _with(row: str, note: str) -> str:
    return f"{row}: {note}" if note else row


def _some(rows: tuple[str, ...]) -> str:
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return "; ".join(rows[:_SHOWN]) + more

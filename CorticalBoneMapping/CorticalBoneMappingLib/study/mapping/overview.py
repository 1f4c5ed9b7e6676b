"""The table ``cases.csv``: how each case went, its figures, and how long it took."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...io.files import refuse_another_table, write_text
from ...io.tables import Columns, csv_of_rows
from ..study_file.scans import Case
from .case import DONE, FAILED, Outcome
from .ledger import has_result, read_record
from .review import FIGURES, figures_of, suggestion, update_reviews

CASES_FILE = "cases.csv"
WAITING = "waiting"
CASE_COLUMNS: Columns = {
    "participant": str,
    "visit": str,
    "side": str,
    "case": str,
    "status": str,
    "reason": str,
    "seconds": float,
    **{name: kind if kind is float else str for name, kind in FIGURES.items()},
    "suggestion": str,
}
"""Of ``cases.csv``; status is ``done``, ``failed`` or ``waiting``. See `review.FIGURES`."""

_FIRST_COLUMNS = tuple(CASE_COLUMNS)[:5]  # the figures behind them differ from version to version
_NO_FIGURES = {name: float("nan") if kind is float else "" for name, kind in FIGURES.items()}


class Overview:
    """The rows of all cases of a study, kept up to date while they are mapped.

    Parameters
    ----------
    cases : sequence of Case
    results : Path
        Folder of results.

    Raises
    ------
    SettingError
        If there is another ``cases.csv`` in the folder of results.
    """

    def __init__(self, cases: Sequence[Case], results: Path) -> None:
        refuse_another_table(results / CASES_FILE, _FIRST_COLUMNS)  # before any work is done
        self._cases, self._results = cases, results
        self.rows: dict[str, dict[str, Any]] = {case.name: self._row(case, WAITING) for case in cases}

    def note(self, case: Case, outcome: Outcome) -> None:
        """Note how a case went."""
        row = self._row(case, outcome.status, outcome.reason)
        if outcome.status == DONE:
            with contextlib.suppress(OSError, ValueError, KeyError):
                row |= figures_of(self._results / case.folder)
                row["suggestion"] = suggestion(row)
        seconds = read_record(self._results, case).get("seconds")
        self.rows[case.name] = row | {"seconds": outcome.seconds if seconds is None else seconds}

    def count(self) -> Counter[str]:
        """Return how many cases are done, failed, waiting."""
        return Counter(row["status"] for row in self.rows.values())

    def write(self) -> None:
        """Write ``cases.csv``."""
        write_text(self._results / CASES_FILE, csv_of_rows(CASE_COLUMNS, self.rows.values()))

    def write_all(self) -> None:
        """Write ``cases.csv``, and rows of ``qc.csv`` for cases that are new in it."""
        self.write()
        suggestions = {name: row["suggestion"] for name, row in self.rows.items()}
        update_reviews(self._results, self._cases, suggestions)

    def _row(self, case: Case, status: str, reason: str = "") -> dict[str, Any]:
        return {
            "participant": case.participant,
            "visit": case.visit,
            "side": case.side,
            "case": case.name,
            "status": status,
            "reason": reason,
            "seconds": float("nan"),
            **_NO_FIGURES,
            "suggestion": "",
        }


def state_of(case: Case, results: Path) -> tuple[str, str]:
    """Return the status of a case, and why it failed, from its files.

    Returns
    -------
    status : str
        ``done`` if there is a result, ``failed`` if its last attempt failed, else ``waiting``.
    reason : str
    """
    if has_result(results, case):
        return DONE, ""
    record = read_record(results, case)
    if record.get("status") == FAILED:
        return FAILED, str(record.get("reason", ""))
    return WAITING, ""

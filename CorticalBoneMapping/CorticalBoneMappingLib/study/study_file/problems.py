"""What is wrong with a study, one entry a fault, so that all can be fixed at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ...io.tables import Columns, csv_of_rows

ERROR, WARNING, NOTE = "error", "warning", "note"

PROBLEM_COLUMNS: Columns = {
    "severity": str,
    "file": str,
    "row": int,
    "column": str,
    "value": str,
    "sentence": str,
}


@dataclass(frozen=True)
class Problem:
    """One fault.

    Attributes
    ----------
    file : str
        Table or scan in which it is.
    row : int
        Of the table as a spreadsheet shows it, where the header is row 1; 0 for the study as a whole.
    column, value : str
        Of the table.
    severity : str
        ``error``: the case will not be mapped; ``warning``: look at it; ``note``: for information.
    sentence : str
        What is wrong and what to do.
    """

    file: str
    row: int
    column: str
    value: str
    severity: str
    sentence: str

    def __str__(self) -> str:
        row = f" row {self.row}" if self.row else ""
        value = f" {self.column} '{self.value}'" if self.value else f" {self.column}" if self.column else ""
        place = f"{row}{value}:" if row or value else ""
        return f"{self.severity}:{place} {self.sentence}"


def problems_csv(problems: Sequence[Problem]) -> str:
    """Return problems as CSV text."""
    return csv_of_rows(PROBLEM_COLUMNS, [asdict(problem) for problem in problems])


def has_errors(problems: Sequence[Problem]) -> bool:
    """Return whether one of them is an error."""
    return any(problem.severity == ERROR for problem in problems)

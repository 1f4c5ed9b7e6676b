"""What a person decides on cases, written into the table that the statistics respect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import SettingError
from ...files import write_text
from ...statistics.table import read_cells
from ..csv_rows import csv_of_rows
from .quality import QUALITY_FILE, VERDICTS, Identity, identity_of, read_quality

Decision = tuple[str, str]
"""Verdict (one of `VERDICTS`) and note."""


def decide(results: Path, decisions: Mapping[Identity, Decision]) -> int:
    """Write verdicts and notes into ``qc.csv``; all else in it stays as it is.

    Parameters
    ----------
    results : Path
        Folder of results.
    decisions : mapping of (participant, visit, side) to (verdict, note)

    Returns
    -------
    int
        How many rows were changed.

    Raises
    ------
    CorticalBoneMappingError
        If a verdict is none, or a case is not in the table; nothing is written then.
    """
    path = results / QUALITY_FILE
    read_quality(results)  # says what is wrong in the table before it is written again
    columns = read_cells(path)
    rows = [dict(zip(columns, cells)) for cells in zip(*columns.values())]
    known = {identity_of(row["participant"], row["visit"], row["side"]): row for row in rows}
    changed = 0
    for identity, (verdict, note) in decisions.items():
        row = known.get(identity_of(*identity))
        if row is None:
            raise SettingError(f"{path}: there is no mapped case {_told(identity)}.")
        if verdict not in VERDICTS:
            raise SettingError(f"{_told(identity)}: '{verdict}' is no verdict; write accept, reject or none.")
        new = {"verdict": verdict, "note": _on_one_line(note)}
        changed += row | new != row
        row.update(new)
    if changed:
        write_text(path, csv_of_rows(dict.fromkeys(columns, str), rows))
    return changed


def decisions_of(path: Path) -> dict[Identity, Decision]:
    """Read the decisions of a table such as the page of cases saves.

    Raises
    ------
    CorticalBoneMappingError
        If it is no such table.
    """
    columns = read_cells(path)
    needed = ("participant", "visit", "side", "verdict", "note")
    if lacking := [name for name in needed if name not in columns]:
        raise SettingError(
            f"{path}: there is no column '{lacking[0]}'; is this the table that the page saved?"
        )
    rows = zip(*(columns[name] for name in needed))
    return {(person, visit, side): (verdict.lower(), note) for person, visit, side, verdict, note in rows}


def _on_one_line(note: str) -> str:
    return " ".join(note.split())


def _told(identity: Identity) -> str:
    participant, visit, side = identity
    return f"participant {participant}, visit {visit}, {side}"

"""Quality control: what the figures of a case suggest, and what a person has decided."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SettingError
from ...files import write_text
from ...measures import QUALITY_LABELS, Quality
from ..csv_rows import Columns, csv_of_rows, read_rows
from ..regions import REGION_COLUMNS, WHOLE_FEMUR
from ..result_files import PROVENANCE_FILE, REGIONS_FILE
from .scans import Case

QUALITY_FILE = "qc.csv"
ACCEPT, REJECT, UNSEEN = "accept", "reject", ""
VERDICTS = (ACCEPT, REJECT, UNSEEN)
QUALITY_COLUMNS: Columns = {
    "participant": str,
    "visit": str,
    "side": str,
    "verdict": str,
    "note": str,
    "suggestion": str,
}
"""Of ``qc.csv``; verdict and note are a person's, the suggestion is the program's when the row was made."""

FIGURES: Columns = {
    "measured": float,
    "no_cortex": float,
    "fit_failed": float,
    "outside_scan": float,
    "metal": float,
    "surface_distance_mm": float,
    "expected_error_mm": float,
    "covered": float,
    "thickness_mm": float,
    "notes": int,
}
"""Figures of a case in ``cases.csv``: shares of the points that are not cut ends, the 95th percentile of the
distance from the bone to the average laid on it, the error to be expected along the surface, the share of the
average that the bone covers, mean thickness, and how many notes the result bears."""

# Beyond these a person should look. They are wide of what the benchmarks find on sound scans.
_LIMITS = (
    ("fit_failed", 0.05, "fit failed at {:.0%} of the points"),
    ("no_cortex", 0.10, "no measurable cortex at {:.0%} of the points"),
    ("outside_scan", 0.02, "{:.0%} of the points outside the scan"),
    ("metal", 0.0, "metal at {:.0%} of the points"),
    ("surface_distance_mm", 1.5, "the average lies {:.1f} mm off the bone"),
    ("expected_error_mm", 4.0, "registration uncertain by {:.1f} mm"),
)
_LEAST_COVERED = 0.85

Identity = tuple[str, str, str]
"""Participant, visit, side."""


@dataclass(frozen=True)
class Verdict:
    """What was decided on a case.

    Attributes
    ----------
    verdict : str
        `ACCEPT`, `REJECT` or `UNSEEN`.
    note : str
        A person's.
    suggestion : str
        The program's: ``look: …`` with reasons, or ``good``.
    """

    verdict: str
    note: str
    suggestion: str


def figures_of(folder: Path) -> dict[str, Any]:
    """Read the figures of a mapped case from its folder.

    Returns
    -------
    dict
        With the keys of `FIGURES`.
    """
    record = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
    points, registration = record["points"], record["registration"]
    cut = points[QUALITY_LABELS[Quality.NOT_MEASURED]]
    total = max(sum(points.values()) - cut, 1)
    kinds = {
        "measured": Quality.GOOD,
        "no_cortex": Quality.NO_CORTEX,
        "fit_failed": Quality.FIT_FAILED,
        "outside_scan": Quality.OUTSIDE_SCAN,
        "metal": Quality.METAL,
    }
    figures = {name: points[QUALITY_LABELS[kind]] / total for name, kind in kinds.items()}
    figures["surface_distance_mm"] = registration["distances_mm"]["to_average_95"]
    figures["expected_error_mm"] = registration["expected_error_mm"]
    figures["covered"] = registration["covered"]
    figures["thickness_mm"] = _mean_thickness(folder)
    return figures | {"notes": len(record["notes"])}


def suggestion(figures: dict[str, Any]) -> str:
    """Say whether a person should look at a case, and why."""
    reasons = [text.format(figures[name]) for name, limit, text in _LIMITS if figures[name] > limit]
    if figures["covered"] < _LEAST_COVERED:
        reasons.append(f"only {figures['covered']:.0%} of the average femur is in the scan")
    return f"look: {'; '.join(reasons)}" if reasons else "good"


def add_to_quality(results: Path, suggested: Iterable[tuple[Case, str]]) -> None:
    """Add a row to ``qc.csv`` for every case that has none; rows that are there stay as they are.

    Parameters
    ----------
    results : Path
        Folder of results.
    suggested : iterable of (Case, str)
        Mapped cases, and what `suggestion` said.
    """
    path = results / QUALITY_FILE
    known = read_quality(results)
    rows = [
        {
            "participant": case.participant,
            "visit": case.visit,
            "side": case.side,
            "verdict": UNSEEN,
            "note": "",
            "suggestion": text,
        }
        for case, text in suggested
        if (case.participant, case.visit, case.side) not in known
    ]
    if not rows:
        return
    added = csv_of_rows(QUALITY_COLUMNS, rows)
    if path.is_file():
        before = path.read_bytes().decode("utf-8-sig")
        added = before + ("" if before.endswith("\n") else "\n") + added.partition("\n")[2]
    write_text(path, added)


def read_quality(results: Path) -> dict[Identity, Verdict]:
    """Read what was decided; empty where there is no ``qc.csv``.

    Returns
    -------
    dict
        By participant, visit and side, as the table of the study writes them.

    Raises
    ------
    SettingError
        If the file is no such table, or a verdict is none; names file, row and value.
    """
    path = results / QUALITY_FILE
    if not path.is_file():
        return {}
    found: dict[Identity, Verdict] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if lacking := [name for name in QUALITY_COLUMNS if name not in (reader.fieldnames or ())]:
            raise SettingError(f"{path}: there is no column '{lacking[0]}'; put it back.")
        for number, row in enumerate(reader, start=1):
            cells = {name: (row[name] or "").strip() for name in QUALITY_COLUMNS}
            verdict = cells["verdict"].lower()
            if verdict not in VERDICTS:
                raise SettingError(
                    f"{path}: row {number}: the verdict is '{ACCEPT}', '{REJECT}' or empty, not '{verdict}'."
                )
            identity = cells["participant"], cells["visit"], cells["side"]
            if identity in found:
                raise SettingError(f"{path}: row {number}: {', '.join(identity)} stands twice; keep one row.")
            found[identity] = Verdict(verdict, cells["note"], cells["suggestion"])
    return found


def _mean_thickness(folder: Path) -> float:
    """Mean over the whole femur, from the table of regions."""
    rows = read_rows(folder / REGIONS_FILE, REGION_COLUMNS)
    return next(
        (r["mean"] for r in rows if (r["region"], r["measure"]) == (WHOLE_FEMUR, "cortical_thickness")),
        float("nan"),
    )

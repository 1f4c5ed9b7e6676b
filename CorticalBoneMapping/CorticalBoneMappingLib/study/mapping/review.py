"""The review of mapped cases: what the figures suggest, and what a person has decided (``qc.csv``)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import SettingError
from ...core.measures import STATUS_LABELS, VertexStatus
from ...io.files import write_text
from ...io.tables import Columns, csv_of_rows, read_rows, read_written_table
from ...pipeline.find.verdict import LOOK
from ...pipeline.regions import REGION_COLUMNS, WHOLE_FEMUR
from ...pipeline.result import PROVENANCE_FILE, REGIONS_FILE
from ..study_file.case_names import CaseId, in_words, known_case, result_folders
from ..study_file.scans import Case
from .ledger import mark_of

REVIEW_FILE = "qc.csv"
ACCEPT, REJECT, UNSEEN = "accept", "reject", ""
DECISIONS = (ACCEPT, REJECT, UNSEEN)
OF_RESULT = "of_result"
REVIEW_COLUMNS: Columns = {
    "participant": str,
    "visit": str,
    "side": str,
    "verdict": str,
    "note": str,
    "suggestion": str,
    OF_RESULT: str,
}
"""Of ``qc.csv``; verdict (the decision) and note are the reviewer's. The others are the program's: what it
suggests, and the mark of the result (`ledger.mark_of`) that was reviewed, or that waits for a review."""

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
    "segmentation": str,
    "notes": int,
}
"""Figures of a case in ``cases.csv``: shares of the points that are not cut ends, the 95th percentile of the
distance from the bone to the registered average, the expected error along the surface, the share of the
average that the bone covers, mean thickness, the finder's verdict or where else the surface comes from, and
the number of notes of the result."""

# Beyond these a person should look. Chosen by hand, wide of what the benchmarks find; not tuned.
_LIMITS = (
    ("fit_failed", 0.05, "fit failed at {:.0%} of the points"),
    ("no_cortex", 0.10, "no measurable cortex at {:.0%} of the points"),
    ("outside_scan", 0.02, "{:.0%} of the points outside the scan"),
    ("metal", 0.0, "metal at {:.0%} of the points"),
    ("surface_distance_mm", 1.5, "the average lies {:.1f} mm off the bone"),
    ("expected_error_mm", 4.0, "registration uncertain by {:.1f} mm"),
)
_LEAST_COVERED = 0.85  # share of the average; chosen by hand as those above
WARNINGS = "warnings"


@dataclass(frozen=True)
class Review:
    """The review of a case.

    Attributes
    ----------
    decision : str
        `ACCEPT`, `REJECT` or `UNSEEN`.
    note : str
        The reviewer's.
    suggestion : str
        The program's: ``look: …`` with reasons, or ``good``.
    of_result : str
        Mark of the result that was reviewed; empty if that is not known.
    is_of_earlier : bool
        Whether the case has been mapped anew since.
    """

    decision: str
    note: str
    suggestion: str
    of_result: str = ""
    is_of_earlier: bool = False

    @property
    def counted(self) -> str:
        """The decision as it counts: who accepted an earlier result has not seen the present one."""
        return UNSEEN if self.is_of_earlier and self.decision == ACCEPT else self.decision


def figures_of(folder: Path) -> dict[str, Any]:
    """Return the figures of a mapped case from its folder.

    Returns
    -------
    dict
        With the keys of `FIGURES`, and `WARNINGS`: how many the scan or the mask came with.
    """
    record = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
    points, registration = record["points"], record["registration"]
    cut = points[STATUS_LABELS[VertexStatus.NOT_MEASURED]]
    total = max(sum(points.values()) - cut, 1)
    kinds = {
        "measured": VertexStatus.GOOD,
        "no_cortex": VertexStatus.NO_CORTEX,
        "fit_failed": VertexStatus.FIT_FAILED,
        "outside_scan": VertexStatus.OUTSIDE_SCAN,
        "metal": VertexStatus.METAL,
    }
    figures = {name: points[STATUS_LABELS[kind]] / total for name, kind in kinds.items()}
    figures["surface_distance_mm"] = registration["distances_mm"]["to_average_95"]
    figures["expected_error_mm"] = registration["expected_error_mm"]
    figures["covered"] = registration["covered"]
    figures["thickness_mm"] = _mean_thickness(folder)
    found = record.get("segmentation", {})
    figures["segmentation"] = found.get("verdict", found.get("by", ""))
    return figures | {"notes": len(record["notes"]), WARNINGS: len(record.get("warnings", ()))}


def suggestion(figures: dict[str, Any]) -> str:
    """Return whether a person should look at a case, and why."""
    reasons = [text.format(figures[name]) for name, limit, text in _LIMITS if figures[name] > limit]
    if figures["covered"] < _LEAST_COVERED:
        reasons.append(f"only {figures['covered']:.0%} of the average femur is in the scan")
    if figures["segmentation"] == LOOK:
        reasons.append("the search for the femur was not sure")
    if warnings := figures.get(WARNINGS, 0):
        reasons.append(
            f"the scan or the mask came with {warnings} warning{'s' * (warnings > 1)}, see its notes"
        )
    return f"look: {'; '.join(reasons)}" if reasons else "good"


def update_reviews(results: Path, cases: Iterable[Case], suggestions: dict[str, str]) -> None:
    """Add a row to ``qc.csv`` for every mapped case without one; what a person wrote stays as it is.

    Rows without a decision, or whose decision is not tied to a result, are tied to the present result.

    Parameters
    ----------
    results : Path
        Folder of results.
    cases : iterable of Case
        Of the study; rows are in their order, others at the end.
    suggestions : dict of str to str
        The `suggestion` for each mapped case, by its name.
    """
    path = results / REVIEW_FILE
    marks = marks_of_results(results)
    by_id = {(case.participant, case.visit, case.side): case for case in cases}
    read = _rows(path, by_id, marks)
    before = [row for _, _, row in read]
    suggested = {case_id: suggestions.get(case.name, "") for case_id, case in by_id.items()}
    named = [(case_id, row | {OF_RESULT: row.get(OF_RESULT, "")}) for _, case_id, row in read]
    present = {case_id for case_id, _ in named}
    missing = [case_id for case_id in by_id if suggested[case_id] and case_id not in present]
    named += [(case_id, _row_of(by_id[case_id])) for case_id in missing]
    for case_id, row in named:
        _bring_up_to_date(row, marks.get(case_id, ""), suggested.get(case_id, ""))
    if missing:  # otherwise they stay as a person may have sorted them
        places = {case_id: place for place, case_id in enumerate(by_id)}
        named.sort(key=lambda one: places.get(one[0], len(places)))
    rows = [row for _, row in named]
    if rows == before:
        return
    columns = {name: str for row in rows for name in row}  # a column that a person added stays
    write_text(path, csv_of_rows(columns, [dict.fromkeys(columns, "") | row for row in rows]))


def tie_reviews(results: Path) -> None:
    """Note in ``qc.csv`` which result each decision was made on, before any is replaced."""
    update_reviews(results, (), {})


def marks_of_results(results: Path) -> dict[CaseId, str]:
    """Return the marks of all results in a folder."""
    return {name: mark_of(folder) for name, folder in result_folders(results).items()}


def read_reviews(results: Path, cases: Collection[CaseId] = ()) -> dict[CaseId, Review]:
    """Return the reviews of ``qc.csv``; empty without that file.

    Parameters
    ----------
    results : Path
        Folder of results.
    cases : collection of CaseId
        Of the study; they identify a row even after a spreadsheet has written 001 as 1.

    Returns
    -------
    dict
        By participant, visit and side as the study writes them, else a result's folder, else ``qc.csv``.

    Raises
    ------
    CorticalBoneMappingError
        If a column is missing, a decision is unknown, or a case has two rows; names file, row and value.
    """
    path = results / REVIEW_FILE
    found: dict[CaseId, Review] = {}
    marks = marks_of_results(results)
    for number, case_id, row in _rows(path, dict.fromkeys(cases), marks):
        decision = row["verdict"].lower()
        if decision not in DECISIONS:
            raise SettingError(
                f"{path}: row {number}: the verdict is '{ACCEPT}', '{REJECT}' or empty, not '{decision}'."
            )
        if case_id in found:
            raise SettingError(f"{path}: row {number}: {in_words(case_id)} has two rows; keep one.")
        reviewed, present = row.get(OF_RESULT, ""), marks.get(case_id, "")
        is_of_earlier = bool(decision and reviewed and present) and reviewed != present
        found[case_id] = Review(decision, row["note"], row["suggestion"], reviewed, is_of_earlier)
    return found


def id_in(row: dict[str, str]) -> CaseId:
    """Return participant, visit and side as a row of ``qc.csv`` writes them."""
    return row["participant"], row["visit"], row["side"]


def _rows(path: Path, *known: Collection[CaseId]) -> list[tuple[int, CaseId, dict[str, str]]]:
    """Return the rows of a table of reviews: number, case, cells."""
    if not path.is_file():
        return []
    written = read_written_table(path)
    columns = written.columns
    needed = (name for name in REVIEW_COLUMNS if name != OF_RESULT)  # a person's own table has none
    if lacking := [name for name in needed if name not in columns]:
        raise SettingError(f"{path}: the column '{lacking[0]}' is missing; put it back.")
    rows = []
    for number, cells in zip(written.rows, zip(*columns.values())):
        row = dict(zip(columns, cells))
        try:
            rows.append((number, known_case(id_in(row), *known), row))
        except SettingError as error:
            raise SettingError(f"{path}: row {number}: {error}") from error
    return rows


def _row_of(case: Case) -> dict[str, str]:
    own = {"participant": case.participant, "visit": case.visit, "side": case.side}
    return dict.fromkeys(REVIEW_COLUMNS, "") | own


def _bring_up_to_date(row: dict[str, str], mark: str, suggested: str) -> None:
    """Tie a row to the present result, unless its decision is tied; what a person wrote stays."""
    if not (row["verdict"] and row[OF_RESULT]):
        row[OF_RESULT] = mark or row[OF_RESULT]
    if not row["verdict"]:
        row["suggestion"] = suggested or row["suggestion"]


def _mean_thickness(folder: Path) -> float:
    """Mean over the whole femur, from the table of regions."""
    rows = read_rows(folder / REGIONS_FILE, REGION_COLUMNS)
    return next(
        (r["mean"] for r in rows if (r["region"], r["measure"]) == (WHOLE_FEMUR, "cortical_thickness")),
        float("nan"),
    )

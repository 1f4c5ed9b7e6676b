"""The cases of a study as ``cbm study run`` left them: where they went, and how good they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CorticalBoneMappingError
from ...study.csv_rows import read_rows
from ...study.result_files import PROVENANCE_FILE
from ...study.trial.case import DONE
from ...study.trial.names import case_folder
from ...study.trial.overview import CASE_COLUMNS, CASES_FILE, WAITING
from ...study.trial.quality import (
    ACCEPT,
    QUALITY_FILE,
    REJECT,
    Identity,
    Verdict,
    identity_of,
    read_quality,
)
from .answers import Answer
from .markup import Html, element, join, table
from .wording import MISSING, counted, number

_FIGURES = (
    ("measured", "points measured", 100.0, "%", 1),
    ("no_cortex", "points without a measurable cortex", 100.0, "%", 2),
    ("fit_failed", "points where the fit failed", 100.0, "%", 2),
    ("outside_scan", "points outside the scan", 100.0, "%", 2),
    ("metal", "points at metal", 100.0, "%", 2),
    ("surface_distance_mm", "bone to the average laid on it, 95th percentile", 1.0, "mm", 2),
    ("expected_error_mm", "error of registration to be expected along the surface", 1.0, "mm", 2),
    ("covered", "part of the average femur in the scan", 100.0, "%", 1),
    ("thickness_mm", "mean cortical thickness", 1.0, "mm", 2),
    ("seconds", "time of a case", 1.0, "s", 1),
)
"""Figures of ``cases.csv``: key, words, factor to the unit that is shown, unit, decimals."""


@dataclass(frozen=True)
class CaseRow:
    """One femur of a participant at a visit.

    Attributes
    ----------
    row : dict
        Of ``cases.csv``.
    verdict : Verdict
        What a person decided.
    folder : Path
        Of its result.
    """

    row: dict[str, Any]
    verdict: Verdict
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether it was mapped."""
        return self.row["status"] == DONE

    @property
    def name(self) -> str:
        """As a person says it."""
        return f"{self.row['participant']}, visit {self.row['visit']}, {self.row['side']}"


def read_cases(results: str | Path) -> list[CaseRow]:
    """Read ``cases.csv`` and ``qc.csv`` of a folder of results.

    Raises
    ------
    CorticalBoneMappingError
        If there is no such table, or it is damaged.
    """
    results = Path(results)
    path = results / CASES_FILE
    try:
        rows = read_rows(path, CASE_COLUMNS)
        verdicts = read_quality(results)
        return [_case(row, verdicts, results) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorticalBoneMappingError(
            f"{path}: this is no table of a study's cases ({error}); 'cbm study run' writes it."
        ) from error


def flow_section(cases: Sequence[CaseRow], answers: Sequence[Answer]) -> Html:
    """Draw the flow of cases from the scans to the analyses, with the reasons for loss."""
    done = [case for case in cases if case.is_done]
    kept = [case for case in done if case.verdict.verdict != REJECT]
    failed = Counter(
        without_folders(case.row["reason"])
        for case in cases
        if not case.is_done and case.row["status"] != WAITING
    )
    waiting = sum(case.row["status"] == WAITING for case in cases)
    lost = [f"{counted(count, 'femur')}: {reason}" for reason, count in failed.most_common()]
    lost += [f"{counted(waiting, 'femur')}: not mapped yet"] if waiting else []
    rejected = Counter(case.verdict.note or "no note" for case in done if case.verdict.verdict == REJECT)
    refused = [f"{counted(count, 'femur')}: {note}" for note, count in rejected.most_common()]
    steps = [
        _step("Scanned", cases),
        _loss("Not mapped", len(cases) - len(done), lost),
        _step("Mapped", done),
        _loss("Rejected in quality control", len(done) - len(kept), refused),
        _step("To be analysed", kept),
        element("div", *(_analysed(answer) for answer in answers), class_="flow-row"),
    ]
    return element("div", *steps, class_="flow")


def quality_section(cases: Sequence[CaseRow]) -> Html:
    """Tell the figures of all mapped cases, what was suggested and what was decided."""
    done = [case for case in cases if case.is_done]
    if not done:
        return element("p", "No case was mapped.")
    verdicts = Counter(case.verdict.verdict for case in done)
    look = sum(case.row["suggestion"].startswith("look") for case in done)
    told = (
        f"Of {counted(len(done), 'mapped case')} the program suggests to look at {number(look, 0)}. A person "
        f"accepted {number(verdicts[ACCEPT], 0)}, rejected {number(verdicts[REJECT], 0)}, and has not judged "
        f"{number(verdicts[''], 0)}."
    )
    body = [line for figure in _FIGURES if (line := _figure_line(done, *figure)) is not None]
    header = ["", "unit", "median", "5th to 95th percentile", "lowest", "highest"]
    figures = table(header, body, f"Over the mapped cases, from {CASES_FILE}.", class_="quality")
    return join([element("p", told), figures, _exclusions(cases)], "\n")


def measured_in_words(cases: Sequence[CaseRow]) -> list[str]:
    """Say how the maps were made, from the records of the mapped cases."""
    records = [_record(case.folder) for case in cases if case.is_done]
    records = [record for record in records if record]
    if not records:
        return []
    methods = Counter(record["settings"]["method"] for record in records)
    spacings = sorted(record["surface"]["spacing_mm"] for record in records)
    calibrations = Counter(_calibration(record) for record in records)
    average = Counter(f"{record['atlas']['name']}, {record['atlas']['people']} people" for record in records)
    smoothings = Counter(f"{record['settings']['smoothing_fwhm_mm']:g} mm" for record in records)
    smoothed = "" if set(smoothings) == {"0 mm"} else f" They were smoothed there by {_all(smoothings)}."
    return [
        f"The cortex was measured with {_all(methods)} at points {spacings[len(spacings) // 2]:.1f} mm "
        f"apart.",
        f"Density: {_all(calibrations)}.",
        f"Maps were carried to an average femur ({_all(average)}) by registration of the surfaces (a "
        f"Gaussian process of shape modes and bumps, Lüthi et al. 2018).{smoothed}",
    ]


_METHODS = {
    "half-maximum": "half-maximum (Prevrhal et al. 2003)",
    "constant-density": "constant-density (Treece et al. 2010)",
    "mass-conserving": "mass-conserving (Treece et al. 2012)",
    "independent": "independent (Treece and Gee 2015)",
    "endocortical-ramp": "endocortical-ramp (Pearson and Treece 2018)",
}


def _all(counts: Counter[str]) -> str:
    """Name one, or all with how often each was used."""
    named = [(_METHODS.get(name, name), count) for name, count in counts.most_common()]
    if len(named) == 1:
        return named[0][0]
    return "; ".join(f"{name} in {counted(count, 'map')}" for name, count in named)


def _calibration(record: dict[str, Any]) -> str:
    kind, unit = record["calibration"]["kind"], record["calibration"]["unit"]
    how = "not calibrated" if kind == "none" else f"calibrated by {kind}"
    corrected = "corrected" if record.get("beam_hardening", {}).get("applied") else "not corrected"
    return f"{how} ({unit}), beam hardening {corrected}"


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
        _ = record["settings"]["method"], record["surface"]["spacing_mm"], record["atlas"]["people"]
        _ = record["settings"]["smoothing_fwhm_mm"]
        _ = record["calibration"]["unit"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record


def _case(row: dict[str, Any], verdicts: dict[Identity, Verdict], results: Path) -> CaseRow:
    identity = row["participant"], row["visit"], row["side"]
    verdict = verdicts.get(identity_of(*identity), Verdict("", "", ""))
    return CaseRow(row, verdict, results / case_folder(*identity))


def _step(name: str, cases: Sequence[CaseRow]) -> Html:
    people = len({case.row["participant"] for case in cases})
    scans = len({(case.row["participant"], case.row["visit"]) for case in cases})
    told = f"{counted(len(cases), 'femur')}, {counted(scans, 'visit')} of {counted(people, 'participant')}"
    return element("div", element("strong", name), element("span", told), class_="flow-step")


def _loss(name: str, count: int, reasons: Sequence[str]) -> Html | None:
    if not count:
        return None
    items = element("ul", *(element("li", reason) for reason in reasons))
    return element("div", element("strong", f"{name}: {number(count, 0)}"), items, class_="flow-loss")


def _analysed(answer: Answer) -> Html:
    design = answer.record["design"]
    told = f"{counted(design['rows'], 'map')} of {counted(design['participants'], 'participant')}"
    return element("div", element("strong", answer.name), element("span", told), class_="flow-step")


def _figure_line(
    cases: Sequence[CaseRow], key: str, words: str, factor: float, unit: str, decimals: int
) -> list[str] | None:
    values = np.array([case.row[key] for case in cases], dtype=np.float64) * factor
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, middle, high = (number(float(value), decimals) for value in np.percentile(known, [5, 50, 95]))
    ends = [_extreme(cases, values, choose, decimals) for choose in (np.nanargmin, np.nanargmax)]
    return [words, unit, middle, f"{low} to {high}", *ends]


def _extreme(cases: Sequence[CaseRow], values: np.ndarray, choose: Any, decimals: int) -> str:
    index = int(choose(values))
    return f"{number(float(values[index]), decimals)} ({cases[index].name})"


def _exclusions(cases: Sequence[CaseRow]) -> Html | None:
    """List every case that was lost, by name."""
    rows = [
        [case.name, "rejected" if case.is_done else case.row["status"], _why(case)]
        for case in cases
        if not case.is_done or case.verdict.verdict == REJECT
    ]
    if not rows:
        return None
    listed = table(["", "", "reason"], rows, f"From {CASES_FILE} and {QUALITY_FILE}.", class_="text excluded")
    return element("details", element("summary", f"{counted(len(rows), 'excluded case')}"), listed)


def _why(case: CaseRow) -> str:
    return (case.verdict.note if case.is_done else without_folders(case.row["reason"])) or MISSING


def without_folders(reason: str) -> str:
    """Keep the last part of every path in a sentence: a page shows nothing of the machine."""
    return re.sub(r"(?:\b[A-Za-z]:)?[\\/](?:[^\s:\\/]+[\\/])+(?=[^\s\\/])", "", reason)

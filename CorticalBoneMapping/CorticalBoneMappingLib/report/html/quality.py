"""The quality of a study's cases in a table, and which of them were excluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ...study.trial.overview import CASES_FILE
from ...study.trial.quality import ACCEPT, QUALITY_FILE, REJECT
from .cases import CaseRow, without_folders
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


def quality_section(cases: Sequence[CaseRow]) -> Html:
    """Tell the figures of all mapped cases, what was suggested and what was decided."""
    done = [case for case in cases if case.is_done]
    if not done:
        return element("p", "No case was mapped.")
    verdicts = Counter(case.verdict.counted for case in done)
    earlier = sum(case.verdict.is_of_earlier for case in done)
    look = sum(case.row["suggestion"].startswith("look") for case in done)
    told = (
        f"Of {counted(len(done), 'mapped case')} the program suggests to look at {number(look, 0)}. A person "
        f"accepted {number(verdicts[ACCEPT], 0)}, rejected {number(verdicts[REJECT], 0)}, and has not judged "
        f"{number(verdicts[''], 0)}."
    )
    if earlier:
        told += (
            f" {counted(earlier, 'verdict').capitalize()} on an earlier result: look again. What was "
            "accepted then counts as not judged; what was rejected stays out until that is taken back."
        )
    body = [line for figure in _FIGURES if (line := _figure_line(done, *figure)) is not None]
    header = ["", "unit", "median", "5th to 95th percentile", "lowest", "highest"]
    figures = table(header, body, f"Over the mapped cases, from {CASES_FILE}.", class_="quality")
    return join([element("p", told), figures, _exclusions(cases)], "\n")


def _figure_line(
    cases: Sequence[CaseRow], key: str, words: str, factor: float, unit: str, decimals: int
) -> list[str] | None:
    values = np.array([case.row[key] for case in cases], dtype=np.float64) * factor
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, middle, high = (number(float(value), decimals) for value in np.percentile(known, [5, 50, 95]))
    ends = [_extreme(cases, values, choose, decimals) for choose in (np.nanargmin, np.nanargmax)]
    if known.min() == known.max():  # nobody in particular
        ends = [middle, middle]
    return [words, unit, middle, f"{low} to {high}", *ends]


def _extreme(
    cases: Sequence[CaseRow], values: np.ndarray, choose: Callable[[np.ndarray], int], decimals: int
) -> str:
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

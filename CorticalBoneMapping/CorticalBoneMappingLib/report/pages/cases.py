"""The cases of a study on pages: as ``cbm study run`` left them, with what a person decided on them.

Tables show their flow with the reasons for loss, their figures, and what was excluded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorticalBoneMappingError
from ...core.wording import MISSING, counted, number
from ...io.tables import read_rows
from ...statistics.table import ARM, PARTICIPANT, SIDE, VISIT, sorted_levels
from ...study.mapping.case import DONE
from ...study.mapping.overview import CASE_COLUMNS, CASES_FILE, WAITING
from ...study.mapping.review import ACCEPT, REJECT, REVIEW_FILE, Review, read_reviews
from ...study.study_file.case_names import CaseId, case_folder
from ...study.study_file.scans import PATH, read_scans, sides_of
from .answers import ReportedAnalysis
from .markup import Html, element, join, table


@dataclass(frozen=True)
class CaseRow:
    """One femur of a participant at a visit.

    Attributes
    ----------
    row : dict
        Of ``cases.csv``.
    review : Review
        What a person decided.
    folder : Path
        Of its result.
    """

    row: dict[str, Any]
    review: Review
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether it was mapped."""
        return self.row["status"] == DONE

    @property
    def identity(self) -> CaseId:
        """By which it is found in other tables."""
        return self.row["participant"], self.row["visit"], self.row["side"]

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.row['participant']}, visit {self.row['visit']}, {self.row['side']}"


def read_cases(results: str | Path) -> list[CaseRow]:
    """Read ``cases.csv`` and ``qc.csv`` of a folder of results.

    Raises
    ------
    CorticalBoneMappingError
        If the table is missing or damaged.
    """
    results = Path(results)
    path = results / CASES_FILE
    try:
        rows = read_rows(path, CASE_COLUMNS)
        verdicts = read_reviews(results, [(row["participant"], row["visit"], row["side"]) for row in rows])
        return [_case(row, verdicts, results) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorticalBoneMappingError(
            f"{path}: this is not a table of a study's cases ({error}); 'cbm study run' writes it."
        ) from error


def without_folders_in_text(reason: str) -> str:
    """Keep the last part of every path in a sentence: a page shows nothing of the machine."""
    return re.sub(r"(?:\b[A-Za-z]:)?[\\/](?:[^\s:\\/]+[\\/])+(?=[^\s\\/])", "", reason)


def _case(row: dict[str, Any], verdicts: dict[CaseId, Review], results: Path) -> CaseRow:
    identity = row["participant"], row["visit"], row["side"]
    verdict = verdicts.get(identity, Review("", "", ""))
    return CaseRow(row, verdict, results / case_folder(*identity))


@dataclass(frozen=True)
class PlannedFemur:
    """A femur of the study's table.

    Attributes
    ----------
    identity : tuple of str
        Participant, visit and side.
    arm, visit : str
        As the table writes them; the arm is empty in a study without arms.
    has_scan : bool
        Whether the row names a scan.
    """

    identity: CaseId
    arm: str
    visit: str
    has_scan: bool


def read_planned(table: Path) -> list[PlannedFemur]:
    """Read the femurs of a study's table; a row of both sides makes two.

    Raises
    ------
    CorticalBoneMappingError
        If the file is not a table of scans.
    """
    scans = read_scans(table)
    return [
        PlannedFemur(
            (scans.cell(PARTICIPANT, row), scans.cell(VISIT, row), side),
            scans.cell(ARM, row),
            scans.cell(VISIT, row),
            bool(scans.cell(PATH, row)),
        )
        for row in range(len(scans))
        for side in sides_of(scans.cell(SIDE, row))
    ]


def arms_table(cases: Sequence[CaseRow], planned: Sequence[PlannedFemur]) -> Html:
    """Give, by arm and visit, how many femurs are to be analysed, of how many in the study's table."""
    kept = {case.identity for case in cases if case.is_done and case.review.decision != REJECT}
    without = {""}.intersection(femur.arm for femur in planned)
    arms = [*sorted_levels(femur.arm for femur in planned), *without]
    visits = sorted_levels(femur.visit for femur in planned)
    body = []
    for arm in arms:
        row = [arm or ("no arm" if len(arms) > 1 else "all")]
        for visit in visits:
            here = [femur for femur in planned if (femur.arm, femur.visit) == (arm, visit)]
            row.append(f"{sum(femur.identity in kept for femur in here)} of {len(here)}")
        body.append(row)
    caption = "Femurs to be analysed, of those in the study's table, by arm and visit."
    return table(["", *(f"visit {visit}" for visit in visits)], body, caption, class_="arms")


def flow_section(
    cases: Sequence[CaseRow], answers: Sequence[ReportedAnalysis], planned: Sequence[PlannedFemur] = ()
) -> Html:
    """Draw the flow of cases from the scans to the analyses, with the reasons for loss."""
    missed = [femur for femur in planned if not femur.has_scan]
    done = [case for case in cases if case.is_done]
    kept = [case for case in done if case.review.decision != REJECT]
    failed = Counter(
        without_folders_in_text(case.row["reason"])
        for case in cases
        if not case.is_done and case.row["status"] != WAITING
    )
    waiting = sum(case.row["status"] == WAITING for case in cases)
    lost = [f"{counted(count, 'femur')}: {reason}" for reason, count in failed.most_common()]
    lost += [f"{counted(waiting, 'femur')}: not mapped yet"] if waiting else []
    rejected = Counter(case.review.note or "no note" for case in done if case.review.decision == REJECT)
    refused = [f"{counted(count, 'femur')}: {note}" for note, count in rejected.most_common()]
    in_table = f"{counted(len(planned), 'femur')} of {counted(_people(planned), 'participant')}"
    steps = [
        _box("In the study's table", in_table) if planned else None,
        _loss("Without a scan", len(missed), [f"{counted(len(missed), 'femur')}: visit missed"]),
        _step("Scanned", cases),
        _loss("Not mapped", len(cases) - len(done), lost),
        _step("Mapped", done),
        _loss("Rejected in quality control", len(done) - len(kept), refused),
        _step("To be analysed", kept),
        element("div", *(_analysed(answer) for answer in answers), class_="flow-row"),
    ]
    return element("div", *steps, class_="flow")


def _step(name: str, cases: Sequence[CaseRow]) -> Html:
    people = len({case.row["participant"] for case in cases})
    scans = len({(case.row["participant"], case.row["visit"]) for case in cases})
    text = f"{counted(len(cases), 'femur')}, {counted(scans, 'visit')} of {counted(people, 'participant')}"
    return _box(name, text)


def _box(name: str, text: str) -> Html:
    return element("div", element("strong", name), element("span", text), class_="flow-step")


def _people(planned: Sequence[PlannedFemur]) -> int:
    return len({femur.identity[0] for femur in planned})


def _loss(name: str, count: int, reasons: Sequence[str]) -> Html | None:
    if not count:
        return None
    items = element("ul", *(element("li", reason) for reason in reasons))
    return element("div", element("strong", f"{name}: {number(count, 0)}"), items, class_="flow-loss")


def _analysed(answer: ReportedAnalysis) -> Html:
    design = answer.record["design"]
    text = f"{counted(design['rows'], 'map')} of {counted(design['participants'], 'participant')}"
    return _box(answer.name, text)


_FIGURES = (
    ("measured", "points measured", 100.0, "%", 1),
    ("no_cortex", "points without a measurable cortex", 100.0, "%", 2),
    ("fit_failed", "points where the fit failed", 100.0, "%", 2),
    ("outside_scan", "points outside the scan", 100.0, "%", 2),
    ("metal", "points at metal", 100.0, "%", 2),
    ("surface_distance_mm", "bone to the registered average, 95th percentile", 1.0, "mm", 2),
    ("expected_error_mm", "error of registration to be expected along the surface", 1.0, "mm", 2),
    ("covered", "part of the average femur in the scan", 100.0, "%", 1),
    ("thickness_mm", "mean cortical thickness", 1.0, "mm", 2),
    ("seconds", "time of a case", 1.0, "s", 1),
)
"""Figures of ``cases.csv``: key, words, factor to the unit that is shown, unit, decimals."""


def review_section(cases: Sequence[CaseRow]) -> Html:
    """Give the figures of all mapped cases, what was suggested and what was decided."""
    done = [case for case in cases if case.is_done]
    if not done:
        return element("p", "No case was mapped.")
    verdicts = Counter(case.review.counted for case in done)
    earlier = sum(case.review.is_of_earlier for case in done)
    look = sum(case.row["suggestion"].startswith("look") for case in done)
    text = (
        f"Of {counted(len(done), 'mapped case')} the program suggests to look at {number(look, 0)}. A person "
        f"accepted {number(verdicts[ACCEPT], 0)}, rejected {number(verdicts[REJECT], 0)}, and has not judged "
        f"{number(verdicts[''], 0)}."
    )
    if earlier:
        text += (
            f" {counted(earlier, 'verdict').capitalize()} on an earlier result: look again. What was "
            "accepted then counts as not judged; what was rejected stays out until that is taken back."
        )
    body = [line for figure in _FIGURES if (line := _figure_line(done, *figure)) is not None]
    header = ["", "unit", "median", "5th to 95th percentile", "lowest", "highest"]
    figures = table(header, body, f"Over the mapped cases, from {CASES_FILE}.", class_="quality")
    return join([element("p", text), figures, _exclusions(cases)], "\n")


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
        if not case.is_done or case.review.decision == REJECT
    ]
    if not rows:
        return None
    listed = table(["", "", "reason"], rows, f"From {CASES_FILE} and {REVIEW_FILE}.", class_="text excluded")
    return element("details", element("summary", f"{counted(len(rows), 'excluded case')}"), listed)


def _why(case: CaseRow) -> str:
    return (case.review.note if case.is_done else without_folders_in_text(case.row["reason"])) or MISSING

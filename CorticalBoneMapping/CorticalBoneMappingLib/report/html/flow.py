"""The flow of cases, from the table of a study to its analyses, with the reasons for loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...statistics.table import ARM, PARTICIPANT, SIDE, VISIT, sorted_levels
from ...study.trial.identities import Identity
from ...study.trial.overview import WAITING
from ...study.trial.quality import REJECT
from ...study.trial.scans import PATH, read_scans, sides_of
from .answers import Answer
from .cases import CaseRow, without_folders
from .markup import Html, element, table
from .wording import counted, number


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

    identity: Identity
    arm: str
    visit: str
    has_scan: bool


def read_planned(table: Path) -> list[PlannedFemur]:
    """Read the femurs of a study's table; a row of both sides makes two.

    Raises
    ------
    CorticalBoneMappingError
        If the file is no table of scans.
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
    kept = {case.identity for case in cases if case.is_done and case.verdict.verdict != REJECT}
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
    cases: Sequence[CaseRow], answers: Sequence[Answer], planned: Sequence[PlannedFemur] = ()
) -> Html:
    """Draw the flow of cases from the scans to the analyses, with the reasons for loss."""
    missed = [femur for femur in planned if not femur.has_scan]
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
    told = f"{counted(len(cases), 'femur')}, {counted(scans, 'visit')} of {counted(people, 'participant')}"
    return _box(name, told)


def _box(name: str, told: str) -> Html:
    return element("div", element("strong", name), element("span", told), class_="flow-step")


def _people(planned: Sequence[PlannedFemur]) -> int:
    return len({femur.identity[0] for femur in planned})


def _loss(name: str, count: int, reasons: Sequence[str]) -> Html | None:
    if not count:
        return None
    items = element("ul", *(element("li", reason) for reason in reasons))
    return element("div", element("strong", f"{name}: {number(count, 0)}"), items, class_="flow-loss")


def _analysed(answer: Answer) -> Html:
    design = answer.record["design"]
    told = f"{counted(design['rows'], 'map')} of {counted(design['participants'], 'participant')}"
    return _box(answer.name, told)

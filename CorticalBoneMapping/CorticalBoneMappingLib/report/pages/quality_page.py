"""The page on which the cases of a study are judged: a picture of each, its figures, accept or reject."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...anatomy.views import INNER_COLOUR, OUTER_COLOUR
from ...core.colours import NO_CORTEX_COLOUR, NOT_MEASURED_COLOUR, sequential
from ...core.errors import CorticalBoneMappingError
from ...core.measures import MEASURES
from ...core.wording import counted, number
from ...pipeline.find.verdict import GOOD
from ...pipeline.result import PROVENANCE_FILE, THUMBNAIL_FILE
from ...study.mapping.ledger import mark_of
from ...study.mapping.review import REVIEW_COLUMNS, REVIEW_FILE
from ..pictures.thumbnails import FAILED_COLOUR
from .cases import CaseRow, read_cases, without_folders_in_text
from .markup import Html, data_address, element, join, json_block, shipped, table, write_document

# Key, words, factor to what is shown, unit, decimals, and whether more is worse (0: neither).
_FIGURES = (
    ("fit_failed", "fit failed", 100.0, " %", 1, 1),
    ("no_cortex", "no cortex", 100.0, " %", 1, 1),
    ("outside_scan", "outside the scan", 100.0, " %", 1, 1),
    ("metal", "metal", 100.0, " %", 1, 1),
    ("surface_distance_mm", "average off the bone", 1.0, " mm", 2, 1),
    ("expected_error_mm", "registration error", 1.0, " mm", 2, 1),
    ("covered", "in the scan", 100.0, " %", 0, -1),
    ("thickness_mm", "mean thickness", 1.0, " mm", 2, 0),
)
MOST_CASES = 1000


def write_quality_page(results: str | Path, path: str | Path, most: int = MOST_CASES) -> int:
    """Write the page of all mapped cases, those that look worst first.

    It cannot write files itself: it saves the decisions as a downloaded ``qc.csv``.

    Parameters
    ----------
    results : str or Path
        What ``cbm study run`` wrote.
    path : str or Path
        The page; ends in ``.html``.
    most : int
        The worst so many cases are shown; a page of more would open slowly.

    Returns
    -------
    int
        How many cases it shows.

    Raises
    ------
    CorticalBoneMappingError
        If the folder holds no cases, or none was mapped.
    """
    cases = read_cases(results)
    mapped = [case for case in cases if case.is_done]
    if not mapped:
        raise CorticalBoneMappingError(f"{results}: no case is mapped yet; run 'cbm study run' first.")
    concern = outlier_scores(mapped)
    reasons = [_review_reasons(case) for case in mapped]
    shown = sorted(range(len(mapped)), key=lambda n: (not reasons[n], -concern[n]))[:most]
    cards = [_card(mapped[n], reasons[n], place) for place, n in enumerate(shown)]
    body = join(
        [
            element("h1", "Quality of every case"),
            element("p", _lead(len(mapped), len(shown)), class_="lead"),
            _bar(),
            _key(),
            element("main", join(cards, "\n"), id="cases"),
            _not_mapped(cases),
            json_block("quality-data", _data([mapped[n] for n in shown])),
        ],
        "\n",
    )
    style = shipped("page.css") + shipped("quality.css")
    write_document(path, "Quality of every case", body, style=style, scripts=[shipped("quality.js")])
    return len(shown)


def outlier_scores(cases: Sequence[CaseRow]) -> np.ndarray:
    """Give how unusual each case is among all, 0 to 1: the mean share of cases that are better than it.

    Figures in different units are compared by their ranks; one that is equal in all cases has no influence.
    """
    total, used = np.zeros(len(cases)), 0
    for key, *_, worse in _FIGURES:
        values = worse * np.array([case.row[key] for case in cases], dtype=np.float64)
        values = np.where(np.isfinite(values), values, np.inf)  # what is not known is not good
        if worse and len(set(values)) > 1:
            total += (values[:, None] > values).mean(axis=1)
            used += 1
    return total / max(used, 1)


def _review_reasons(case: CaseRow) -> list[str]:
    """Give the reasons to look at a case: what its figures suggest, and the verdict on its segmentation."""
    found = _record(case.folder).get("segmentation")
    given = [case.row["suggestion"]] if case.row["suggestion"].startswith("look") else []
    if case.review.is_of_earlier:
        given.insert(0, f"The verdict ({case.review.decision}) was given on an earlier result: look again.")
    if isinstance(found, dict) and found.get("verdict", GOOD) != GOOD:
        reasons = [str(reason) for reason in found.get("reasons", ())]
        found_by_itself = f"The femur was found in the CT by itself: {found['verdict']}."
        given.append(" ".join([found_by_itself, *map(without_folders_in_text, reasons)]))
    return given


def _lead(mapped: int, shown: int) -> str:
    text = f"{counted(mapped, 'mapped case')}, the worst by the automatic figures first."
    if shown < mapped:
        text += f" Only the worst {number(shown, 0)} are on this page."
    return (
        f"{text} Judge, then save: the browser downloads {REVIEW_FILE}, and 'cbm study qc STUDY.toml --take "
        f"{REVIEW_FILE}' puts the decisions into the study. What is rejected, the statistics leave out."
    )


def _bar() -> Html:
    orders = [("concern", "worst first"), ("name", "participant, visit, side")]
    orders += [(key, words) for key, words, *_ in _FIGURES]
    filters = [("all", "all"), ("open", "not judged"), ("look", "to look at"), ("accept", "accepted")]
    filters += [("reject", "rejected")]
    return element(
        "div",
        element("label", "Order ", _select("order", orders)),
        element("label", "Show ", _select("filter", filters)),
        element("span", id="progress", role="status"),
        element("button", f"Save decisions ({REVIEW_FILE})", id="save", type="button"),
        element(
            "span",
            "Click a picture to enlarge it. Keys on a case: a accept, r reject, u undo, ↓ next, ↑ previous",
            class_="hint",
        ),
        class_="controls bar",
    )


def _select(identifier: str, choices: list[tuple[str, str]]) -> Html:
    return element("select", *(element("option", words, value=key) for key, words in choices), id=identifier)


def _key() -> Html:
    """Explain the lines and colours of the pictures."""
    measure = MEASURES["cortical_thickness"]
    ramp = ", ".join(_css(colour) for colour in sequential(9))
    low, high = (number(end, 0) for end in measure.range)
    return element(
        "p",
        _swatch(OUTER_COLOUR, "periosteal surface"),
        _swatch(INNER_COLOUR, "measured inner edge"),
        element("span", element("i", class_="ramp", style=f"background: linear-gradient(to right, {ramp})")),
        f" {measure.label.lower()} {low} to {high} {measure.unit}, anterior and posterior ",
        _swatch(NOT_MEASURED_COLOUR, "not measured"),
        _swatch(NO_CORTEX_COLOUR, "no cortex"),
        _swatch(FAILED_COLOUR, "fit failed"),
        class_="key",
    )


def _swatch(colour: tuple[float, float, float], words: str) -> Html:
    return element("span", element("i", style=f"background: {_css(colour)}"), f" {words} ")


def _css(colour: Sequence[float]) -> str:
    return "rgb({}, {}, {})".format(*(round(255 * part) for part in colour))


def _card(case: CaseRow, reasons: Sequence[str], place: int) -> Html:
    row = case.row
    figures = [
        element("span", f"{words} ", element("b", number(row[key] * factor, decimals) + unit))
        for key, words, factor, unit, decimals, _ in _FIGURES
    ]
    values = {f"data_{key}": f"{row[key] * worse:.6g}" for key, *_, worse in _FIGURES if worse}
    values["data_thickness_mm"] = f"{row['thickness_mm']:.6g}"
    notes = [without_folders_in_text(str(note)) for note in _record(case.folder).get("notes", ())]
    notes = [note for note in notes if not any(note in reason for reason in reasons)]
    return element(
        "article",
        element("h2", case.name),
        _picture(case),
        element("p", *figures, class_="figures"),
        *(element("p", reason, class_="look") for reason in reasons),
        element("ul", *(element("li", note) for note in notes), class_="case-notes") if notes else None,
        element(
            "div",
            element("button", "accept", type="button", data_verdict="accept"),
            element("button", "reject", type="button", data_verdict="reject"),
            element("input", type="text", placeholder="note", aria_label="note", value=case.review.note),
            class_="judge",
        ),
        tabindex=0,
        data_place=place,
        data_look="yes" if reasons else None,
        **values,
    )


def _picture(case: CaseRow) -> Html:
    try:
        content = (case.folder / THUMBNAIL_FILE).read_bytes()
    except OSError:
        return element("p", "This case was mapped without a picture.", class_="no-picture")
    return element("img", src=data_address(content, "image/jpeg"), alt=f"CT and thickness of {case.name}")


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    return record if isinstance(record, dict) else {"notes": ["The record of this case is unreadable."]}


def _not_mapped(cases: Sequence[CaseRow]) -> Html | None:
    rows = [
        [case.name, case.row["status"], without_folders_in_text(case.row["reason"]) or "–"]
        for case in cases
        if not case.is_done
    ]
    if not rows:
        return None
    text = f"{counted(len(rows), 'case')} not mapped"
    listed = table(["", "", "reason"], rows, "These need no verdict.", class_="text")
    return element("details", element("summary", text), listed)


def _data(cases: Sequence[CaseRow]) -> dict[str, Any]:
    """Give the rows of ``qc.csv`` as the page begins with them, and which results it shows."""
    rows = [
        [
            case.row["participant"],
            case.row["visit"],
            case.row["side"],
            case.review.decision,
            case.review.note,
            case.review.suggestion or case.row["suggestion"],
            case.review.of_result,
        ]
        for case in cases
    ]
    shown = [mark_of(case.folder) for case in cases]
    return {"file": REVIEW_FILE, "columns": list(REVIEW_COLUMNS), "rows": rows, "results": shown}

"""The tables of an answer: clusters, regions, scalars, and what an effect on mass is made of."""

from __future__ import annotations

from typing import Any

from ...core.wording import MISSING, bounds_text, counted, decimals_of, number, p_value_text
from ...pipeline.regions import WHOLE_FEMUR
from .answers import ReportedAnalysis
from .markup import Html, element, join, table


def clusters_table(answer: ReportedAnalysis) -> Html:
    """Give the significant clusters, and the others where a reader may open them."""
    rows = answer.files.clusters
    significant = [row for row in rows if answer.significant(row)]
    others = [row for row in rows if not answer.significant(row)]
    level = f"corrected p ≤ {answer.analysis['alpha']:g}"
    if not significant:
        parts = [element("p", f"No cluster is significant ({level}).")]
    else:
        caption = (
            f"Significant clusters ({level}); places are those of the peak on the average femur, RAS mm."
        )
        parts = [_clusters(answer, significant, caption)]
    if others:
        text = f"{counted(len(others), 'cluster')} not significant"
        parts.append(
            element("details", element("summary", text), _clusters(answer, others, "Not significant."))
        )
    return join(parts, "\n")


def _clusters(answer: ReportedAnalysis, rows: list[dict[str, Any]], caption: str) -> Html:
    decimals = decimals_of([row["peak_effect"] for row in answer.files.clusters])
    unit = f" ({answer.unit})" if answer.unit else ""
    header = ["", "region of the peak", "area (mm²)", "resels", "corrected p"]
    header += ["peak t" if answer.has_effect else "peak F"]
    header += [f"effect{unit}", "%", "right, anterior, superior"]
    body = [
        [
            _peak(row),
            row["region_of_peak"],
            number(row["area_mm2"], 0),
            number(row["extent_resels"], 2),
            p_value_text(row["p_corrected"]),
            number(row["peak_t"], 2),
            number(row["peak_effect"], decimals),
            number(row["peak_effect_percent"], 1),
            ", ".join(number(row[f"peak_{axis}_ras_mm"], 0) for axis in "xyz"),
        ]
        for row in rows
    ]
    return table(header, body, caption, class_="clusters")


def _peak(row: dict[str, Any]) -> Html:
    """Make the number of a cluster a button, which turns the interactive femur to its peak.

    The script of the femur enables it: where there is none, the button is a plain number.
    """
    vertex = row["peak_vertex"]
    return element(
        "button", str(row["cluster"]), type="button", class_="peak", data_vertex=vertex, disabled=True
    )


def regions_table(answer: ReportedAnalysis, kind: str) -> Html | None:
    """Give the question as put to regional means (``region``) or to scalars (``endpoint``); None without."""
    rows = [row for row in answer.files.regions if row["kind"] == kind]
    if not rows:
        return None
    decimals = decimals_of([row["effect"] for row in answer.files.regions if row["kind"] == kind])
    header = ["", "unit", "participants", "effect", "95 % CI", "simultaneous 95 % CI", "%", "95 % CI of %"]
    header += ["t" if answer.has_effect else "F", "p", "p (Holm)"]
    body = [
        [
            row["name"],
            row["unit"] or MISSING,
            number(row["n_participants"], 0),
            number(row["effect"], decimals),
            bounds_text(row["ci_lower"], row["ci_upper"], decimals),
            bounds_text(row["simultaneous_lower"], row["simultaneous_upper"], decimals),
            number(row["effect_percent"], 1),
            bounds_text(row["percent_lower"], row["percent_upper"], 1),
            number(row["t"], 2),
            p_value_text(row["p"]),
            p_value_text(row["p_holm"]),
        ]
        for row in rows
    ]
    what = {"region": f"Regional means of {answer.measure_label.lower()}", "endpoint": "Scalars"}[kind]
    caption = (
        f"{what}. The simultaneous bounds hold for all rows at once; p (Holm) is corrected over all regions "
        f"and scalars of this question together."
    )
    return table(header, body, caption, class_=f"{kind}s")


def attribution_table(answer: ReportedAnalysis) -> Html | None:
    """Give what the effect on mass is made of, by region; None where it was not attributed."""
    if not answer.files.attributed:
        return None
    header = ["", "mass (%)", "95 % CI", "thickness (%)", "95 % CI", "density (%)", "95 % CI"]
    header += ["share of thickness", "95 % CI"]
    body = [
        [
            row["region"],
            *_with_bounds(row, "mass"),
            *_with_bounds(row, "thickness"),
            *_with_bounds(row, "density"),
            _share(row["thickness_share"]),
            _shares(row["share_lower"], row["share_upper"]),
        ]
        for row in answer.files.attributed
    ]
    caption = (
        "The effect on cortical mass surface density, split into thickness and density (on the logarithm, "
        "so that the parts add up). No share is given where the bounds of mass hold 0. Of thin cortex a scan "
        "shows the mass and hardly the density: there a region's split leans towards that of the whole "
        "femur, and its bounds, which come from the differences between people, do not know it."
    )
    return table(header, body, caption, class_="attribution")


def groups_table(answer: ReportedAnalysis) -> Html:
    """Give participants and femurs by arm and visit, as this analysis used them."""
    rows = answer.files.groups
    visits = list(dict.fromkeys(row["visit"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    cells = {(row["arm"], row["visit"]): row for row in rows}
    body = [[arm or "all", *(_people(cells.get((arm, visit))) for visit in visits)] for arm in arms]
    caption = "Participants analysed (maps in brackets), by arm and visit."
    return table(["", *(f"visit {visit}" for visit in visits)], body, caption, class_="groups")


def overview_table(answers: list[ReportedAnalysis]) -> Html:
    """Give a row for every question: how many took part, and how much was found."""
    header = ["", "measure", "participants", "maps", "whole femur (95 % CI)", "share of thickness"]
    header += ["surface significant", "clusters", "effect at the peak of t"]
    body = [
        [
            element("a", answer.name, href=f"#{anchor(number_)}"),
            answer.measure_label.lower(),
            number(answer.record["design"]["participants"], 0),
            number(answer.record["design"]["rows"], 0),
            *_whole_femur(answer),
            f"{number(100.0 * answer.record['significant_area']['share_of_tested'], 1)} %",
            number(sum(map(answer.significant, answer.files.clusters)), 0),
            _largest(answer),
        ]
        for number_, answer in enumerate(answers)
    ]
    caption = (
        "Whole femur: effect on cortical mass surface density, where it was attributed to thickness and "
        "density. Surface: part of the tested area that the deciding correction marks. Clusters: the "
        "significant ones."
    )
    return table(header, body, caption, class_="overview")


def anchor(number_: int) -> str:
    """Name the place of an analysis in the page."""
    return f"analysis-{number_ + 1}"


def _whole_femur(answer: ReportedAnalysis) -> tuple[str, str]:
    row = next((row for row in answer.files.attributed if row["region"] == WHOLE_FEMUR), None)
    if row is None:
        return MISSING, MISSING
    effect = number(row["mass_percent"], 1, signed=True)
    bounds = bounds_text(row["mass_lower"], row["mass_upper"], 1)
    return f"{effect} % ({bounds})", _share(row["thickness_share"])


def _largest(answer: ReportedAnalysis) -> str:
    rows = [row for row in answer.files.clusters if answer.significant(row)]
    for key, unit, decimals in (("peak_effect_percent", "%", 1), ("peak_effect", answer.unit, 2)):
        known = [row for row in rows if row[key] == row[key]]
        if known:
            row = max(known, key=lambda one: abs(one[key]))
            return f"{number(row[key], decimals, signed=True)} {unit}, {row['region_of_peak']}"
    return MISSING


def _with_bounds(row: dict[str, Any], part: str) -> list[str]:
    return [number(row[f"{part}_percent"], 1), bounds_text(row[f"{part}_lower"], row[f"{part}_upper"], 1)]


def _share(value: float) -> str:
    text = number(100.0 * value, 0)
    return text if text == MISSING else f"{text} %"


def _shares(low: float, high: float) -> str:
    text = bounds_text(100.0 * low, 100.0 * high, 0)
    return text if text == MISSING else f"{text} %"


def _people(row: dict[str, Any] | None) -> str:
    return MISSING if row is None else f"{row['n_participants']} ({row['n_rows']})"

"""The page about the simulated trial."""

from __future__ import annotations

from pathlib import Path
from string import Template

import numpy as np

from CorticalBoneMappingLib.core.measures import Measure
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.report.pictures.render import render_views

from .compare import Trial
from .open_report import Opened

_TEMPLATE, _NULL_TEMPLATE = (Path(__file__).with_name(name) for name in ("template.md", "null_template.md"))
_PERCENT = {
    "effect_percent": Measure("effect_percent", "Effect on cortical mass, found", "%", "%", (-15.0, 15.0)),
    "true_percent": Measure("true_percent", "Effect on cortical mass, true", "%", "%", (-15.0, 15.0)),
    "error_percent": Measure("error_percent", "Found minus true", "%", "%", (-5.0, 5.0)),
}
_PARTS = ("mass", "thickness", "density")


def write_report(
    trial: Trial, opened: Opened, report: Path, null: bool, options: list[str], log: str
) -> None:
    """Write the page and its pictures; a null trial's page is named so and has none."""
    shared = {
        "people": trial.settings["people"],
        "scans": len(trial.cases),
        "months": ", ".join(str(month) for month in trial.settings["months"]),
        "options": " ".join(options),
        "log": "\n".join(f"    {line}" for line in log.splitlines()),
        "costs": _costs(trial),
    }
    if null:
        page = Template(_NULL_TEMPLATE.read_text(encoding="utf-8"))
        found = {"targets": _null_targets(trial), "regions": _found_in_regions(trial)}
        write_text(report.with_name(f"{report.stem}_null.md"), page.substitute(shared | found))
        return
    last = trial.months[-1]
    for name, measure in _PERCENT.items():
        picture = report.with_name(f"{report.stem}_{name}.png")
        look = {"measure": measure, "side": "right", "is_difference": True, "width_px": 1600}
        render_views(last.effect, name, picture, **look)
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        shared,
        stem=report.stem,
        last=last.month,
        targets=_targets(trial, opened),
        regions=_regions(trial),
        inside=_inside(trial),
    )
    write_text(report, text)


def _targets(trial: Trial, opened: Opened) -> str:
    last = trial.months[-1]
    whole, place = (last.found[name] for name in ("whole femur", "lateral trochanter"))
    share = whole["thickness_share"]
    first = trial.months[0]
    rows = [
        (
            "whole femur: 5.4 ± 0.4 %",
            f"{_interval(whole, 'mass')}; true {last.true['whole femur']['mass_percent']:.2f}",
            abs(whole["mass_percent"] - 5.4) <= 0.4,
        ),
        (
            "share of thickness: 67 ± 5 %",
            f"{share:.0%} ({whole['share_lower']:.0%} to {whole['share_upper']:.0%})",
            abs(share - 2.0 / 3.0) <= 0.05,
        ),
        (
            "lateral trochanter: 12 ± 1 %",
            f"{_interval(place, 'mass')}; true {last.true['lateral trochanter']['mass_percent']:.2f}",
            abs(place["mass_percent"] - 12.0) <= 1.0,
        ),
        (
            f"significant at month {first.month}",
            f"{first.significant:.0%} of the surface, {first.clusters} clusters",
            first.significant > 0,
        ),
        (
            f"most of the surface significant at month {last.month}",
            f"{last.significant:.0%}",
            last.significant > 0.5,
        ),
        ("report: at most 15 MB, opens in 3 s, no errors, no requests", opened.text, opened.is_fine),
    ]
    return _table(("asked", "found", "met"), [(*row[:2], "yes" if row[2] else "**no**") for row in rows])


def _null_targets(trial: Trial) -> str:
    rows = []
    for one in trial.months:
        marked = f"{one.significant:.1%} of the surface marked, {one.clusters} clusters"
        rows.append(
            (f"nothing at month {one.month}", marked, _met(one.significant == 0 and one.clusters == 0))
        )
    return _table(("asked", "found", "met"), rows)


def _found_in_regions(trial: Trial) -> str:
    rows = [
        (str(month.month), region, _interval(month.found[region], "mass"))
        for month in trial.months
        for region in month.true
    ]
    return _table(("month", "region", "mass found, % (95 % bounds)"), rows)


def _met(is_met: bool) -> str:
    return "yes" if is_met else "**no**"


def _regions(trial: Trial) -> str:
    rows = []
    for month in trial.months:
        for region, true in month.true.items():
            found = month.found[region]
            parts = [f"{true[f'{part}_percent']:.2f} | {_interval(found, part)}" for part in _PARTS]
            rows.append((str(month.month), region, *parts))
    header = ("month", "region", *(f"{part}, true (%) | found (95 % bounds)" for part in _PARTS))
    return _table(header, rows, columns=2 + 2 * len(_PARTS))


def _inside(trial: Trial) -> str:
    """How often the truth lies within the bounds of a region, by part of the effect."""
    rows = [(month.true[name], month.found[name]) for month in trial.months for name in month.true]
    counts = {
        part: sum(
            found[f"{part}_lower"] <= true[f"{part}_percent"] <= found[f"{part}_upper"]
            for true, found in rows
        )
        for part in _PARTS
    }
    return ", ".join(f"{part} {count} of {len(rows)}" for part, count in counts.items())


def _interval(row: dict, part: str) -> str:
    return f"{row[f'{part}_percent']:.2f} ({row[f'{part}_lower']:.2f} to {row[f'{part}_upper']:.2f})"


def _costs(trial: Trial) -> str:
    seconds = np.array([case["seconds"] for case in trial.cases if np.isfinite(case["seconds"])])
    done = sum(case["status"] == "done" for case in trial.cases)
    return (
        f"{done} of {len(trial.cases)} femurs were mapped; {np.median(seconds):.1f} s each (median; 95th "
        f"percentile {np.percentile(seconds, 95):.1f} s), wall time of one worker of the two."
    )


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]], columns: int | None = None) -> str:
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] * (columns or len(header))) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])

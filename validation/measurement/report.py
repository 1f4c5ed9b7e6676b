"""Write the report: tables, figures and reading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

import numpy as np

from CorticalBoneMappingLib.io.files import write_text

from . import figures, tables
from .measure import Measured, default_method
from .plan import plan
from .reading import reading
from .start_surface import ERROR_LENGTH_MM, ERROR_SD_MM, SPACING_MM

_TEMPLATE = Path(__file__).with_name("template.md")
_ERROR, _AGREEMENT, _PROFILE = (
    "measurement_error.png",
    "measurement_bland_altman.png",
    "measurement_profile.png",
)


def write_report(scans: list[Measured], methods: Sequence[str], report: Path, folder: Path) -> None:
    """Write the report and its figures beside it.

    Parameters
    ----------
    scans : list of Measured
        All of them.
    methods : sequence of str
        In the order of the tables.
    report : Path
        The Markdown file.
    folder : Path
        Of the cache, for the example profile.
    """
    figures.error_against_thickness(scans, methods, report.with_name(_ERROR))
    figures.bland_altman(scans, default_method(), report.with_name(_AGREEMENT))
    figures.example_profiles(scans, default_method(), folder, report.with_name(_PROFILE))
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        scope=_scope(scans),
        figures=_figures(),
        spacing=SPACING_MM,
        error_sd=ERROR_SD_MM,
        error_length=ERROR_LENGTH_MM,
        edge_error=f"{_edge_error(scans):.2f}",
        default=default_method(),
        promises=tables.promises(scans, methods),
        reading=reading(scans, methods),
        accuracy=tables.accuracy(scans, methods),
        scanners=tables.scanners(scans, methods),
        hardening=tables.hardening(scans),
        coverage=tables.coverage(scans, methods),
        measured=tables.measured_and_time(scans, methods),
        beside=tables.beside_acetabulum(scans, methods),
        n_repeats=_repeats(scans),
        repeats=tables.repeats(scans, methods),
        defects=tables.defects(scans, methods),
    )
    write_text(report, text)


def _scope(scans: list[Measured]) -> str:
    whole = len(plan())
    persons = len({scan.case.person for scan in scans})
    points = sum(int(scan.true["counted"].sum()) for scan in scans)
    done = "all" if len(scans) == whole else f"{len(scans)} of the {whole}"
    return f"This run: {done} planned scans, {persons} femurs, {points:,} points."


def _figures() -> str:
    captions = (
        (_ERROR, "Bias and mean absolute error of thickness against the true thickness, Gaussian scanner."),
        (_AGREEMENT, "Bland–Altman: mean difference (line) and 95 % limits of agreement (dashed)."),
        (_PROFILE, f"A profile of typical error with the fit of `{default_method()}`, cortex about 1 mm."),
    )
    return "\n\n".join(f"![{text}]({name})\n\n*{text}*" for name, text in captions)


def _repeats(scans: list[Measured]) -> str:
    chosen = [scan.case for scan in scans if scan.case.purpose == "repeat"]
    if not chosen:
        return "Regions of several scans of the same bone."
    persons, seeds = len({case.person for case in chosen}), len({case.seed for case in chosen})
    what = f"{persons} persons, {seeds} scans each at {chosen[0].protocol} mm"
    return f"{what}: new position, new noise, new mask."


def _edge_error(scans: list[Measured]) -> float:
    return float(np.std(np.concatenate([scan.true["edge"][scan.true["counted"]] for scan in scans])))

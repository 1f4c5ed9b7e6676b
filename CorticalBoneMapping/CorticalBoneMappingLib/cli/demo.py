"""``cbm demo``: the main work on simulated data, from CT to report: a small trial, or one hip."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.side import SIDES
from . import demo_hip
from .common import add_command, add_output_options, number_text, progress_of, say, text_table
from .study import report, stats, study

_EPILOG = """\
examples:
  cbm demo --out demo --workers 2    then open demo/report.html and demo/quality.html
  cbm demo hip --out demo_hip        then open demo_hip/index.html

trial (default): twelve people, two visits, one hip each. The scans are simulated; then every femur is found,
measured and registered, the treatment is tested at every point, and the report is written; what was found is
printed beside what is true. The treatment is twice as strong as the published one, because twelve
people are few. Begun again, it goes on where it was broken off.

hip: one hip (0.6 × 0.6 × 1.0 mm), calibrated by the rods under it, and mapped with surface-map, which is
given nothing, with constant-density, which is given the true cortical density (the same everywhere), and
with half-maximum. The errors are printed."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "demo", "the main work on simulated data, from CT to report", _EPILOG)
    parser.add_argument(
        "what", nargs="?", choices=("trial", "hip"), default="trial", help="what is shown (default: trial)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), metavar="DIR", help="folder (default: demo)"
    )
    parser.add_argument("--seed", type=int, default=0, help="which people, or which person (default: 0)")
    parser.add_argument("--side", choices=SIDES, default="right", help="default: right")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="of the trial (default: 2)")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Run the chosen one."""
    {"trial": run_trial, "hip": demo_hip.run}[chosen.what](chosen)


_PEOPLE, _MONTHS = 12, (0, 36)
_EFFECT_PERCENT = 10.8  # twice the published one: twelve people are few
_SPACING_MM = 2.0
_REPORT_FILE, _QUALITY_FILE = "report.html", "quality.html"
_SHOWN = ("whole femur", "femoral head", "neck superior", "lateral trochanter", "subtrochanteric shaft")
_HEADER = ("effect on cortical mass, month 36", "true (%)", "found (%)", "95 % CI", "")


def run_trial(chosen: argparse.Namespace) -> None:
    """Simulate, map, test, and write the pages."""
    from ..simulation.scanner.settings import ScannerSettings
    from ..simulation.trial import Treatment, TrialSettings
    from ..study.mapping.executors import open_executor
    from ..study.simulated_trial import STUDY_FILE, TRUTH, TRUTH_TABLE, write_trial

    begun, progress = time.perf_counter(), progress_of(chosen)
    settings = TrialSettings(
        people=_PEOPLE,
        months=_MONTHS,
        sides=(chosen.side,),
        treatment=Treatment(_EFFECT_PERCENT),
        scanner=ScannerSettings(
            voxel_mm=0.8, slice_spacing_mm=2.0, psf_sigma_mm=0.55, noise_hu=16.0, margin_mm=10.0
        ),
        seed=chosen.seed,
    )
    with open_executor(chosen.workers, None) as executor:
        write_trial(chosen.out, settings, executor, progress.part(0.0, 0.25), spacing_mm=_SPACING_MM)
    plan, answers = chosen.out / STUDY_FILE, chosen.out / "answers"
    workers = ["--workers", str(chosen.workers)]
    _step(chosen, study.add_to, ["study", "run", str(plan), *workers], 0.25, 0.9)
    _step(chosen, stats.add_to, ["stats", str(plan), "--out", str(answers)], 0.9, 0.95)
    pages = {name: chosen.out / name for name in (_REPORT_FILE, _QUALITY_FILE)}
    shown = ["report", str(answers), "--results", str(plan), "--out", str(pages[_REPORT_FILE])]
    _step(chosen, report.add_to, shown, 0.95, 0.98)
    _step(chosen, study.add_to, ["study", "qc", str(plan), "--out", str(pages[_QUALITY_FILE])], 0.98, 1.0)
    progress.report(1.0, "Done")
    say(chosen, "\n" + text_table(_HEADER, _against_truth(answers, chosen.out / TRUTH / TRUTH_TABLE)))
    say(chosen, f"\n{pages[_REPORT_FILE]} and {pages[_QUALITY_FILE]} written;")
    say(chosen, f"{time.perf_counter() - begun:.0f} s in all.")


def _step(chosen: argparse.Namespace, add_to: Callable, words: list[str], start: float, stop: float) -> None:
    """Run another command as part of this one."""
    parser = argparse.ArgumentParser()
    add_to(parser.add_subparsers())
    parsed = parser.parse_args([*words, "--quiet"])
    parsed.command_line, parsed.part_of = words, progress_of(chosen).part(start, stop)
    parsed.run(parsed)


def _against_truth(answers: Path, truth: Path) -> list[list[str]]:
    """Rows of the table that is printed: truth, effect and bounds of a few regions."""
    from ..io.tables import read_rows
    from ..study.analysis.answer_tables import ATTRIBUTION_COLUMNS
    from ..study.simulated_trial import TRUE_COLUMNS

    attributed = read_rows(next(answers.glob("*/attribution.csv")), ATTRIBUTION_COLUMNS)
    found = {row["region"]: row for row in attributed}
    true = {row["region"]: row for row in read_rows(truth, TRUE_COLUMNS)}
    return [
        [
            region,
            number_text(true[region]["mass_percent"], 1),
            *(number_text(found[region][f"mass_{name}"], 1) for name in ("percent", "lower", "upper")),
        ]
        for region in _SHOWN
    ]

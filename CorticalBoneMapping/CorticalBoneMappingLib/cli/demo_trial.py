"""``cbm demo``: a small simulated trial from its scans to the report, and how far from the truth it comes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from .common import number_text, progress_of, say, text_table
from .study import report, stats, study

_PEOPLE, _MONTHS = 12, (0, 36)
_EFFECT_PERCENT = 10.8  # twice the published one: twelve people are few
_SPACING_MM = 2.0
_REPORT_FILE, _QUALITY_FILE = "report.html", "quality.html"
_SHOWN = ("whole femur", "femoral head", "neck superior", "lateral trochanter", "subtrochanteric shaft")
_HEADER = ("effect on cortical mass, month 36", "true (%)", "found (%)", "95 % CI", "")


def run(chosen: argparse.Namespace) -> None:
    """Simulate, map, test, and write the pages."""
    from ..simulation.scanner.settings import ScannerSettings
    from ..simulation.treatment import Treatment
    from ..simulation.trial import TrialSettings
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

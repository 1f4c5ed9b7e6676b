"""Simulate a trial, map it, test it, and hold the answer against the truth.

``nice python -m Testing.benchmarks.trial [--people N] [--months 0 12 24 36] [--folder DIR]``; every step
goes on where it was, so a run may be broken off and begun again as often as need be. The whole trial (80
people, four visits, 640 scans) needs hours and 5 GB. A null trial of the same people, of the months 0 and 36,
is run beside it with --null.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .compare import compare
from .report import write_report

FOLDER = Path(tempfile.gettempdir()) / "cortical-bone-mapping-benchmark" / "trial"
REPORT = Path(__file__).parents[3] / "Docs" / "validation" / "trial.md"


def main() -> None:
    """Run what is not done yet, and write the page."""
    parser = argparse.ArgumentParser(prog="trial", description=__doc__)
    parser.add_argument("--people", type=int, default=80, help="in both arms (default: 80)")
    parser.add_argument("--months", type=int, nargs="+", default=[0, 12, 24, 36], help="visits")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"of scans and maps (default: {FOLDER})")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--null", action="store_true", help="no effect at all: nothing should be found")
    parser.add_argument("--report", type=Path, default=REPORT, help="page to write")
    chosen = parser.parse_args()
    folder = chosen.folder / (f"{'null' if chosen.null else 'effect'}_{chosen.people}_{len(chosen.months)}")
    workers = ["--workers", str(chosen.workers)]
    effect = ["--effect", "0"] if chosen.null else []
    months = ["--months", *map(str, chosen.months)]
    _cbm("simulate", "trial", "--out", folder, "--people", chosen.people, *months, *effect, *workers)
    study = folder / "study.toml"
    _cbm("study", "check", study)
    _cbm("study", "run", study, *workers, may_fail=True)
    _cbm("stats", study, "--out", folder / "answers")
    _cbm("report", folder / "answers", "--out", folder / "report.html")
    write_report(compare(folder), chosen.report, chosen.null)


def _cbm(*words: object, may_fail: bool = False) -> None:
    """Run a command; a study of which some case failed goes on with the others."""
    print("$ cbm", *words, flush=True)
    begun = time.perf_counter()
    command = [sys.executable, "-m", "CorticalBoneMappingLib.cli", *map(str, words)]
    code = subprocess.run(command, check=False).returncode
    print(f"  exit code {code} after {time.perf_counter() - begun:.0f} s", flush=True)
    if code and not may_fail:
        raise SystemExit(code)


if __name__ == "__main__":
    main()

"""Simulate a trial, map it, test it, and hold the answer against the truth.

``nice python -m validation.trial [--people N] [--months 0 12 24 36] [--spacing MM] [--folder DIR]``;
every step goes on where it was, so a run may be broken off and begun again as often as need be; ``log.txt``
in its folder says what ran when. The whole trial (80 people, four visits, 640 scans) needs hours and 5 GB. A
null trial of the same people, of the months 0 and 36, is run beside it with --null.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .compare import compare
from .open_report import open_report
from .report import write_report

FOLDER = Path(tempfile.gettempdir()) / "cortical-bone-mapping-benchmark" / "trial"
REPORT = Path(__file__).parents[2] / "Docs" / "validation" / "trial.md"


def main() -> None:
    """Run what is not done yet, and write the page."""
    parser = argparse.ArgumentParser(prog="trial", description=__doc__)
    parser.add_argument("--people", type=int, default=80, help="in both arms (default: 80)")
    parser.add_argument("--months", type=int, nargs="+", default=[0, 12, 24, 36], help="visits")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"of scans and maps (default: {FOLDER})")
    parser.add_argument("--spacing", type=float, help="between points, mm (default: that of cbm map)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--null", action="store_true", help="no effect at all: nothing should be found")
    parser.add_argument("--report", type=Path, default=REPORT, help="page to write")
    chosen = parser.parse_args()
    folder = chosen.folder / (f"{'null' if chosen.null else 'effect'}_{chosen.people}_{len(chosen.months)}")
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder / "log.txt")
    workers = ["--workers", str(chosen.workers)]
    effect = ["--effect", "0"] if chosen.null else []
    spacing = [] if chosen.spacing is None else ["--spacing", chosen.spacing]
    months = ["--months", *chosen.months]
    plan = ["--people", chosen.people, *months, *spacing]
    log.cbm("simulate", "trial", "--out", folder, *plan, *effect, *workers)
    study = folder / "study.toml"
    log.cbm("study", "check", study)
    log.cbm("study", "run", study, *workers, may_fail=True)
    log.cbm("stats", study, "--out", folder / "answers")
    log.cbm("report", folder / "answers", "--out", folder / "report.html")
    opened = open_report(folder / "report.html")
    options = [*map(str, plan), *(["--null"] if chosen.null else [])]
    write_report(compare(folder), opened, chosen.report, chosen.null, options, log.text)


class Log:
    """Runs commands and keeps what ran when, over all pieces of a run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def text(self) -> str:
        """All of it, folders' names left out."""
        return self._path.read_text(encoding="utf-8").replace(f"{self._path.parent}", "trial")

    def cbm(self, *words: object, may_fail: bool = False) -> None:
        """Run a command; a study of which some case failed goes on with the others."""
        self._say(f"{time.strftime('%Y-%m-%d %H:%M')} $ cbm {' '.join(map(str, words))}")
        begun = time.perf_counter()
        command = [sys.executable, "-m", "CorticalBoneMappingLib.cli", *map(str, words)]
        code = subprocess.run(command, check=False).returncode
        self._say(f"    exit code {code} after {time.perf_counter() - begun:.0f} s")
        if code and not may_fail:
            raise SystemExit(code)

    def _say(self, line: str) -> None:
        print(line, flush=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    main()

"""``python -m validation.segmentation [--quick]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from CorticalBoneMappingLib.core.progress import TerminalProgress

from .report import write_report
from .run import measured
from .scans import CACHE

_REPORT = Path(__file__).parents[2] / "Docs" / "validation" / "segmentation.md"


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m validation.segmentation",
        description="Femurs found in scans of known truth, in a real one, and in wrong ones. "
        f"What is done is kept in {CACHE}, so that a run that was broken off goes on where it was.",
    )
    parser.add_argument("--quick", action="store_true", help="a few scans; the report goes into the cache")
    parser.add_argument("--report", type=Path, help="Markdown file; pictures go beside it")
    chosen = parser.parse_args()
    report = chosen.report or (CACHE / "quick.md" if chosen.quick else _REPORT)
    write_report(measured(chosen.quick, TerminalProgress()), report)
    print(report)


if __name__ == "__main__":
    main()

"""``python -m validation.measurement [--quick | --scans N] [--cache DIR] [--report FILE]``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from CorticalBoneMappingLib.cortex import METHODS

from .measure import all_measured
from .plan import plan
from .report import write_report

_REPORT = Path(__file__).parents[2] / "Docs" / "validation" / "measurement.md"
_CACHE = Path(tempfile.gettempdir()) / "cortical-bone-mapping-benchmark"


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(
        prog="measurement",
        description="Accuracy of every method against known truth, on many simulated scans.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one femur in two protocols; the report goes into the cache"
    )
    parser.add_argument("--scans", type=int, metavar="N", help="only the first N scans, which show most")
    parser.add_argument(
        "--cache", type=Path, default=_CACHE, help=f"folder of what is done (default: {_CACHE})"
    )
    parser.add_argument("--report", type=Path, help="Markdown file; figures go beside it")
    chosen = parser.parse_args()
    report = chosen.report or (chosen.cache / "quick.md" if chosen.quick else _REPORT)
    scans = all_measured(plan(chosen.quick)[: chosen.scans], chosen.cache)
    write_report(scans, list(METHODS), report, chosen.cache)
    print(report)


if __name__ == "__main__":
    main()

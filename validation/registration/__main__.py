"""``python -m validation.registration``; ``--help`` lists what can be left out."""

from __future__ import annotations

import argparse
from pathlib import Path

from CorticalBoneMappingLib.core.progress import TerminalProgress

from .report import write_report
from .run import measured
from .subjects import CACHE

_REPORT = Path(__file__).parents[2] / "Docs" / "validation" / "registration.md"


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m validation.registration",
        description="Registration against known truth, against published methods, and on real femurs. "
        f"What is done is kept in {CACHE}, so that a run that was broken off goes on where it was.",
    )
    parser.add_argument("--pairs", type=int, default=20, metavar="N", help="simulated femurs (default: 20)")
    parser.add_argument("--people", type=int, default=12, metavar="N", help="simulated people (default: 12)")
    parser.add_argument(
        "--peer-pairs", type=int, default=2, metavar="N", help="of them for the peers (default: 2)"
    )
    parser.add_argument("--without-peers", action="store_true", help="leave the published methods out")
    parser.add_argument("--report", type=Path, default=_REPORT, help="Markdown file; pictures go beside it")
    chosen = parser.parse_args()
    n_peer_pairs = 0 if chosen.without_peers else chosen.peer_pairs
    write_report(measured(chosen.pairs, chosen.people, n_peer_pairs, TerminalProgress()), chosen.report)
    print(chosen.report)


if __name__ == "__main__":
    main()

"""``cbm demo``: the main work on simulated data, from CT to report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..core.side import SIDES
from . import demo_hip, demo_trial
from .common import add_command, add_output_options

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
    {"trial": demo_trial, "hip": demo_hip}[chosen.what].run(chosen)

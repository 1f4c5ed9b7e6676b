"""``cbm simulate trial``: the scans of a whole trial whose effect is known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .common import add_command, add_output_options, progress_of, say

_EPILOG = """\
examples:
  cbm simulate trial --out trial --people 12 --months 0 36
  cbm simulate trial --out trial --workers 2          the whole one: 80 people, 4 visits, 640 scans, 3 GB
  cbm simulate trial --out null --effect 0            a trial in which nothing happens

writes to DIR, and goes on where it was broken off:
  participants.csv   participant, visit (month), side, scan, calibration, arm, age, weight, height, areal_bmd
  study.toml         the difference of the arms at every visit, for cbm study and cbm stats
  scans/             a CT (NRRD) and its calibration rods for each visit and hip
  truth/             the true effect on the average femur (true_effect.vtp) and by region (true_effect.csv)
  trial.json         every setting

The treated gain cortical mass against placebo as in a published trial of denosumab: 5.4 % over the whole
proximal femur after 36 months, two thirds of it thickness, 12 % at the lateral trochanter, little at the
head.
Everybody loses thickness slowly. People differ in shape, bone, answer and loss; every visit has its own
position, noise and scanner drift."""


def add_to(kinds: Any) -> None:
    """Add the command to the parser of ``cbm simulate``."""
    parser = add_command(kinds, "trial", "make the CTs of a trial whose effect is known", _EPILOG)
    given: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the trial")
    parser.add_argument("--people", type=int, metavar="N", help="in both arms (default: 80)", **given)
    parser.add_argument(
        "--months", type=int, nargs="+", metavar="M", help="of the visits (default: 0 12 24 36)", **given
    )
    parser.add_argument(
        "--effect", type=float, metavar="PERCENT", help="on mass after 36 months (default: 5.4)", **given
    )
    parser.add_argument("--seed", type=int, help="of everything (default: 0)", **given)
    parser.add_argument(
        "--spacing", type=float, metavar="MM", help="between the points of the maps, written to study.toml"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="hips at a time (default: 1)")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Simulate and print how many scans there are."""
    from contextlib import nullcontext

    from ..simulation.treatment import Treatment
    from ..simulation.trial import TrialSettings
    from ..study.mapping.executors import open_executor
    from ..study.simulated_trial import write_trial

    given = {name: getattr(chosen, name) for name in ("people", "seed") if name in chosen}
    if "months" in chosen:
        given["months"] = tuple(chosen.months)
    if "effect" in chosen:
        given["treatment"] = Treatment(chosen.effect)
    settings = TrialSettings(**given)
    pool = nullcontext() if chosen.workers == 1 else open_executor(chosen.workers)
    with pool as executor:
        made = write_trial(chosen.out, settings, executor, progress_of(chosen), chosen.spacing)
    count = settings.people * len(settings.months) * len(settings.sides)
    say(chosen, f"{chosen.out}: {count} scans of {settings.people} people, {made} of them made now.")

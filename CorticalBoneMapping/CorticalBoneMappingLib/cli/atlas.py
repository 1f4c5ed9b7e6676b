"""``cbm atlas``: build an average femur of one's own cohort, or show the shapes that may be covariates."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .common import (
    add_atlas_option,
    add_command,
    add_output_options,
    number_text,
    progress_of,
    say,
    text_table,
)

_EPILOG = """\
examples:
  cbm atlas build right/*.vtp --left left/*.vtp --out my_atlas
  cbm atlas build cohort.csv --out my_atlas
      cohort.csv has the columns surface (a file, relative to the table) and side (left or right);
      with a column person, all femurs of a person together count as one
  cbm map ct.nrrd --mask labels.nrrd --side right --atlas my_atlas --out result
  cbm atlas show                                the covariates femur shape 1, 2 …: what they explain and mean
  cbm atlas show --atlas my_atlas

build writes to DIR, all or nothing:
  average_femur.vtp       the average right femur, with region and cut_end
  average_femur_fine.vtp  the same with about 20,000 points
  shape_model.vtp         how the people's femurs differ: vectors mode_01, mode_02 …, LPS mm for one
                          standard deviation; shape_model.json gives how much each explains
  atlas.json              names of the regions, landmarks, settings, how far each round moved the average

Every femur is registered with the average, all are averaged, and so on until the average rests. Regions
are carried over from the atlas that it began with. A femur takes about two seconds a round; --workers is for
speed alone, the atlas is the same."""

_BYTES_EACH = 700 << 20  # of memory for a worker, measured with 50,000 triangles a femur, with some room


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "atlas", "average the femurs of a cohort", _EPILOG)
    parser.add_argument("what", choices=("build", "show"), help="build one, or show its shape covariates")
    parser.add_argument(
        "surfaces", nargs="*", type=Path, metavar="SURFACES", help="right femurs, or a CSV table with sides"
    )
    parser.add_argument("--left", nargs="+", type=Path, default=[], metavar="FILE", help="left femurs")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the atlas that is built")
    parser.add_argument("--name", help="of the atlas (default: the folder's)")
    parser.add_argument(
        "--rounds", type=int, metavar="N", default=argparse.SUPPRESS, help="at most so many (default: 4)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="femurs at a time (default: as many as cores and memory allow)",
    )
    add_atlas_option(parser)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Build or show."""
    {"build": _build, "show": _show}[chosen.what](chosen)


def _show(chosen: argparse.Namespace) -> None:
    """Print the modes that may be covariates, what they explain, and what they change."""
    from ..atlas.average import load_atlas
    from ..atlas.mode_effects import effects_of_modes

    atlas = load_atlas(chosen.atlas)
    model = atlas.shape_model
    effects = effects_of_modes(model)
    whose = "people left out of the model" if model.left_out else "the people that it was made from"
    say(chosen, f"Atlas '{atlas.name}', {model.people} people: {len(model.modes)} shape modes explain")
    say(
        chosen,
        f"{model.shares.sum():.1%} of how {whose} differ in shape. Covariates of a study are femur size",
    )
    say(chosen, "and those below; each further mode explains less than 5 %.")
    head = ["", *(f"femur shape {number}" for number in range(1, len(effects.shares) + 1))]
    rows = [["explains", *(f"{share:.1%}" for share in effects.shares)]]
    rows += [["one SD moves a point by (mm)", *(f"{spread:.1f}" for spread in effects.spread_mm)]]
    rows += [
        [f"one SD changes {name}", *(f"{value:+.1f}" for value in values)]
        for name, values in effects.changes.items()
    ]
    say(chosen, text_table(head, rows))


def _build(chosen: argparse.Namespace) -> None:
    """Read, build, write, and print how the average converged."""
    from ..atlas.average import load_atlas
    from ..atlas.build import BuildSettings
    from ..atlas.cohort import build_atlas, check_place, read_cohort
    from ..core.errors import SettingError
    from ..study.mapping.executors import open_executor

    if chosen.out is None:
        raise SettingError("Give the folder of the atlas that is built with --out DIR.")
    check_place(chosen.out)
    settings = BuildSettings(**({"rounds": chosen.rounds} if "rounds" in chosen else {}))
    origin = load_atlas(chosen.atlas)
    subjects = read_cohort(chosen.surfaces, chosen.left)
    name = chosen.name or chosen.out.absolute().name
    with open_executor(chosen.workers, bytes_each=_BYTES_EACH) as executor:
        average = build_atlas(subjects, chosen.out, name, origin, settings, progress_of(chosen), executor)
    rows = [
        [
            *(str(number) for number in (index, one.femurs, one.people)),
            *(number_text(moved, 3) for moved in (one.moved_mean_mm, one.moved_95_mm)),
        ]
        for index, one in enumerate(average.rounds, start=1)
    ]
    say(chosen, text_table(("round", "femurs", "people", "moved, mean (mm)", "95th percentile (mm)"), rows))
    model = average.shape_model
    say(chosen, f"{len(model.modes)} shape modes explain {model.explained.sum():.1%} of the variance.")
    if model.left_out is not None:
        say(chosen, f"Of people left out they explain {model.left_out.explained.sum():.1%}.")
    for left_out, why in average.left_out.items():
        say(chosen, f"Left out: {left_out}: {why}")
    for name, warnings in average.warnings.items():
        say(chosen, f"Look at it: {name}: {' '.join(warnings)}")

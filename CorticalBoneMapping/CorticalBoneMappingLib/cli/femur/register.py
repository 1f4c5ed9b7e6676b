"""``cbm register``: the average femur registered to a subject's bone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ...core.side import SIDES
from ..common import (
    add_atlas_option,
    add_command,
    add_output_options,
    progress_of,
    say,
    without_machine_paths,
)

_EPILOG = """\
examples:
  cbm register femur.stl --side left --out registered
  cbm register result/periosteal_surface.vtp --side right --out registered
  cbm register femur.stl --side left --atlas my_atlas --out registered

writes to DIR:
  registered_average.vtp  the average femur's points on the subject's bone, with region
  average_femur.vtp       the average femur, with the measures of SURFACE if it has them
  registration.json       scale, distances, what the subject covers, size and shape, and warnings

Coordinates of SURFACE are LPS in mm, as Slicer writes them."""

_RECORD = "registration.json"


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "register", "lay the average femur on a bone", _EPILOG)
    parser.add_argument("surface", metavar="SURFACE", type=Path, help="VTP, VTK, STL, PLY or OBJ")
    parser.add_argument("--side", choices=SIDES, required=True, help="side of the body")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the result")
    add_atlas_option(parser)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Read, register, write, and print how well it fits."""
    from ...atlas.average import load_atlas
    from ...io.files import write_json
    from ...io.folders import ready_folder, whole_folder
    from ...io.surface_files import read_surface, write_surface
    from ...pipeline.carry import carry_to_average, registration_summary, shape_summary
    from ...pipeline.provenance import input_record, plain, program
    from ...pipeline.result import AVERAGE_FILE, REGISTERED_FILE
    from ...registration import register

    progress = progress_of(chosen)
    ready_folder(chosen.out, "registration", _RECORD, [REGISTERED_FILE, AVERAGE_FILE])
    atlas = load_atlas(chosen.atlas)
    bone, average = read_surface(chosen.surface), atlas.surface
    registration = register(
        bone, average, chosen.side, shape_model=atlas.shape_model, progress=progress.part(0.0, 0.9)
    )
    summary = registration_summary(registration)
    progress.report(0.95, "Writing")
    registered_template = registration.deformed.with_arrays(region=average.arrays["region"])
    on_average = carry_to_average(bone, average, registration) if "quality" in bone.arrays else average
    record = {
        "side": chosen.side,
        "program": program(),
        "inputs": {"surface": input_record(chosen.surface)},
        "command": without_machine_paths(chosen.command_line),
        "atlas": atlas.describe(),
        "registration": summary,
        "shape": shape_summary(registration, atlas.shape_model),
    }
    with whole_folder(chosen.out, "registration", _RECORD) as temporary:
        write_surface(temporary / REGISTERED_FILE, registered_template)
        write_surface(temporary / AVERAGE_FILE, on_average)
        write_json(temporary / _RECORD, plain(record))
    progress.report(1.0, "Done")
    apart = summary["distances_mm"]
    say(
        chosen,
        f"Scale {summary['scale']:.3f}; the average femur covers {summary['covered']:.0%} of its area.",
    )
    say(
        chosen,
        f"Distance to the bone: mean {apart['to_subject_mean']:.2f} mm, "
        f"95 % within {apart['to_subject_95']:.2f} mm.",
    )
    for warning in summary["remarks"]:
        say(chosen, f"Look at it: {warning}")

"""``cbm render``: a map as a picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.side import SIDES
from ..common import add_command, add_output_options, progress_of, say

if TYPE_CHECKING:
    from ...core.measures import Measure
    from ...core.surface import Surface

_EPILOG = """\
examples:
  cbm render result/periosteal_surface.vtp --array cortical_thickness --out thickness.png
  cbm render result/average_femur.vtp --array cortical_mass_surface_density --out mass.png
  cbm render change.vtp --array percent_change --range -10 10 --difference \\
             --label "Change in thickness" --unit % --side right --out change.png

Every measure has one fixed range, so that pictures of different people can be compared.
A femur that lies otherwise than in a scan is turned into the anatomical position first, by its registration
or its own shape; where its directions are not found, the views are named by the axes of the coordinates."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "render", "draw a map from four anatomical sides", _EPILOG)
    parser.add_argument("surface", metavar="SURFACE", type=Path, help="VTP (or VTK, PLY) file with the map")
    parser.add_argument("--array", required=True, metavar="NAME", help="the map's point array")
    parser.add_argument("--out", type=Path, required=True, metavar="PICTURE.png", help="the picture")
    parser.add_argument("--side", choices=SIDES, help="side of the body; default: from the result's folder")
    parser.add_argument("--title", help="a line above the views")
    parser.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="ends of the scale (default: the measure's)",
    )
    parser.add_argument("--label", help="name of the quantity in the legend")
    parser.add_argument("--unit", help="unit in the legend")
    parser.add_argument("--difference", action="store_true", help="colours for gain and loss")
    parser.add_argument("--superior", action="store_true", help="add the view from above")
    parser.add_argument("--width", type=int, default=2400, metavar="PIXELS", help="width (default: 2400)")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Read the surface and draw it."""
    from functools import partial

    from ...core.errors import SettingError
    from ...io.files import ready_file
    from ...io.surface_files import read_surface
    from ...report.pictures.drawing_process import draw_in_process
    from ...report.pictures.render import render_views

    if chosen.out.suffix.lower() != ".png":
        raise SettingError(f"{chosen.out}: pictures are written as PNG; let the name end in .png.")
    ready_file(chosen.out)
    progress = progress_of(chosen)
    progress.report(0.0, "Reading the surface")
    surface = read_surface(chosen.surface)
    side = chosen.side or _side_of_result(chosen.surface)
    progress.report(0.2, "Finding the directions of the femur")
    placed = _in_position(chosen, surface, side)
    progress.report(0.4, "Drawing")
    drawing = partial(
        render_views,
        placed or surface,
        chosen.array,
        chosen.out,
        measure=_measure(chosen, surface.units.get(chosen.array)),
        side=side,
        title=chosen.title,
        is_difference=chosen.difference,
        superior=chosen.superior,
        is_placed=placed is not None,
        width_px=chosen.width,
    )
    draw_in_process([drawing])
    progress.report(1.0, "Done")
    say(chosen, f"{chosen.out} written.")


def _in_position(chosen: argparse.Namespace, surface: Surface, side: str | None) -> Surface | None:
    """Turn the femur into the anatomical position; None, and why, where its directions are not found."""
    from ...core.errors import SurfaceError
    from ...pipeline.result import AVERAGE_FILE, PERIOSTEAL_FILE, REGISTERED_FILE
    from ...report.pictures.position import in_anatomical_position

    if chosen.surface.name == AVERAGE_FILE:
        return surface
    record = (
        _record_of_result(chosen.surface) if chosen.surface.name in (PERIOSTEAL_FILE, REGISTERED_FILE) else {}
    )
    try:
        return in_anatomical_position(surface, side, record.get("registration", {}).get("average_to_bone"))
    except SurfaceError as error:
        say(chosen, f"Views are named by the axes of the coordinates: {error}")
        return None


def _measure(chosen: argparse.Namespace, unit: str | None) -> Measure | None:
    """Give the measure as the options change it; None where nothing is changed."""
    from dataclasses import replace

    from ...core.errors import SettingError
    from ...core.measures import MEASURES, Measure

    if chosen.range and not chosen.range[0] < chosen.range[1]:
        raise SettingError(
            f"The range goes from low to high, not from {chosen.range[0]:g} to {chosen.range[1]:g}."
        )
    known = MEASURES.get(chosen.array)
    if known is None:
        if chosen.range is None:
            return None
        label = chosen.array.replace("_", " ").capitalize()
        known = Measure(chosen.array, label, unit or "", unit or "", (0.0, 1.0))
    changes = {
        "label": chosen.label,
        "unit": chosen.unit or unit,
        "range": chosen.range and tuple(chosen.range),
    }
    return replace(known, **{name: value for name, value in changes.items() if value is not None})


def _side_of_result(path: Path) -> str | None:
    """Read the side from the result's folder; the average femur is a right one."""
    from ...pipeline.result import AVERAGE_FILE

    if path.name == AVERAGE_FILE:
        return "right"
    side = _record_of_result(path).get("side")
    return side if side in SIDES else None


def _record_of_result(path: Path) -> dict[str, Any]:
    """Read the provenance in the result's folder; empty where there is none."""
    from ...pipeline.result import PROVENANCE_FILE

    try:
        record = json.loads((path.parent / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}

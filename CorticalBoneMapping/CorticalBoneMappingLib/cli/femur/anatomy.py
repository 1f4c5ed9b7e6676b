"""``cbm anatomy``: axes, angles, lengths and landmarks of a femur."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.side import SIDES
from ..common import add_command, add_output_options, progress_of, say, text_table

if TYPE_CHECKING:
    from ...anatomy import Anatomy
    from ...core.surface import Surface

_EPILOG = """\
examples:
  cbm anatomy femur.stl --side left
  cbm anatomy result/periosteal_surface.vtp --side right --json
  cbm anatomy femur.stl --side right --medial-condyle=12.0,-31.5,-402.0 --lateral-condyle=62.5,-30.0,-400.5
  cbm anatomy femur.stl --side left --picture regions.png

Coordinates of SURFACE are LPS in mm, as Slicer writes them; those that are printed, and those of the
condyles, are RAS. Angles are three-dimensional. Anteversion needs the condyles: those of a whole femur are
found, for a proximal one they can be given. Open ends and holes are closed before anything is measured."""

_MEASUREMENT_LABELS = {
    "head_radius_mm": ("head radius", "mm", 1),
    "neck_shaft_angle_deg": ("neck–shaft angle", "°", 1),
    "neck_shaft_angle_sd_deg": ("  its uncertainty (SD)", "°", 1),
    "offset_mm": ("femoral offset", "mm", 1),
    "neck_length_mm": ("neck length", "mm", 1),
    "neck_width_mm": ("neck width, top to bottom", "mm", 1),
    "neck_depth_mm": ("neck width, front to back", "mm", 1),
    "neck_trochanter_angle_deg": ("neck to lesser trochanter, from above", "°", 1),
    "greater_height_mm": ("greater trochanter above the head's centre", "mm", 1),
    "anteversion_deg": ("anteversion", "°", 1),
    "shaft_radius_mm": ("shaft radius", "mm", 1),
    "head_residual_mm": ("distance of the head from a sphere", "mm", 2),
    "shaft_length_mm": ("length of shaft used", "mm", 0),
    "shaft_residual_mm": ("distance of the shaft from straight", "mm", 2),
}


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "anatomy", "measure axes, angles and landmarks of a femur", _EPILOG)
    parser.add_argument("surface", metavar="SURFACE", type=Path, help="VTP, VTK, STL, PLY or OBJ")
    parser.add_argument("--side", choices=SIDES, required=True, help="side of the body")
    for which in ("medial", "lateral"):
        parser.add_argument(
            f"--{which}-condyle",
            type=_point,
            metavar="X,Y,Z",
            help=f"the most posterior point of the {which} condyle, RAS mm, if SURFACE ends above; both give "
            "the anteversion",
        )
    parser.add_argument("--picture", type=Path, metavar="PICTURE.png", help="draw regions and landmarks")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Read, measure, and print."""
    from ...anatomy import measure_anatomy
    from ...core.errors import SettingError
    from ...io.files import ready_file
    from ...io.surface_files import read_surface
    from ...pipeline.anatomy import anatomy_record

    if chosen.picture and chosen.picture.suffix.lower() != ".png":
        raise SettingError(f"{chosen.picture}: pictures are written as PNG; let the name end in .png.")
    condyles = [place for place in (chosen.medial_condyle, chosen.lateral_condyle) if place]
    if len(condyles) == 1:
        raise SettingError("Anteversion needs both condyles: give --medial-condyle and --lateral-condyle.")
    if chosen.picture:
        ready_file(chosen.picture)
    progress = progress_of(chosen)
    progress.report(0.0, "Reading the surface")
    surface = read_surface(chosen.surface)
    progress.report(0.2, "Measuring")
    anatomy = measure_anatomy(surface, chosen.side)
    record = anatomy_record(anatomy, condyles)
    say(chosen, json.dumps(record, indent=2, ensure_ascii=False) if chosen.json else _text(record))
    if chosen.picture:
        progress.report(0.7, "Drawing")
        _draw(chosen, surface, anatomy)
    progress.report(1.0, "Done")


def _draw(chosen: argparse.Namespace, surface: Surface, anatomy: Anatomy) -> None:
    from functools import partial

    from ...anatomy.regions import REGION_NAMES, regions_of
    from ...mesh.surface_repair import repaired
    from ...report.pictures.drawing_process import draw_in_process
    from ...report.pictures.landmarks import draw_regions

    surface = repaired(surface).closed
    look = {"side": chosen.side, "landmarks": anatomy.landmarks}
    region = regions_of(surface, anatomy)
    draw_in_process([partial(draw_regions, surface, region, dict(REGION_NAMES), chosen.picture, **look)])


def _point(text: str) -> list[float]:
    """Read x,y,z."""
    try:
        place = [float(part) for part in text.split(",")]
    except ValueError:
        place = []
    if len(place) != 3 or not all(map(math.isfinite, place)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a point x,y,z in mm")
    return place


def _text(record: dict[str, Any]) -> str:
    measured = [
        (label, f"{record['measurements'][name]:.{decimals}f}", unit)
        for name, (label, unit, decimals) in _MEASUREMENT_LABELS.items()
        if name in record["measurements"]
    ]
    if "anteversion_deg" not in record["measurements"]:
        measured.append((_MEASUREMENT_LABELS["anteversion_deg"][0], "–", "needs the condyles"))
    places = [
        (name.replace("_", " "), *(f"{value:.1f}" for value in place))
        for name, place in record["landmarks_ras_mm"].items()
    ]
    lines = [
        f"{record['side'].capitalize()} femur",
        "",
        text_table(("measurement", "value", "unit"), measured),
        "",
        text_table(("landmark (RAS, mm)", "x", "y", "z"), places),
        *(f"Look at it: {warning}" for warning in record["remarks"]),
    ]
    return "\n".join(lines)

"""``cbm map``: one femur from a CT and a label map to files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.side import SIDES
from ..common import (
    add_atlas_option,
    add_command,
    add_output_options,
    add_series_option,
    ct_record,
    number_text,
    progress_of,
    say,
    text_table,
    without_machine_paths,
)

if TYPE_CHECKING:
    from ...core.progress import Progress
    from ...pipeline.result import FemurResult
    from ...pipeline.settings import MapSettings

_EPILOG = """\
examples:
  cbm map ct.nrrd --side right --out result
      the femur is found by itself (see cbm segment); HU maps, cortical density estimated from the bone's
      own thick cortex
  cbm map ct.nrrd --mask labels.nrrd --label 2 --side right --out result
      a label map shows where the femur is; without --label by the side, if it holds one label or is of
      TotalSegmentator or MONAI
  cbm map ct.nrrd --mask femurs/femur_right.vtp --side right --out result
      by a surface that cbm segment wrote
  cbm map dicom_folder --mask femur.nii.gz --side left --out result \\
          --calibration linear:0.81,-2.4 --cortical-density 1150
      calibrated: density = 0.81 HU - 2.4 mg/cm³; cortex taken as 1150 mg/cm³
  cbm map dicom_folder --series "Hip 1.0 B30f" --side right --out result
      of a folder with several CT series; without --series they are listed
  cbm map ct.nrrd --mask labels.nrrd --side right --out result --calibration rods:phantom.csv
      phantom.csv holds a rod a line: density (and water, for a Mindways phantom), with its hu, or its
      place x_ras,y_ras,z_ras, or neither: then the rods are searched for under the patient
  cbm map ct.nrrd --mask labels.nrrd --side right --out result --calibration internal
      no phantom: by the patient's own air, fat, muscle and cortex; much less certain, with a warning

writes to DIR:
  periosteal_surface.vtp  the bone: cortical_thickness (mm), cortical_density (mg/cm³),
                          cortical_mass_surface_density (mg/cm²), trabecular_density (mg/cm³),
                          fit_residual, quality; in HU without calibration
  average_femur.vtp       the same maps on the average (right) femur
  registered_average.vtp  the average femur registered to the bone, with its deformation (mm)
  points.csv regions.csv  the values by point and by region, with calibration_sd: how far a regional
                          mean is uncertain by the calibration alone
  provenance.json         settings, inputs, calibration, counts, versions, times"""

_TABLE_MEASURES = (
    ("cortical_thickness", "thickness", 2),
    ("cortical_density", "density", 0),
    ("cortical_mass_surface_density", "mass", 0),
    ("trabecular_density", "trabecular", 0),
)


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "map", "measure the cortex of a femur and map it", _EPILOG)
    # What is not given is left out, so that the defaults are in one place: MapSettings.
    given = {"default": argparse.SUPPRESS}
    parser.add_argument("ct", metavar="CT", type=Path, help="DICOM folder, NRRD, NIfTI or MetaImage file")
    add_series_option(parser)
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="LABELMAP",
        help="where the femur is: a label map, or a surface of 'cbm segment' (default: it is found)",
    )
    parser.add_argument("--label", type=int, metavar="N", help="its label, if there are several", **given)
    parser.add_argument("--side", choices=SIDES, required=True, help="side of the body")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the result")
    parser.add_argument(
        "--method",
        help="surface-map (default), constant-density, independent, mass-conserving, endocortical-ramp or "
        "half-maximum",
        **given,
    )
    parser.add_argument(
        "--cortical-density",
        type=float,
        metavar="VALUE",
        help="density of the cortex in the calibrated unit (HU without calibration): of every point for "
        "constant-density, of thick cortex for surface-map; default: estimated from the bone's own",
        **given,
    )
    parser.add_argument(
        "--calibration",
        metavar="HOW",
        help="none (default), linear:SLOPE,INTERCEPT (mg/cm³ = SLOPE · HU + INTERCEPT), rods:FILE, internal "
        "(by the patient's own tissues) or internal:without-cortex (less certain, but fair between people)",
        **given,
    )
    parser.add_argument(
        "--hardening",
        choices=("auto", "on", "off"),
        help="correct beam hardening by bone where rods or a line calibrate: auto (default) if the CT shows "
        "that it needs it, which some scanners' do not",
        **given,
    )
    parser.add_argument(
        "--kvp",
        type=float,
        metavar="KV",
        help="voltage of the X-ray tube (default: from DICOM, else 120)",
        **given,
    )
    parser.add_argument(
        "--slice-thickness",
        type=float,
        metavar="MM",
        dest="slice_thickness_mm",
        help="thickness of the slices, which overlap if it is more than their spacing (default: what DICOM "
        "or the JSON file beside a NIfTI states, compared with what the image shows)",
        **given,
    )
    parser.add_argument(
        "--spacing",
        type=float,
        metavar="MM",
        dest="spacing_mm",
        help="distance between points of the surface (default: 1.2)",
        **given,
    )
    parser.add_argument(
        "--smooth",
        type=float,
        metavar="MM",
        dest="smoothing_fwhm_mm",
        help="smoothing on the average femur, full width at half maximum (default: 0, none)",
        **given,
    )
    add_atlas_option(parser, **given)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Read, map, write, and print a summary."""
    say(chosen, summary(map_to(chosen, progress_of(chosen))))


def map_to(chosen: argparse.Namespace, progress: Progress) -> FemurResult:
    """Do the work of the command with a progress of the caller's; give what was written."""
    from dataclasses import fields

    from ...io.volume_files import read_volume
    from ...pipeline.find.femur_in_scan import femur_in
    from ...pipeline.map_femur import map_femur
    from ...pipeline.result import check_place, write_result
    from ...pipeline.settings import MapSettings

    names = {field.name for field in fields(MapSettings)}
    settings = MapSettings(**{name: value for name, value in vars(chosen).items() if name in names})
    check_place(chosen.out)
    volume = read_volume(chosen.ct, chosen.series, progress=progress.part(0.0, 0.1))
    inputs = _inputs(chosen, settings)
    femur, origin = femur_in(volume, chosen.mask, chosen.side, settings, progress.part(0.1, 0.35))
    result = map_femur(volume, femur, chosen.side, settings, progress.part(0.35, 0.95))
    result = result.with_provenance(
        segmentation=origin, inputs=inputs, command=without_machine_paths(chosen.command_line)
    )
    progress.report(0.97, "Writing")
    write_result(result, chosen.out)
    progress.report(1.0, "Done")
    return result


def _inputs(chosen: argparse.Namespace, settings: MapSettings) -> dict[str, Any]:
    """Name every input by its content, as it is when the work begins."""
    from ...pipeline.find.found_files import record_beside
    from ...pipeline.provenance import input_record

    paths = {}
    if chosen.mask is not None:
        paths |= {"mask": chosen.mask, "mask_record": record_beside(chosen.mask)}
    if settings.calibration.startswith("rods:"):
        paths["rods"] = Path(settings.calibration.removeprefix("rods:"))
    known = {kind: input_record(path) for kind, path in paths.items() if path is not None and path.exists()}
    return {"ct": ct_record(chosen)} | known


def summary(result: FemurResult) -> str:
    """Say in a few lines what was found: how much was measured, what was not and why, regional means."""
    points = result.provenance["points"]
    total = sum(points.values())
    counts = [
        f"  {count:>7,}  {100 * count / total:5.1f} %  {label}" for label, count in points.items() if count
    ]
    notes = [f"Note: {note}" for note in result.provenance["notes"]]
    method = result.provenance["settings"]["method"]
    lines = [f"{result.side.capitalize()} femur, {method}: {total:,} points", *counts, *notes, ""]
    return "\n".join([*lines, text_table(*region_table_cells(result.regions))])


def region_table_cells(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Give header and cells of the table of regional means."""
    cells = {(row["region"], row["measure"]): row for row in rows}
    regions = list(dict.fromkeys(row["region"] for row in rows))
    header = ["region", *(f"{text} ({cells[regions[0], name]['unit']})" for name, text, _ in _TABLE_MEASURES)]
    body = [
        [
            region,
            *(number_text(cells[region, name]["mean"], decimals) for name, _, decimals in _TABLE_MEASURES),
            f"{cells[region, 'cortical_thickness']['coverage']:.0%}",
        ]
        for region in regions
    ]
    return [*header, "measured"], body

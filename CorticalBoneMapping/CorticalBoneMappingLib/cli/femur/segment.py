"""``cbm segment``: the femurs of a CT, found without being drawn."""

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
    draw_pictures,
    progress_of,
    say,
    without_machine_paths,
)

if TYPE_CHECKING:
    from ...core.progress import Progress
    from ...core.volume import Volume
    from ...pipeline.find.found_femur import FoundFemur

_EPILOG = """\
examples:
  cbm segment ct.nrrd --out femurs
      every hip that the CT shows
  cbm segment dicom_folder --side left --out femurs
  cbm segment ct.nrrd --side right --seed 95 -12 -840 --out femurs
      the right hip whose head is near R 95, A -12, S -840 mm
  cbm segment ct.nrrd --repair total.nii.gz --side left --out femurs
      not found, but taken from another tool's label map: its holes, islands and pieces of pelvis are
      repaired, and the surface is moved to the bone's edge; the label is chosen by --label, or by the side
      in maps of TotalSegmentator and MONAI

then:
  cbm map ct.nrrd --mask femurs/femur_right.vtp --side right --out result     with the surface as it is
  cbm map ct.nrrd --mask femurs/labels.nrrd --side right --out result         with labels that you corrected

writes to DIR:
  femur_right.vtp femur_left.vtp  surfaces: confidence (0 to 1, how likely the true surface is within 1 mm),
                                  expected_error (mm), completed (1 where the shape model and not the CT
                                  defines the surface), near_metal (1 within 10 mm of metal), cut_end (1 where
                                  the bone is cut off)
  labels.nrrd                     75 in the left femur, 76 in the right, as TotalSegmentator numbers them
  femur_right.png femur_left.png  slices of the CT with the surface, to be looked at
  segmentation.json               of each femur the verdict (good, look at it, failed) and its reasons,
                                  what it rests on, inputs, versions, times"""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "segment", "find the femurs of a CT, without drawing them", _EPILOG)
    parser.add_argument("ct", metavar="CT", type=Path, help="DICOM folder, NRRD, NIfTI or MetaImage file")
    add_series_option(parser)
    parser.add_argument(
        "--side",
        choices=("left", "right", "both"),
        help="which femur has to be found (default: every one that the CT shows)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what is found")
    parser.add_argument(
        "--seed",
        type=float,
        nargs=3,
        metavar=("R", "A", "S"),
        help="a point in the femoral head, RAS mm: only that hip, with --side even if the search sees none",
    )
    parser.add_argument(
        "--repair", type=Path, metavar="LABELMAP", help="label map of another tool to take the femur from"
    )
    parser.add_argument(
        "--label", type=int, metavar="N", help="the femur's label in it (default: by the side)"
    )
    parser.add_argument(
        "--spacing",
        type=float,
        metavar="MM",
        dest="spacing_mm",
        default=1.2,
        help="distance between points of the surface (default: 1.2)",
    )
    parser.add_argument(
        "--slice-thickness",
        type=float,
        metavar="MM",
        dest="slice_thickness_mm",
        help="thickness of the slices (default: what DICOM or the JSON file beside a NIfTI states, else the "
        "spacing)",
    )
    add_atlas_option(parser)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Read, find, write, and print a summary."""
    from ...io.volume_files import read_volume
    from ...pipeline.find.found_files import check_same_ct, ready_for_found, summary, usable
    from ...pipeline.provenance import input_record
    from ...pipeline.settings import MapSettings, with_slice_thickness

    progress, given = progress_of(chosen), MapSettings(slice_thickness_mm=chosen.slice_thickness_mm)
    ready_for_found(chosen.out, chosen.side)
    volume = read_volume(chosen.ct, chosen.series, progress=progress.part(0.0, 0.1))
    inputs = {"ct": ct_record(chosen)}
    if chosen.repair is not None:
        inputs["repair"] = input_record(chosen.repair)
    check_same_ct(chosen.out, inputs["ct"])
    volume = with_slice_thickness(volume, given)
    found = _femurs(chosen, volume, progress.part(0.1, 0.9))
    usable(found, str(chosen.ct))
    progress.report(0.92, "Writing")
    settings = {"side": chosen.side, "seed_ras_mm": chosen.seed, "spacing_mm": chosen.spacing_mm}
    settings["slice_thickness_mm"] = chosen.slice_thickness_mm
    _write(
        found,
        volume,
        chosen.out,
        inputs=inputs,
        settings=settings | {"label": chosen.label, "atlas": chosen.atlas and chosen.atlas.name},
        command=without_machine_paths(chosen.command_line),
    )
    progress.report(1.0, "Done")
    say(chosen, summary(found))


def _femurs(chosen: argparse.Namespace, volume: Volume, progress: Progress) -> list[FoundFemur]:
    from ...core.errors import SettingError
    from ...io.volume_files import read_labelmap
    from ...pipeline.find.find_femur import find_femurs
    from ...pipeline.find.repaired_femur import repaired_femur

    if chosen.repair is None:
        return find_femurs(volume, chosen.side, chosen.seed, chosen.atlas, chosen.spacing_mm, progress)
    if chosen.side not in SIDES:
        raise SettingError("With --repair state which femur it is: --side left or --side right.")
    labelmap = read_labelmap(chosen.repair)
    return [repaired_femur(volume, labelmap, chosen.side, chosen.label, chosen.spacing_mm, progress)]


def _write(found: list[FoundFemur], volume: Volume, folder: Path, **record: Any) -> None:
    """Write all files, or none, and then the pictures; a side that was found earlier stays."""
    from ...io.folders import more_files, whole_folder
    from ...pipeline.find.found_files import PICTURE_FILE, RECORD_FILE, write_found

    with whole_folder(folder, "segmentation", RECORD_FILE) as temporary:
        write_found(found, temporary, earlier=folder, **record)
    with more_files(folder, "picture", RECORD_FILE) as temporary:
        for femur in found:
            if femur.is_usable:
                _draw(femur, volume, temporary / PICTURE_FILE.format(side=femur.side))


def _draw(femur: FoundFemur, volume: Volume, picture: Path) -> None:
    from ...report.pictures.slices import slices_to_draw

    title = f"{femur.side.capitalize()} femur: {femur.verdict}"
    draw_pictures(lambda: [slices_to_draw(volume, femur.surface, picture, title=title, head=femur.head)])

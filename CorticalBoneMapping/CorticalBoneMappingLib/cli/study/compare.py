"""``cbm compare``: one patient against repeat scans, or against controls."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common import (
    add_command,
    add_output_options,
    draw_pictures,
    number_text,
    progress_of,
    say,
    text_table,
)

if TYPE_CHECKING:
    from ...study.patient import PatientAnswer

_EPILOG = """\
examples:
  cbm compare visit0 visit12 --repeats repeats.csv --out change
  cbm compare patient --controls controls.csv --terms age sex --patient age=66 sex=female --out comparison

Folders are those that cbm map wrote. repeats.csv: participant, path (visit, side); rows of one participant,
visit and side are repeat scans, from which the least significant change comes. controls.csv: participant,
path, and what --terms name; a row a person.

writes to DIR:
  comparison.vtp   change, bounds, least significant change, p, q; or expected, difference, z, percentile
  comparison.png   the change where it is beyond the least significant one; or z
  regions.csv      the same of regional means
  provenance.json  inputs, versions, settings

Each vertex and region is judged by itself: of those that are unchanged, one in twenty is beyond the least
significant change. q is the false discovery rate."""

_Z_RANGE = (-4.0, 4.0)


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "compare", "compare one patient with repeat scans or controls", _EPILOG)
    parser.add_argument("scan", metavar="FOLDER", type=Path, help="the patient's scan, or the first of two")
    parser.add_argument("second", metavar="SECOND", type=Path, nargs="?", help="a later scan of the same hip")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--repeats", type=Path, metavar="TABLE", help="table of repeat scans")
    kind.add_argument("--controls", type=Path, metavar="TABLE", help="table of controls")
    parser.add_argument("--terms", nargs="+", default=[], metavar="COLUMN", help="adjust controls for these")
    parser.add_argument(
        "--patient", nargs="+", default=[], metavar="COLUMN=VALUE", help="the patient's values of them"
    )
    parser.add_argument("--measure", default="cortical_thickness", help="default: cortical_thickness")
    parser.add_argument("--fwhm", type=float, default=10.0, metavar="MM", help="smoothing (default: 10)")
    parser.add_argument("--level", type=float, default=0.95, help="confidence of a change (default: 0.95)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the answer")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Compare, write, and print a summary."""
    from ...core.errors import SettingError
    from ...io.folders import more_files
    from ...study.patient import (
        PICTURE_FILE,
        PROVENANCE_FILE,
        check_place,
        compare_to_controls,
        compare_two_scans,
        write_patient,
    )

    progress = progress_of(chosen)
    check_place(chosen.out)
    if chosen.repeats is not None:
        if chosen.second is None:
            raise SettingError("Repeat scans judge a change: name two scans of the patient.")
        answer = compare_two_scans(
            chosen.scan, chosen.second, chosen.repeats, chosen.measure, chosen.fwhm, chosen.level, progress
        )
    else:
        if chosen.second is not None or not chosen.terms:
            raise SettingError("Controls judge one scan: name one, and --terms to adjust for, such as age.")
        values = dict(_pair(text) for text in chosen.patient)
        answer = compare_to_controls(
            chosen.scan, values, chosen.controls, tuple(chosen.terms), chosen.measure, chosen.fwhm, progress
        )
    write_patient(answer, chosen.out)
    with more_files(chosen.out, "comparison", PROVENANCE_FILE) as temporary:
        _draw(answer, temporary / PICTURE_FILE)
    say(chosen, summary(answer))


def summary(answer: PatientAnswer) -> str:
    """Set the regions in a table."""
    names = [name for name in answer.columns if name not in ("region", "unit", "dof", "t")]
    rows = [
        [
            row["region"],
            row["unit"],
            *(number_text(float(row[name]), 0 if name == "direction" else 3) for name in names),
        ]
        for row in answer.regions
    ]
    return text_table(["", "unit", *(name.replace("_", " ") for name in names)], rows)


def _draw(answer: PatientAnswer, picture: Path) -> None:
    from functools import partial

    import numpy as np

    from ...core.measures import MEASURES, Measure
    from ...report.pictures.render import render_views

    kind = MEASURES[answer.provenance["measure"]]
    unit, reach = answer.provenance["unit"], 0.1 * (kind.range[1] - kind.range[0])
    is_change = answer.shown != "z"
    drawn = Measure(answer.shown, f"Change in {kind.label.lower()}", unit, unit, (-reach, reach))
    if not is_change:
        drawn = Measure("z", f"{kind.label} against controls", "z", "z", _Z_RANGE)
    values = answer.surface.arrays[answer.shown].astype(np.float64)
    drawing = partial(
        render_views,
        answer.surface.with_arrays(**{answer.shown: values}),
        answer.shown,
        picture,
        measure=drawn,
        side="right",
        is_difference=True,
        superior=True,
        grey_means="not significant" if is_change else "not measured",
    )
    draw_pictures(lambda: [drawing])


def _pair(text: str) -> tuple[str, str]:
    from ...core.errors import SettingError

    name, sign, value = text.partition("=")
    if not sign:
        raise SettingError(f"'{text}' should be COLUMN=VALUE, such as age=66.")
    return name.strip(), value.strip()

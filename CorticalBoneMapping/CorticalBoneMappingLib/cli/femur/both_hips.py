"""``cbm both-hips``: a person's two hips on one surface."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..common import (
    add_command,
    add_output_options,
    number_text,
    progress_of,
    say,
    text_table,
    without_machine_paths,
)

_EPILOG = """\
example:
  cbm both-hips result_left result_right --out both
  cbm render both/both_hips.vtp --array cortical_thickness_difference --range -1 1 --difference \\
             --label "Left minus right" --unit mm --side right --out difference.png

LEFT and RIGHT are folders that 'cbm map' wrote, in either order. Writes to DIR:
  both_hips.vtp   the average femur with every measure's _left, _right, _mean and _difference (left minus
                  right), and measured_on: 0 nowhere, 1 left only, 2 right only, 3 both
  both_hips.csv   the same by region, over the points that both sides have
  both_hips.json  from which results, on which average femur, and in what they were not made alike"""

_SHOWN = {
    "cortical_thickness": 2,
    "cortical_density": 0,
    "cortical_mass_surface_density": 0,
    "trabecular_density": 0,
}


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "both-hips", "bring both hips of a person onto one surface", _EPILOG)
    parser.add_argument("left", metavar="LEFT", type=Path, help="folder of the result of one side")
    parser.add_argument("right", metavar="RIGHT", type=Path, help="folder of the result of the other")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what is written")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Read both results, bring them together, write, and print the regions."""
    from ...pipeline.both_hips import both_hips, check_place, write_both_hips
    from ...pipeline.provenance import input_record
    from ...pipeline.result import AVERAGE_FILE, read_result

    check_place(chosen.out)
    progress = progress_of(chosen)
    progress.report(0.0, "Reading the results")
    folders = (chosen.left, chosen.right)
    results = [read_result(folder) for folder in folders]
    progress.report(0.4, "Bringing both hips together")
    both = both_hips(*results)
    inputs = {
        result.side: {"folder": folder.name} | input_record(folder / AVERAGE_FILE)
        for result, folder in zip(results, folders)
    }
    progress.report(0.8, "Writing")
    write_both_hips(both, chosen.out, inputs=inputs, command=without_machine_paths(chosen.command_line))
    progress.report(1.0, "Done")
    for name, decimals in _SHOWN.items():
        rows = [row for row in both.regions if row["measure"] == name]
        if rows:
            say(chosen, f"{name.replace('_', ' ').capitalize()} ({rows[0]['unit']})")
            header = ("region", "left", "right", "difference", "%", "both measured")
            say(chosen, text_table(header, [_cells(row, decimals) for row in rows]) + "\n")
    for warning in both.warnings:
        say(chosen, f"Note: {warning}")


def _cells(row: dict[str, Any], decimals: int) -> tuple[str, ...]:
    return (
        row["region"],
        number_text(row["left"], decimals),
        number_text(row["right"], decimals),
        number_text(row["difference"], decimals),
        number_text(row["difference_percent"], 1),
        f"{row['coverage']:.0%}",
    )

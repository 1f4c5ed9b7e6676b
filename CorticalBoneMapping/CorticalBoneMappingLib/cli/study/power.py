"""``cbm power``: what a trial of a given size could find, from a study's own spread."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common import add_command, add_output_options, number_text, progress_of, say, text_table

if TYPE_CHECKING:
    from ...study.analysis.power import PowerAnswer

_EPILOG = """\
examples:
  cbm power study.toml --analysis "month 36" --n 20 40 80 --difference 3 --out power

The study is one for cbm stats; a trial with its visits, hips and covariates is planned. Written to DIR:
  power.vtp        detectable difference for each n, and n per arm needed for --difference, at every vertex
  power.csv        the same of regional means
  provenance.json  inputs, versions, settings"""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "power", "plan a trial from the spread of a study", _EPILOG)
    parser.add_argument("study", metavar="STUDY.toml", type=Path, help="the study whose spread is taken")
    parser.add_argument("--analysis", metavar="NAME", help="which of its analyses (default: the first)")
    parser.add_argument(
        "--n", type=int, nargs="+", default=[20, 40, 80], help="participants per arm (default: 20 40 80)"
    )
    parser.add_argument(
        "--difference", type=float, default=3.0, metavar="PERCENT", help="difference to find (default: 3)"
    )
    parser.add_argument("--power", type=float, default=0.8, help="chance of finding it (default: 0.8)")
    parser.add_argument(
        "--corrected", action="store_true", help="as significant as a whole map (or all regions) asks for"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the answer")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Plan, write, and print a summary."""
    from ...core.errors import SettingError
    from ...study.analysis.power import check_place, plan_trial, write_power
    from ...study.study_file.study_toml import read_study_file

    plan = read_study_file(chosen.study)
    by_name = {analysis.name: analysis for analysis in plan.analyses}
    name = chosen.analysis or plan.analyses[0].name
    if name not in by_name:
        raise SettingError(
            f"{chosen.study}: the study has no analysis '{name}'; it has {', '.join(by_name)}."
        )
    check_place(chosen.out)
    answer = plan_trial(
        plan, by_name[name], chosen.n, chosen.difference, chosen.power, chosen.corrected, progress_of(chosen)
    )
    write_power(answer, chosen.out)
    say(chosen, summary(answer))


def summary(answer: PowerAnswer) -> str:
    """Set the regions in a table: detectable percentages by size, and the size needed."""
    sizes = answer.provenance["sizes"]
    by_region: dict[str, list[dict[str, Any]]] = {}
    for row in answer.regions:
        by_region.setdefault(row["region"], []).append(row)
    lines = [
        [
            region,
            *(number_text(row["detectable_percent"], 1) for row in rows),
            number_text(rows[0]["needed_per_arm"], 0),
        ]
        for region, rows in by_region.items()
    ]
    wanted = f"n for {answer.provenance['difference_percent']:g} %"
    header = ["detectable difference, %", *(f"n = {n}" for n in sizes), wanted]
    return text_table(header, lines)

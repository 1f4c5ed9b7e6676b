"""``cbm report``: the answers of a study as one page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common import add_command, add_output_options, progress_of, say

if TYPE_CHECKING:
    from ...study.study_file.study_toml import StudyFile

_EPILOG = """\
examples:
  cbm report answers                         writes answers/report.html
  cbm report answers --results study.toml --out trial.html

DIR is what 'cbm stats' wrote. The page is one file that opens by double click and asks the network for
nothing: overview, notes, the study in numbers, maps in anatomical views, an interactive average femur,
tables of clusters, regions and scalars, methods in words with references, provenance.
The femur that can be turned needs the package plotly: python -m pip install 'plotly>=6'"""

_NAME = "report.html"


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "report", "write the report of a study as one HTML file", _EPILOG)
    parser.add_argument("answers", metavar="DIR", type=Path, help="folder that 'cbm stats' wrote to")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="STUDY.toml",
        help="the study file, or the folder of results of 'cbm study run': adds flow of cases, quality and "
        "how the maps were made; with the file, answers that are not of its maps as they are now are found",
    )
    parser.add_argument("--out", type=Path, metavar="PAGE.html", help=f"the page (default: DIR/{_NAME})")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Read the answers and write the page."""
    from ...core.errors import SettingError
    from ...io.files import ready_file, refuse_another_page
    from ...report.pages import write_study_report
    from ...report.pages.explorer import INSTALL, plotly_script

    out = chosen.out or chosen.answers / _NAME
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"{out}: the report is a page; let the name end in .html.")
    ready_file(out)
    refuse_another_page(out)  # before any work is done
    plan, results = _study(chosen.results)
    table = plan.table if plan is not None and plan.scans else None
    warnings = write_study_report(chosen.answers, out, results, table, progress_of(chosen), plan)
    if plotly_script() is None:
        say(chosen, INSTALL)
    for warning in warnings:
        say(chosen, f"Warning: {warning}")
    say(chosen, f"{out} written ({out.stat().st_size / 1e6:.1f} MB).")


def _study(given: Path | None) -> tuple[StudyFile | None, Path | None]:
    """Give the study file that is named, and the folder of results where scans were mapped."""
    from ...study.study_file.study_toml import read_study_file

    if given is None or given.is_dir():
        return None, given
    plan = read_study_file(given, needs_analysis=False)
    return plan, plan.results.resolve() if plan.scans else None

"""``cbm study``: check the table of a study's scans, and map them all."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.wording import counted
from ..common import add_command, add_output_options, progress_of, say
from . import qc

if TYPE_CHECKING:
    from ...study.mapping.map_scans import MappingSummary

_EPILOG = """\
examples:
  cbm study check study.toml                    what is wrong, row by row, before anything runs
  cbm study check study.toml --out problems.csv
  cbm study run study.toml --workers 4          map every femur; begin again at any time, it goes on
  cbm study run study.toml --dask tcp://head:8786
  cbm study qc study.toml                       a page with a picture of every case, the worst first
  cbm study qc study.toml --take qc.csv         what was decided on that page goes into the study
  cbm study qc study.toml --decide P01 12 left reject "moved"
  cbm stats study.toml --out answers            the same file asks the questions

study.toml:
  [study]
  name = "Denosumab trial"
  table = "participants.csv"     # participant, visit, side (left, right, both), path, and mask, label,
                                 # calibration, notes where needed, and arm, age … as the models need
  results = "results"            # where the maps go
  [scans]
  folder = "scans"               # what path, mask and rods:FILE in the table are relative to
  [map]
  calibration = "internal"       # any setting of cbm map
  [[analysis]]                   # the questions: see cbm stats --help

writes to the folder of results:
  sub-P01/ses-12/sub-P01_ses-12_hemi-R_femur/   what cbm map writes, and case.json: what it was made of
  cases.csv                                     every case: status, reason, time, figures
  qc.csv                                        accept or reject here; cbm stats leaves out what is rejected
  log/                                          how each case went

exit codes of run: 0 all mapped; 1 some case failed, cases.csv gives the reason. More: Docs/trial.md"""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "study", "check and map all scans of a study", _EPILOG)
    parser.add_argument("what", choices=("check", "run", "qc"), help="look for what is wrong, map, or judge")
    parser.add_argument(
        "study", metavar="STUDY.toml", type=Path, help="the study (of qc: or its folder of results)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="of check: a CSV; of run: the folder of results, if another; of qc: the page",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: as many as cores and memory allow)"
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="a Dask scheduler whose workers do the work, tcp://host:8786"
    )
    qc.add_options(parser)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Check, run or judge."""
    {"check": _check, "run": _run, "qc": qc.run}[chosen.what](chosen)


def _check(chosen: argparse.Namespace) -> None:
    from ...core.errors import SettingError
    from ...io.files import ready_file, refuse_another_table, write_text
    from ...study.check import check_study
    from ...study.study_file.problems import PROBLEM_COLUMNS, has_errors, problems_csv
    from ...study.study_file.study_toml import read_study_file

    plan = read_study_file(chosen.study, needs_analysis=False)
    if chosen.out is not None:
        ready_file(chosen.out)
        refuse_another_table(chosen.out, tuple(PROBLEM_COLUMNS))  # before any work is done
    found = check_study(plan, progress_of(chosen))
    if chosen.out is not None:
        write_text(chosen.out, problems_csv(found.problems))
    say(chosen, found.summary())
    if has_errors(found.problems):
        raise SettingError(f"{plan.table}: some cases or questions have errors; correct what is named.")


def _run(chosen: argparse.Namespace) -> None:
    from functools import partial

    from ...core.errors import CorticalBoneMappingError
    from ...io.files import check_room
    from ...report.pictures.thumbnails import thumbnail
    from ...study.check import cases_to_map
    from ...study.mapping.case import run_case
    from ...study.mapping.executors import memory_of, open_executor
    from ...study.mapping.map_scans import map_scans
    from ...study.mapping.measuring import measure_case
    from ...study.study_file.study_toml import read_study_file

    plan = read_study_file(chosen.study, needs_analysis=False)
    cases = cases_to_map(plan)
    results = (chosen.out or plan.results).resolve()
    check_room(results)
    work = partial(run_case, measure=partial(measure_case, draw=thumbnail))
    with open_executor(chosen.workers, chosen.dask, memory_of(cases)) as executor:
        done = map_scans(cases, results, executor, progress_of(chosen), work)
    say(chosen, summary(done))
    if done.failed:
        raise CorticalBoneMappingError(
            f"{done.failed} of {counted(done.cases, 'case')} failed; reasons are in {results / 'cases.csv'}."
        )


def summary(done: MappingSummary) -> str:
    """Say what a run did."""
    from ...study.mapping.map_scans import duration

    lines = [
        f"{counted(done.cases, 'case')}: {done.mapped} mapped in {duration(done.seconds)}, {done.kept} were "
        f"up to date, {done.failed} failed",
        *(f"  {name}: {reason}" for name, reason in done.failures),
    ]
    return "\n".join(lines)

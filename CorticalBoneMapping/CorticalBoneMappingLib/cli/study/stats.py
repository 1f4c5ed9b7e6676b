"""``cbm stats``: the questions of a study, answered on the average femur."""

from __future__ import annotations

import argparse
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.wording import counted
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
    from ...study.analysis.analyse_maps import StudyAnswer

_EPILOG = """\
examples:
  cbm stats study.toml --out answers

study.toml:
  [study]
  name = "Denosumab trial"
  table = "participants.csv"     # participant, visit, side, path, and arm, age … as the models need
  results = "maps"               # what the column path is relative to: folders written by cbm map
  [columns]
  reference = { arm = "placebo" }
  [[analysis]]
  name = "month 36"
  measure = "cortical_mass_surface_density"
  terms = ["visit", "visit × arm", "age"]
  contrast = "denosumab − placebo at visit 36, adjusted for age"
  model = "mixed"                # or least-squares
  correction = "random-field"    # or permutation, TFCE, false-discovery-rate
  endpoints = ["areal_bmd"]      # numeric columns put to the same question

writes to DIR, a folder for each analysis:
  effect.vtp       effect, percent, bounds, t, p, corrected p, q and significance on the average femur
  effect.png       the effect where it is significant, from five sides
  clusters.csv     region, area, extent, peak and p of every cluster
  regions.csv      the same question to regional means and endpoints, corrected together
  attribution.csv  the effect on mass by region, split into thickness and density, with bounds
  groups.csv       arms and visits, whose means at every vertex are in effect.vtp
  provenance.json  model, question, methods in words, inputs, versions, notes
and answered.json, the study's last questions: 'cbm report' leaves out answers to earlier ones"""

_EFFECTS, _CHANCES = ("effect", "ci_lower", "ci_upper", "effect_percent"), ("p", "p_holm")


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "stats", "test the maps of a study on the average femur", _EPILOG)
    parser.add_argument("study", metavar="STUDY.toml", type=Path, help="what the study asks")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the answers")
    parser.add_argument("--only", metavar="NAME", help="answer this analysis alone")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes for permutations (default: 1)"
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="a Dask scheduler whose workers make the permutations instead"
    )
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> None:
    """Run every analysis of the study, write, and print a summary."""
    from ...core.errors import SettingError
    from ...io.files import refuse_another_record
    from ...study.analysis.analyse_maps import analyse_maps, answer_folder
    from ...study.analysis.answer_files import add_picture, check_place, write_answer
    from ...study.analysis.collect import read_study_table
    from ...study.analysis.questions import refuse_wrong_questions
    from ...study.analysis.up_to_date import ANSWERED_FILE, note_answered, outdated_answers
    from ...study.study_file.study_toml import read_study_file

    plan = read_study_file(chosen.study)
    names = [analysis.name for analysis in plan.analyses]
    if chosen.only is not None and chosen.only not in names:
        raise SettingError(
            f"{chosen.study}: the study has no analysis '{chosen.only}'; it has {', '.join(names)}."
        )
    if chosen.workers < 1:
        raise SettingError(f"{chosen.workers} workers cannot work; ask for 1 or more.")
    refuse_another_record(chosen.out / ANSWERED_FILE)  # before any work is done
    asked = [analysis for analysis in plan.analyses if chosen.only in (None, analysis.name)]
    refuse_wrong_questions(plan, read_study_table(plan), asked)
    for analysis in asked:
        check_place(answer_folder(chosen.out, analysis))
    progress = progress_of(chosen)
    with _executor(chosen) as executor:
        for done, analysis in enumerate(asked):
            part = progress.part(done / len(asked), (done + 1) / len(asked))
            answer = analyse_maps(plan, analysis, executor, part)
            folder = answer_folder(chosen.out, analysis)
            write_answer(answer, folder)
            note_answered(chosen.out, plan, answer.provenance)
            if answer.fitted.answered.is_t:  # an F has no effect to draw
                add_picture(folder, partial(_draw, answer))
            say(chosen, summary(answer))
    for sentence in outdated_answers(chosen.out):
        say(chosen, f"Warning: {sentence} 'cbm report' leaves it out; remove the folder if it is of no use.")


def _draw(answer: StudyAnswer, picture: Path) -> None:
    from ...core.measures import MEASURES
    from ...report.pictures.render import render_effect
    from ...study.analysis.answer_files import effect_surface

    title = f"{MEASURES[answer.analysis.measure].label}: {answer.analysis.contrast}"
    draw_pictures(lambda: [partial(render_effect, effect_surface(answer), picture, title=title)])


def summary(answer: StudyAnswer) -> str:
    """Say in a few lines what was found: how much is significant, clusters, regions, and the notes."""
    record = answer.provenance
    design, area = record["design"], record["significant_area"]
    significant = [row for row in answer.clusters if row["p_corrected"] <= answer.analysis.alpha]
    lines = [
        f"{answer.analysis.name}: {record['question']['contrast']}",
        f"  {counted(design['rows'], 'map')} of {counted(design['participants'], 'participant')}; "
        f"{100 * area['share_of_tested']:.0f} % of the surface significant, "
        f"{counted(len(significant), 'cluster')}",
        *(f"  Note: {note}" for note in record["notes"]),
        "",
    ]
    header = ["", "unit", "effect", "95 % CI", "", "%", "p", "p (Holm)"]
    rows = [
        [
            row["name"],
            row["unit"],
            *(number_text(row[name], 2) for name in _EFFECTS),
            *(_chance(row[name]) for name in _CHANCES),
        ]
        for row in answer.regions
    ]
    return "\n".join([*lines, text_table(header, rows), ""])


def _chance(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else number_text(p, 4)


def _executor(chosen: argparse.Namespace) -> AbstractContextManager[Executor | None]:
    from ...study.mapping.executors import open_executor

    if chosen.dask is None and chosen.workers == 1:
        return nullcontext()
    return open_executor(chosen.workers, chosen.dask)

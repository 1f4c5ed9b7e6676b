"""Studies opened in the panel, folders that hold a user's files, and answers to earlier questions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.core.measures import measure_named
from CorticalBoneMappingLib.report.pages.answers import current_analyses, read_analyses
from CorticalBoneMappingLib.slicer.panel.child_process import ChildProcess, error_sentence
from CorticalBoneMappingLib.slicer.panel.runs import AnalyseMapsRun
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast
from CorticalBoneMappingLib.statistics.model.design import build_design
from CorticalBoneMappingLib.study.analysis.collect import parse_terms, read_study_table
from CorticalBoneMappingLib.study.study_file import Analysis, StudyFile, read_study_file, write_study_file
from Testing.library.helpers.tiny_maps import STUDY, write_map, write_questions, write_tiny_study

from .hip import cbm
from .judged import REFUSED, WARNED, Answer, Input

MINE = "# what I wrote\n"
NAMES = ("month 12", "month 36")
IN_PANEL = """
[columns]
reference = { arm = "placebo", centre = "2" }
categorical = ["centre"]
[[analysis]]
name = "all set"
terms = ["arm", "centre", "age"]
contrast = "denosumab − placebo"
model = "least-squares"
outcome = "percent-change"
endpoints = ["age"]
alpha = 0.01
seed = 9
"""


def _design(file: Path, name: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, Analysis, StudyFile]:
    """Give what `cbm stats` fits for an analysis of a study file."""
    plan = read_study_file(file)
    analysis = next(one for one in plan.analyses if one.name == name)
    table = read_study_table(plan)
    design = build_design(table, parse_terms(analysis.terms, table, plan.coding))
    return design.columns, design.matrix, read_contrast(design, analysis.contrast).matrix, analysis, plan


def _same_model(given: Path, asked: Path, name: str) -> Answer:
    columns, matrix, weights, analysis, plan = _design(given, name)
    others = _design(asked, name)
    is_same = (
        columns == others[0]
        and np.array_equal(matrix, others[1])
        and np.array_equal(weights, others[2])
        and analysis == others[3]
        and plan.coding == others[4].coding
    )
    return Answer(f"columns {', '.join(others[0])}", is_same)


def _study_with_everything(folder: Path) -> Path:
    write_tiny_study(folder)
    (folder / "study.toml").write_text(STUDY.partition("[columns]")[0] + IN_PANEL, encoding="utf-8")
    return folder / "study.toml"


def _in_panel(folder: Path) -> Answer:
    study = _study_with_everything(folder)
    (folder / "answers").mkdir()
    answer = _panel("study", study, "all set", folder / "answers")
    (file, _only), *_ = answer["asked"]
    return _same_model(study, Path(file), "all set")


def _written_by_panel(folder: Path) -> Answer:
    study = _study_with_everything(folder)
    write_study_file(folder / "asked.toml", read_study_file(study))
    return _same_model(study, folder / "asked.toml", "all set")


def _panel(*words: str | Path) -> dict:
    """Ask the panel in a process of its own: Qt and MRML leave no other test alone."""
    command = [sys.executable, "-m", f"{__package__}.panel_child", *map(str, words)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if ran.returncode or "Traceback" in ran.stderr:
        raise RuntimeError(ran.stderr)
    return json.loads(ran.stdout.splitlines()[-1])


def _saved_scene(module: str, parameter: str, _folder: Path) -> Answer:
    said = _panel("scene", module, parameter, "RENAMED_SINCE")["said"]
    return Answer("the panel opens with the default", True, [said])


def _answer_to_a_panel_question(file: str, folder: Path) -> Answer:
    """Ask a question of one's own in the panel, the output folder being that of the study."""
    study = write_tiny_study(folder, "month 36")
    (folder / file).write_text(MINE + study.read_text(encoding="utf-8"), encoding="utf-8")
    before = (folder / file).read_bytes()
    plan = read_study_file(study)
    own = replace(plan, analyses=plan.analyses[:1], scans=None, source="")
    AnalyseMapsRun(own, folder).close()
    return Answer(f"{file} is as it was", (folder / file).read_bytes() == before)


def _answers_into(name: str, folder: Path) -> Answer:
    """Run a command whose output has the name of a file that a user wrote."""
    study = write_tiny_study(folder, "month 36")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MINE, encoding="utf-8")
    commands = {
        ".html": ["study", "qc", study, "--out", path],
        ".csv": ["study", "check", folder / "scans.toml", "--out", path],
        ".json": ["stats", study, "--out", path.parent],
    }
    (folder / "scans.toml").write_text(
        study.read_text(encoding="utf-8").partition("[columns]")[0] + "[scans]\n", encoding="utf-8"
    )
    try:
        cbm(*commands[path.suffix], "--quiet")
    except CorticalBoneMappingError:
        if path.read_text(encoding="utf-8") != MINE:
            return Answer("the user's file is gone", False)
        raise
    return Answer("written", False)


def _table_called_cases(folder: Path) -> Answer:
    table = folder / "cases.csv"
    table.write_text("participant,visit,side,path\nP1,0,left,P1.nrrd\n", encoding="utf-8")
    before = table.read_bytes()
    text = '[study]\nname = "Small"\ntable = "cases.csv"\nresults = "."\n[scans]\n'
    (folder / "study.toml").write_text(text, encoding="utf-8")
    try:
        cbm("study", "run", folder / "study.toml", "--workers", "1", "--quiet")
    except CorticalBoneMappingError:
        if table.read_bytes() != before:
            return Answer("the table is gone", False)
        raise
    return Answer("mapped", False)


@lru_cache(maxsize=1)
def _answered() -> dict[str, bytes]:
    """Answer a tiny study once; give all its files."""
    with tempfile.TemporaryDirectory(prefix="cbm-inputs-answers-") as name:
        folder = Path(name)
        study = write_tiny_study(folder, *NAMES)
        cbm("stats", study, "--out", folder / "answers", "--quiet")
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _answered_in(folder: Path) -> Path:
    for name, content in _answered().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "answers"


def _report(answers: Path, plan: StudyFile | None, expected: Sequence[str]) -> Answer:
    kept, warnings = current_analyses(answers, read_analyses(answers), plan)
    names = [answer.name for answer in kept]
    return Answer(f"shown: {', '.join(names)}", names == list(expected), warnings)


def _renamed(folder: Path) -> Answer:
    answers = _answered_in(folder)
    study = write_questions(folder, "month 12", "three years")
    cbm("stats", study, "--only", "three years", "--out", answers, "--quiet")
    return _report(answers, None, ["month 12", "three years"])


def _changed(change: str, folder: Path) -> Answer:
    """Change a study that was answered, answer one of its questions again, and report."""
    answers = _answered_in(folder)
    study = folder / "study.toml"
    if change == "setting":
        study.write_text(study.read_text("utf-8").replace("fwhm_mm = 0", "fwhm_mm = 5"), "utf-8")
    elif change == "comment":
        study.write_text(MINE + study.read_text("utf-8"), "utf-8")
    elif change == "reference":
        study.write_text(study.read_text("utf-8").replace('"placebo" }', '"denosumab" }'), "utf-8")
    cbm("stats", study, "--only", "month 12", "--out", answers, "--quiet")
    return _report(answers, None, NAMES if change == "comment" else ["month 12"])


def _other_maps(change: str, folder: Path) -> Answer:
    answers = _answered_in(folder)
    if change == "map":
        write_map(folder / "maps" / "P0_0", thickness=2.5)
    elif change == "decision":
        rows = "participant,visit,side,verdict,note,suggestion\nP0,0,left,reject,moved,\n"
        (folder / "maps" / "qc.csv").write_text(rows, encoding="utf-8")
    return _report(answers, read_study_file(folder / "study.toml"), NAMES)


def _unknown_measure(folder: Path) -> Answer:
    answers = _answered_in(folder)
    path = answers / "month_12" / "provenance.json"
    path.write_text(path.read_text("utf-8").replace("cortical_mass_surface_density", "bone_stuff"), "utf-8")
    shutil.rmtree(answers / "month_36")
    (answers / "answered.json").unlink()
    (answer,) = read_analyses(answers)
    label = answer.measure_label
    return Answer(
        label, (label, measure_named("cortical_thickness").label) == ("bone_stuff", "Cortical thickness")
    )


def _one_folder(folder: Path) -> Answer:
    plan = read_study_file(write_tiny_study(folder, "month 36", "Month_36"))
    return Answer(f"{len(plan.analyses)} analyses", False)


def _failed_child(code: str, failure: str, _folder: Path) -> Answer:
    child = ChildProcess([sys.executable, "-c", code])
    while child.running:
        child.poll()
    sentence = error_sentence(child.messages, child.exit_code)
    return Answer(sentence, failure in child.failure and "Traceback" not in sentence)


_DOUBLES = all(find_spec(name) is not None for name in ("slicer", "PySide6"))

INPUTS = [
    Input("A7", "a study file with all keys, as the panel writes it", "the same model", _written_by_panel),
    Input(
        "B1",
        "a study.toml of the user's in the panel's output folder",
        "it stays",
        partial(_answer_to_a_panel_question, "study.toml"),
    ),
    Input(
        "B1",
        "an asked.toml of the user's in the panel's output folder",
        "it stays",
        partial(_answer_to_a_panel_question, "asked.toml"),
        REFUSED,
        ("asked.toml", "by hand"),
    ),
    Input(
        "B1",
        "--out of a page names a file of the user's",
        "it stays",
        partial(_answers_into, "mine.html"),
        REFUSED,
        ("mine.html", "did not write"),
    ),
    Input(
        "B1",
        "--out of the check names the table of the study",
        "it stays",
        partial(_answers_into, "table.csv"),
        REFUSED,
        ("table.csv", "did not write"),
    ),
    Input(
        "B1",
        "answered.json of the user's in the folder of answers",
        "it stays",
        partial(_answers_into, "answers/answered.json"),
        REFUSED,
        ("answered.json", "did not write"),
    ),
    Input(
        "B1",
        "a table cases.csv in the folder of results",
        "it stays",
        _table_called_cases,
        REFUSED,
        ("cases.csv", "did not write"),
    ),
    Input(
        "B5",
        "an analysis that was renamed since it was answered",
        "one answer, the new one",
        _renamed,
        WARNED,
        ("no longer has", "month 36"),
    ),
    Input(
        "B5",
        "an analysis whose smoothing was changed, not answered again",
        "the answer is of another question",
        partial(_changed, "setting"),
        WARNED,
        ("asked otherwise", "month 36"),
    ),
    Input(
        "B5",
        "a reference level that was changed, one of two analyses answered again",
        "the other is of another question",
        partial(_changed, "reference"),
        WARNED,
        ("asked otherwise", "month 36"),
    ),
    Input(
        "kept",
        "a comment in the study file since the answers",
        "the answers are the study's",
        partial(_changed, "comment"),
    ),
    Input(
        "B5",
        "a map that is another since the answers",
        "the answers are of other maps",
        partial(_other_maps, "map"),
        WARNED,
        ("other maps or decisions",),
    ),
    Input(
        "B5",
        "a case that was rejected since the answers",
        "the answers count it",
        partial(_other_maps, "decision"),
        WARNED,
        ("other maps or decisions",),
    ),
    Input(
        "kept",
        "answers of the study and its maps as they are",
        "both are shown",
        partial(_other_maps, "nothing"),
    ),
    Input(
        "B5",
        "two analyses whose names are one folder",
        "one would replace the other",
        _one_folder,
        REFUSED,
        ("month 36", "Month_36", "one folder"),
    ),
    Input(
        "B7",
        "an answer of a measure that is not known any more",
        "its stored name, bone_stuff",
        _unknown_measure,
    ),
    Input(
        "C9",
        "a child process that fails with a traceback",
        "the log holds it",
        partial(_failed_child, "1 / 0", "ZeroDivisionError"),
    ),
    Input(
        "C9",
        "a child process that crashes without a word",
        "the log holds the exit code",
        partial(_failed_child, "import os; os.abort()", "Exit code -6 of"),
    ),
]
if _DOUBLES:
    INPUTS += [
        Input(
            "A7",
            "a study file with all keys, opened in the panel",
            "the model of cbm stats",
            _in_panel,
            is_long=True,
        ),
        *(
            Input(
                "B7",
                f"a scene saved with a {parameter} that is not known",
                "the panel opens and says so",
                partial(_saved_scene, module, parameter),
                WARNED,
                (parameter, "RENAMED_SINCE"),
                is_long=True,
            )
            for module, parameter in (
                ("CorticalBoneMapping", "method"),
                ("CorticalBoneStatistics", "measure"),
            )
        ),
    ]

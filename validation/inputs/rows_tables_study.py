"""Studies of scans as people write them: their file, their table, their questions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import write_volume
from CorticalBoneMappingLib.study.check import check_study
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

from .hip import cbm
from .judged import REFUSED, WARNED, Answer
from .rows_tables import HEADER, STUDY, row_of, text_of, write

_ANALYSIS = """[[analysis]]
name = "gain"
terms = ["arm", "age"]
model = "least-squares"
contrast = "active − placebo"
"""


def _study(
    folder: Path, people: Sequence[Sequence[str]], analysis: str = "", encoding: str = "utf-8"
) -> Path:
    """Write a study of tiny scans: participant, visit, arm, age."""
    rows = [HEADER]
    for number, (person, visit, arm, age) in enumerate(people):
        array = np.linspace(-1000, 1000 + number, 216, dtype=np.float32).reshape(6, 6, 6)
        write_volume(folder / f"ct{number}.nrrd", Volume(array, np.eye(4), modality="CT"))
        rows.append([person, visit, "left", f"ct{number}.nrrd", arm, age])
    write(folder, text_of(rows), encoding)
    return write(folder, f"{STUDY}[scans]\n{analysis}", name="study.toml")


_FOUR = [
    ("P1", "0", "active", "61.5"),
    ("P2", "0", "placebo", "70"),
    ("P3", "0", "active", "66"),
    ("P4", "0", "placebo", "71"),
]


def _checked(people: Sequence[Sequence[str]], encoding: str, folder: Path) -> Answer:
    found = check_study(read_study_file(_study(folder, people, encoding=encoding), needs_analysis=False))
    return Answer(found.summary().splitlines()[0], False, [str(problem) for problem in found.problems])


def _summary(folder: Path) -> Answer:
    text = (
        check_study(read_study_file(_study(folder, _FOUR[:1]), needs_analysis=False))
        .summary()
        .splitlines()[0]
    )
    return Answer(text, text.startswith("1 femur in 1 scan:"))


def _row_of_excel(folder: Path) -> Answer:
    people = [*_FOUR[:3], ("P4", "0", "placebo", "7100")]
    (problem,) = check_study(read_study_file(_study(folder, people), needs_analysis=False)).problems
    return Answer(str(problem), problem.row == 5)


def _asked(change: tuple[str, str], command: str, folder: Path) -> Answer:
    study = _study(folder, _FOUR, _ANALYSIS.replace(*change))
    if command == "check":
        problems = check_study(read_study_file(study)).problems
        return Answer(f"{len(problems)} problems", not problems, [str(problem) for problem in problems])
    cbm("study", "run", study, "--quiet", "--workers", "1")
    return Answer("mapped", False)


def _study_file(text: str, encoding: str, folder: Path) -> Answer:
    plan = read_study_file(write(folder, text, encoding, "study.toml"), needs_analysis=False)
    return Answer(f"{plan.name}, {plan.table.name}", plan.table == folder / "participants.csv")


INPUTS = [
    row_of(
        "C1",
        "Windows-1252, seen by study check",
        "the encoding is assumed",
        partial(_checked, [("Müller", "0", "active", "70")], "cp1252"),
        WARNED,
        "Windows-1252",
        "Müller",
    ),
    row_of(
        "A6",
        "participants 001 and 1, seen by study check",
        "perhaps one person",
        partial(_checked, [("001", "0", "active", "70"), ("1", "0", "active", "70")], "utf-8"),
        WARNED,
        "row 3",
        "looks like",
    ),
    row_of(
        "A6",
        "visit 02-Jan, which was 1-2",
        "a date by Excel",
        partial(_checked, [("A", "02-Jan", "active", "70")], "utf-8"),
        WARNED,
        "02-Jan",
        "spreadsheet",
    ),
    row_of("C12", "a study whose words are right", "no problem", partial(_asked, ("", ""), "check")),
    row_of(
        "C12",
        "a misspelt term, seen by study check",
        "no column agee",
        partial(_asked, ('"age"', '"agee"'), "check"),
        WARNED,
        "error",
        "gain",
        "agee",
        "age",
    ),
    row_of(
        "C12",
        "a misspelt arm, seen by study check",
        "no arm plcebo",
        partial(_asked, ("placebo", "plcebo"), "check"),
        WARNED,
        "error",
        "gain",
        "plcebo",
        "placebo",
    ),
    row_of(
        "C12",
        "a misspelt endpoint, seen by study run",
        "no column bdm",
        partial(_asked, ("name", 'endpoints = ["bdm"]\nname'), "run"),
        REFUSED,
        "gain",
        "bdm",
        "it has",
    ),
    row_of(
        "C12",
        "a visit that is not there, seen by study run",
        "no visit 36",
        partial(_asked, ("active − placebo", "visit 36 − visit 0"), "run"),
        REFUSED,
        "gain",
        "visit 36",
    ),
    row_of(
        "C15", "study.toml with a byte order mark", "as without", partial(_study_file, STUDY, "utf-8-sig")
    ),
    row_of(
        "C15",
        "study.toml in UTF-16 (Notepad's Unicode)",
        "as in UTF-8",
        partial(_study_file, STUDY, "utf-16"),
    ),
    row_of(
        "C15",
        r"C:\Users in double quotes",
        "a path",
        partial(_study_file, STUDY.replace("participants", r"C:\Users\me\participants"), "utf-8"),
        REFUSED,
        "line 3",
        "single quotes",
        "write /",
    ),
    row_of(
        "C15",
        r"data\table.csv in double quotes: \t is a tab",
        "a path",
        partial(_study_file, STUDY.replace("participants", r"data\table"), "utf-8"),
        REFUSED,
        "line 3",
        "single quotes",
    ),
    row_of("C15", "an age of 7100 in what Excel calls row 5", "row 5", partial(_row_of_excel)),
    row_of("C15", "one femur in one scan", "1 femur in 1 scan", partial(_summary)),
]

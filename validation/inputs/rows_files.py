"""Files that belong together, files that a person has changed, and places where nothing can be written."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.files import write_json, write_text
from CorticalBoneMappingLib.io.folders import whole_folder
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface
from CorticalBoneMappingLib.io.volume_files import read_labelmap, write_volume
from CorticalBoneMappingLib.pipeline.find.femur_in_scan import femur_in
from CorticalBoneMappingLib.pipeline.find.found_femur import FoundFemur
from CorticalBoneMappingLib.pipeline.find.found_files import (
    RECORD_FILE,
    check_same_ct,
    ready_for_found,
    write_found,
)
from CorticalBoneMappingLib.pipeline.find.verdict import GOOD, LOOK
from CorticalBoneMappingLib.pipeline.provenance import input_record, source_hash
from CorticalBoneMappingLib.pipeline.result import check_place
from CorticalBoneMappingLib.pipeline.settings import MapSettings

from .hip import SPACING_MM, base, cbm
from .judged import REFUSED, WARNED, Answer, Input
from .rows_input_files import small_scan

_LIBRARY = Path(str(source_hash.__globals__["__file__"])).parents[1]
_LABEL = {"left": 75, "right": 76}
_TETRAHEDRON = Surface(
    np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]),
    {"cut_end": np.zeros(4, np.uint8)},
)


def _found(side: str, verdict: str, *reasons: str) -> FoundFemur:
    array = np.zeros((4, 4, 4), np.uint8)
    array[0 if side == "left" else 2] = _LABEL[side]
    return FoundFemur(side, verdict, list(reasons), _TETRAHEDRON, Volume(array, np.eye(4)))


def _write(folder: Path, *found: FoundFemur, **more: object) -> None:
    with whole_folder(folder, "segmentation", RECORD_FILE) as temporary:
        write_found(found, temporary, earlier=folder, **more)


def _verdict_of(name: str, folder: Path, *, corrected: bool = False, moved: bool = False) -> Answer:
    """Judge the notes on a femur that 'cbm segment' called *look at it*, when its file is given as mask."""
    _write(folder / "femurs", _found("right", LOOK, "Metal is near."), _found("left", GOOD))
    path = folder / "femurs" / name
    if corrected:
        labels = read_labelmap(path)
        labels.array[2, 0, 0] = 0
        write_volume(path, labels)
    if moved:
        path = path.rename(folder / f"elsewhere{path.suffix}")
    femur, origin = femur_in(None, path, "right", MapSettings())
    said = femur.warnings if isinstance(femur, Volume) else femur.notes
    verdict = origin.get("verdict", "no verdict")
    return Answer(verdict, verdict == ("no verdict" if corrected else LOOK), said)


def _mapped_with_verdict(folder: Path) -> Answer:
    """The whole way: a map by a surface that has to be looked at."""
    from CorticalBoneMappingLib.segmentation import periosteal_surface

    made = periosteal_surface(read_labelmap(base() / "labels.nrrd"), 1, SPACING_MM)
    texts = {"verdict": (LOOK,), "reasons": ("Metal is near.",)}
    write_surface(
        folder / "femur_right.vtp",
        Surface(made.surface.points, made.surface.triangles, made.surface.arrays, {}, texts),
    )
    cbm(
        "map",
        base() / "ct.nrrd",
        "--mask",
        folder / "femur_right.vtp",
        "--side",
        "right",
        "--out",
        folder / "map",
        "--quiet",
    )
    record = json.loads((folder / "map" / "provenance.json").read_text(encoding="utf-8"))
    shown = read_surface(folder / "map" / "periosteal_surface.vtp").texts.get("verdict", ("lost",))[0]
    return Answer(f"{record['segmentation'].get('verdict')}, on the map: {shown}", False, record["notes"])


def _other_side_stays(folder: Path) -> Answer:
    _write(folder, _found("right", GOOD), _found("left", GOOD))
    before = (folder / "femur_right.vtp").read_bytes()
    _write(folder, _found("left", LOOK, "Look."))
    labels = sorted(np.unique(read_labelmap(folder / "labels.nrrd").array).tolist())
    record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    is_kept = (folder / "femur_right.vtp").read_bytes() == before
    sides = sorted(record["femurs"])
    return Answer(
        f"labels {labels}, {' and '.join(sides)} in the record",
        is_kept and labels == [0, 75, 76] and sides == ["left", "right"],
    )


def _corrected_labels(folder: Path) -> Answer:
    _write(folder, _found("right", GOOD), _found("left", GOOD))
    labels = read_labelmap(folder / "labels.nrrd")
    labels.array[0, 0, 0] = 0
    write_volume(folder / "labels.nrrd", labels)
    ready_for_found(folder, "left")
    return Answer("begun", False)


def _another_ct(folder: Path) -> Answer:
    first, second = (small_scan(folder / f"ct{n}.nrrd", 100 * n) for n in (0, 1))
    _write(folder / "femurs", _found("right", GOOD), inputs={"ct": input_record(first)})
    check_same_ct(folder / "femurs", input_record(second))
    return Answer("begun", False)


def _exchanged(folder: Path, break_: bool = False) -> Answer:
    """An old result with a file that the new one has not; the exchange may fail."""
    for value, names in ((1, ("points.csv", "old.csv")), (2, ("points.csv",))):
        try:
            with whole_folder(folder, "result", "provenance.json") as temporary:
                for name in names:
                    write_text(temporary / name, str(value))
                write_json(temporary / "provenance.json", {"value": value})
                if break_ and value == 2:
                    (folder / "points.csv").unlink()
                    (folder / "points.csv").mkdir()  # nothing can take the place of a folder that is in use
                    write_text(folder / "points.csv" / "in_use.txt", "")
        except CorticalBoneMappingError:
            shutil.rmtree(folder / "points.csv")
    there = sorted(file.name for file in folder.iterdir())
    value = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["value"]
    expected = (1, ["old.csv", "provenance.json"]) if break_ else (2, ["points.csv", "provenance.json"])
    return Answer(f"result {value}: {', '.join(there)}", (value, there) == expected)


def _changed_by_hand(folder: Path) -> Answer:
    with whole_folder(folder, "result", "provenance.json") as temporary:
        write_text(temporary / "regions.csv", "1")
        write_json(temporary / "provenance.json", {})
    write_text(folder / "regions.csv", "with my own column")
    check_place(folder)
    return Answer("begun", False)


def _own_table(folder: Path) -> Answer:
    write_text(folder / "points.csv", "my own points")
    check_place(folder)
    return Answer("begun", False)


def _file_in_the_way(folder: Path) -> Answer:
    write_text(folder / "out", "")
    cbm("map", base() / "ct.nrrd", "--side", "right", "--out", folder / "out")
    return Answer("begun", False)


def _own_study(folder: Path) -> Answer:
    write_text(folder / "study.toml", "mine")
    cbm("simulate", "trial", "--out", folder, "--people", "4", "--quiet")
    return Answer("written over", False)


def _problems_over_table(folder: Path) -> Answer:
    write_text(folder / "people.csv", "participant,visit,side,path\nP1,0,right,ct.nrrd\n")
    text = '[study]\nname = "S"\ntable = "people.csv"\nresults = "maps"\n[scans]\n'
    write_text(folder / "study.toml", text)
    cbm("study", "check", folder / "study.toml", "--out", folder / "people.csv")
    return Answer("written over", False)


def _comment_in_the_library(folder: Path) -> Answer:
    library = shutil.copytree(_LIBRARY, folder / "library", ignore=shutil.ignore_patterns("__pycache__"))
    before, file = source_hash(library), library / "cortex" / "scan" / "scan.py"
    text = file.read_text(encoding="utf-8")
    file.write_text("# A comment.\n" + text.replace('"""', '"""Reworded. ', 1), encoding="utf-8")
    commented = source_hash(library)
    file.write_text(text + "\nADDED = 1\n", encoding="utf-8")
    is_right = commented == before != source_hash(library)
    return Answer("the same key for a comment, another for code" if is_right else "another key", is_right)


INPUTS = [
    Input(
        "A11",
        "the surface of a femur that has to be looked at",
        "look at it",
        partial(_verdict_of, "femur_right.vtp"),
        WARNED,
        ("look at it",),
    ),
    Input(
        "A11",
        "that surface, moved to another folder",
        "look at it",
        partial(_verdict_of, "femur_right.vtp", moved=True),
        WARNED,
        ("Metal is near",),
    ),
    Input(
        "A11",
        "labels.nrrd of a femur that has to be looked at",
        "look at it",
        partial(_verdict_of, "labels.nrrd"),
        WARNED,
        ("Metal is near",),
    ),
    Input(
        "A11",
        "labels.nrrd that a person has corrected",
        "nobody has judged it",
        partial(_verdict_of, "labels.nrrd", corrected=True),
    ),
    Input(
        "A11",
        "cbm map by a surface that has to be looked at",
        "look at it",
        _mapped_with_verdict,
        WARNED,
        ("look at it",),
        is_long=True,
    ),
    Input("B2", "a result written over one that had a file more", "the new one alone", _exchanged),
    Input(
        "B2", "a result whose exchange fails half-way", "the old one, whole", partial(_exchanged, break_=True)
    ),
    Input(
        "B2",
        "a folder whose regions.csv a person has changed",
        "a person's file",
        _changed_by_hand,
        REFUSED,
        ("regions.csv", "changed since"),
    ),
    Input(
        "B1",
        "a folder with a points.csv of one's own",
        "a person's file",
        _own_table,
        REFUSED,
        ("points.csv", "not written by this program"),
    ),
    Input(
        "B1",
        "cbm simulate trial where a study.toml is",
        "a person's file",
        _own_study,
        REFUSED,
        ("study.toml", "another folder"),
    ),
    Input(
        "B1",
        "cbm study check --out with the study's own table",
        "a person's file",
        _problems_over_table,
        REFUSED,
        ("people.csv", "did not write"),
    ),
    Input("B3", "femurs of both sides, then a search for the left one", "both", _other_side_stays),
    Input(
        "B3",
        "a search where labels.nrrd was corrected by hand",
        "a person's file",
        _corrected_labels,
        REFUSED,
        ("labels.nrrd", "changed since", "--out"),
    ),
    Input(
        "B3",
        "a search where the femurs of another CT are",
        "two people's bones",
        _another_ct,
        REFUSED,
        ("another CT", "ct0.nrrd"),
    ),
    Input("B6", "the library with another comment", "the same result", _comment_in_the_library),
    Input(
        "C13",
        "cbm map --out with the name of a file",
        "a file",
        _file_in_the_way,
        REFUSED,
        ("out: this is a file",),
    ),
]

"""Found femurs as files: nothing of an earlier run or of a person is lost, and the verdict goes along."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.volume_files import read_labelmap, write_volume
from CorticalBoneMappingLib.pipeline.find import femur_in_scan, find_femur
from CorticalBoneMappingLib.pipeline.find.femur_in_scan import femur_in
from CorticalBoneMappingLib.pipeline.find.found_femur import FoundFemur
from CorticalBoneMappingLib.pipeline.find.found_files import read_found, read_found_labelmap, record_beside
from CorticalBoneMappingLib.pipeline.find.verdict import FAILED, GOOD, LOOK
from CorticalBoneMappingLib.pipeline.settings import MapSettings

LABEL = {"left": 75, "right": 76}
TETRAHEDRON = Surface(
    np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]),
    {"cut_end": np.zeros(4, np.uint8), "confidence": np.ones(4, np.float32)},
)
FILES = ["femur_left.png", "femur_left.vtp", "femur_right.png", "femur_right.vtp", "labels.nrrd"]


def found(side, verdict=GOOD, *reasons, notes=()):
    array = np.zeros((10, 12, 12), np.uint8)
    array[:, :, : 5 if side == "left" else None][:, :, -5:] = LABEL[side]
    usable = verdict != FAILED
    return FoundFemur(
        side,
        verdict,
        list(reasons),
        TETRAHEDRON if usable else None,
        Volume(array, np.eye(4)) if usable else None,
        notes=list(notes),
    )


@pytest.fixture
def segment(tmp_path, monkeypatch):
    """Run ``cbm segment`` on a small CT in which femurs are found as given."""
    array = np.full((10, 12, 12), -1000.0, np.float32)
    array[2:8, 2:8, 2:8] = np.linspace(-50, 900, 216).reshape(6, 6, 6)
    write_volume(tmp_path / "ct.nrrd", Volume(array, np.eye(4), modality="CT"))
    monkeypatch.setattr(
        "CorticalBoneMappingLib.report.pictures.slices.slices_to_draw",
        lambda volume, surface, path, **_: partial(path.write_bytes, b""),
    )

    def run(femurs, *options, ct="ct.nrrd"):
        monkeypatch.setattr(find_femur, "find_femurs", lambda *_, **__: femurs)
        return main(["segment", str(tmp_path / ct), "--out", str(tmp_path / "out"), "--quiet", *options])

    return SimpleNamespace(run=run, out=tmp_path / "out", folder=tmp_path)


def written(out):
    return {file.name: file.read_bytes() for file in out.iterdir() if file.name != "segmentation.json"}


def test_a_search_for_one_side_leaves_the_files_and_the_label_of_the_other(segment):
    assert segment.run([found("right", LOOK, "Metal is near."), found("left")]) == 0
    before = written(segment.out)
    assert sorted(before) == FILES
    assert segment.run([found("left", LOOK, "Look.")], "--side", "left") == 0
    after = written(segment.out)
    assert {name for name in FILES if after[name] != before[name]} == {"femur_left.vtp"}
    record = read_found(segment.out).record
    assert record["femurs"]["right"]["reasons"] == ["Metal is near."]
    assert record["femurs"]["left"]["reasons"] == ["Look."]
    assert record["labels"] == {"75": "left femur", "76": "right femur"}
    assert sorted(read_found(segment.out).surfaces) == ["left", "right"]
    assert set(np.unique(read_labelmap(segment.out / "labels.nrrd").array)) == {0, 75, 76}


def test_a_side_that_fails_now_has_no_file_of_an_earlier_run_beside_its_record(segment):
    segment.run([found("right"), found("left")])
    assert segment.run([found("right"), found("left", FAILED, "No edge.")]) == 0
    assert sorted(written(segment.out)) == ["femur_right.png", "femur_right.vtp", "labels.nrrd"]
    assert set(np.unique(read_labelmap(segment.out / "labels.nrrd").array)) == {0, 76}


def test_labels_that_a_person_has_corrected_are_refused_before_the_work_and_stay(segment, capsys):
    segment.run([found("right"), found("left")])
    labels = read_labelmap(segment.out / "labels.nrrd")
    labels.array[0, 0, 0] = 0
    write_volume(segment.out / "labels.nrrd", labels)
    before = written(segment.out)
    capsys.readouterr()
    assert segment.run("nothing may be looked for", "--side", "left") == 1
    said = capsys.readouterr().err
    assert "labels.nrrd: this file was changed since it was written" in said
    assert "--out" in said
    assert written(segment.out) == before


def test_the_femurs_of_another_ct_are_not_mixed_with_those_in_the_folder(segment, capsys):
    segment.run([found("right"), found("left")])
    before = written(segment.out)
    content = (segment.folder / "ct.nrrd").read_bytes()
    (segment.folder / "other.nrrd").write_bytes(content.replace(b"NRRD0004\n", b"NRRD0004\n# another\n", 1))
    capsys.readouterr()
    assert segment.run([found("left")], "--side", "left", ct="other.nrrd") == 1
    assert "holds the femurs of another CT (ct.nrrd)" in capsys.readouterr().err
    assert written(segment.out) == before


def test_verdict_reasons_and_notes_travel_in_the_file_of_the_surface(segment):
    segment.run([found("right", LOOK, "Metal is near.", "µ is 3 mm off.", notes=["A hole was filled."])])
    surface = read_surface(segment.out / "femur_right.vtp")
    assert surface.texts["reasons"] == ("Metal is near.", "µ is 3 mm off.")
    moved = segment.folder / "elsewhere.vtp"
    (segment.out / "femur_right.vtp").rename(moved)
    ready, origin = femur_in(None, moved, "right", MapSettings())
    assert origin == {"by": "surface", "verdict": LOOK, "reasons": ["Metal is near.", "µ is 3 mm off."]}
    assert ready.notes == [
        "The surface was given, and measured as it is.",
        "The femur was found in the CT by 'cbm segment': look at it.",
        "Metal is near.",
        "µ is 3 mm off.",
        "A hole was filled.",
    ]
    assert ready.surface.with_arrays(x=np.zeros(4)).texts == surface.texts


def test_a_label_map_has_the_verdict_of_its_side_until_somebody_corrects_it(segment):
    segment.run([found("right", LOOK, "Metal is near."), found("left")])
    path = segment.out / "labels.nrrd"
    labels, origin = femur_in(None, path, "right", MapSettings())
    assert origin == {"by": "label map", "verdict": LOOK, "reasons": ["Metal is near."]}
    assert labels.warnings[-1] == "Metal is near."
    assert "look at it" in labels.warnings[0]
    assert read_found_labelmap(path, "left", None)[1]["verdict"] == GOOD
    assert read_found_labelmap(path, "left", 76)[1] == {}  # another label than that of the side
    assert record_beside(path) == segment.out / "segmentation.json"
    assert record_beside(segment.out / "femur_left.vtp") is None
    labels.array[0, 0, 11] = 0
    write_volume(path, labels)
    labels, origin = femur_in(None, path, "right", MapSettings())
    assert origin == {"by": "label map"}
    assert labels.warnings == ()


def test_a_found_femur_carries_its_verdict_onto_the_mapped_surface(monkeypatch):
    look = found("left", LOOK, "Metal is near.")
    monkeypatch.setattr(femur_in_scan, "find_femurs", lambda *_, **__: [look])
    ready, _ = femur_in(SimpleNamespace(source="ct"), None, "left", MapSettings())
    assert ready.surface.texts["verdict"] == (LOOK,)


def test_a_damaged_record_is_a_users_file_and_stays(segment, capsys):
    segment.out.mkdir()
    (segment.out / "segmentation.json").write_text(json.dumps({"mine": 1}))
    assert segment.run([found("left")]) == 1
    assert "segmentation.json: this file was changed" in capsys.readouterr().err
    assert [file.name for file in segment.out.iterdir()] == ["segmentation.json"]

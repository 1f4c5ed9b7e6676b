"""Femurs found in a CT: against a simulated hip of known surface, and the messages of failures."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SegmentationError, SurfaceError
from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume, write_volume
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.pipeline import MapSettings, map_femur
from CorticalBoneMappingLib.pipeline.find import femur_in_scan, find_femur
from CorticalBoneMappingLib.pipeline.find.found_femur import FoundFemur, confidence_of
from CorticalBoneMappingLib.pipeline.find.found_files import (
    read_found,
    read_ready_surface,
    usable,
    write_found,
)
from CorticalBoneMappingLib.pipeline.find.known_labels import label_of_femur
from CorticalBoneMappingLib.pipeline.find.near_metal import near_metal
from CorticalBoneMappingLib.pipeline.find.verdict import FAILED, GOOD, LOOK, Evidence, judge
from CorticalBoneMappingLib.segmentation import PeriostealSurface

EVIDENCE = Evidence(
    seen_share=1.0,
    completed_share=0.0,
    unsure_share=0.0,
    expected_error_mm=0.1,
    edge_rms_mm=0.2,
    confident_share=0.86,
    moved_mm=0.7,
    implausibility=0.4,
    size=1.0,
    head_moved_mm=2.0,
    head_residual_mm=0.5,
    head_bulge_mm=0.8,
    metal_share=0.0,
)
TETRAHEDRON = Surface(
    np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]),
    {"cut_end": np.zeros(4, np.uint8), "confidence": np.ones(4, np.float32)},
)


@pytest.fixture(scope="module")
def hip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hip")
    options = ("--voxel", "1", "--slice", "2", "--noise", "15", "--seed", "41", "--side", "left")
    assert main(["simulate", "hip", "--out", str(folder), *options, "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def segmented(hip, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("femurs")
    command = ["segment", str(hip / "ct.nrrd"), "--out", str(folder), "--spacing", "2"]
    assert main([*command, "--progress", "none"]) == 0
    return folder


def test_the_femur_of_a_simulated_hip_is_found_with_its_side_and_its_surface(hip, segmented):
    found = read_found(segmented)
    assert list(found.surfaces) == ["left"]
    truth, bone = read_surface(hip / "truth.vtp"), found.surfaces["left"]
    assert bone.is_closed()
    assert bone.volume_mm3 > 0
    distance = closest_points(truth, bone.points[bone.arrays["cut_end"] == 0]).distance
    assert distance.mean() < 0.25
    assert np.percentile(distance, 95) < 0.8
    inside, true = found.labelmap.array == 75, read_labelmap(hip / "labels.nrrd").array == 1
    assert 2 * (inside & true).sum() / (inside.sum() + true.sum()) > 0.985
    assert found.record["femurs"]["left"]["verdict"] == GOOD
    assert found.record["femurs"]["left"]["reasons"] == []


def test_the_expected_error_of_the_surface_is_near_its_true_error(hip, segmented):
    bone = read_found(segmented).surfaces["left"]
    seen = (bone.arrays["cut_end"] == 0) & (bone.arrays["completed"] == 0)
    distance = closest_points(read_surface(hip / "truth.vtp"), bone.points[seen]).distance
    expected = np.sqrt((bone.arrays["expected_error"][seen] ** 2).mean())
    assert 0.3 * expected < np.sqrt((distance**2).mean()) < 2.0 * expected
    np.testing.assert_allclose(bone.arrays["confidence"], confidence_of(bone.arrays["expected_error"]))


def test_all_files_are_written_without_a_path_of_the_machine(hip, segmented):
    names = ["femur_left.png", "femur_left.vtp", "labels.nrrd", "segmentation.json"]
    assert sorted(file.name for file in segmented.iterdir()) == names
    assert (segmented / "femur_left.png").read_bytes()[:4] == b"\x89PNG"
    text = (segmented / "segmentation.json").read_text(encoding="utf-8")
    record = json.loads(text)
    assert str(hip) not in text
    assert record["labels"] == {"75": "left femur"}
    assert record["inputs"]["ct"]["name"] == "ct.nrrd"
    assert record["command"].startswith("cbm segment ct.nrrd --out ")
    assert set(record["femurs"]["left"]["timings_s"]) >= {"heads", "model", "exact surface"}


def test_the_label_map_is_chosen_by_its_side(segmented):
    labelmap = read_labelmap(segmented / "labels.nrrd")
    assert label_of_femur(labelmap, "left")[0] == 75


def test_metal_is_reported_with_its_volume_and_marked_where_it_is_near():
    array = np.full((60, 60, 60), 50.0, np.float32)
    array[28:32, 28:32, 28:32] = 3000.0  # 64 voxels of 1 mm
    array[5, 5, 5] = 3000.0  # a speck
    ct = Volume(array, np.eye(4))
    along = np.arange(60.0)
    points = np.stack([along, np.full(60, 29.5), np.full(60, 29.5)], axis=1)
    near, metal_cm3 = near_metal(Surface(points, TETRAHEDRON.triangles), ct)
    assert metal_cm3 == pytest.approx(0.064)
    assert along[near].tolist() == list(range(19, 41))  # 10 mm from voxels 28 to 31, half a voxel aside
    speck = Surface(TETRAHEDRON.points, TETRAHEDRON.triangles)
    near, metal_cm3 = near_metal(speck, ct)
    assert (near.any(), metal_cm3) == (False, 0.0)


def test_a_found_surface_is_measured_as_it_is_but_for_what_the_model_completed(hip, segmented):
    ready = read_ready_surface(segmented / "femur_left.vtp")
    completed = (ready.surface.points[:, 2] > ready.surface.points[:, 2].max() - 8.0).astype(np.uint8)
    marked = PeriostealSurface(ready.surface.with_arrays(completed=completed), ready.notes)
    settings = MapSettings(method="half-maximum")
    result = map_femur(read_volume(hip / "ct.nrrd"), marked, "left", settings)
    np.testing.assert_array_equal(result.periosteal.points, ready.surface.points)
    not_measured = result.periosteal.arrays["quality"] == VertexStatus.NOT_MEASURED
    np.testing.assert_array_equal(not_measured, (completed > 0) | (ready.surface.arrays["cut_end"] > 0))
    assert "The surface was given, and measured as it is." in result.provenance["notes"]
    assert result.provenance["settings"]["label"] is None


def test_the_label_of_another_tool_is_repaired_and_moved_to_the_edge(hip, tmp_path, capsys):
    true = read_labelmap(hip / "labels.nrrd")
    femur = true.array == 1
    given = np.where(true.array == 2, 77, 0).astype(np.uint8)
    given[ndimage.binary_dilation(femur)] = 75  # everywhere too thick by a voxel
    k, j, i = (int(n) for n in np.argwhere(femur).mean(axis=0))
    given[k - 3 : k + 3, j - 4 : j + 4, i - 4 : i + 4] = 0  # a hole within
    given[2:5, 3:6, 3:6] = 75  # an island
    write_volume(tmp_path / "total.nii.gz", replace(true, array=given))
    command = ["segment", str(hip / "ct.nrrd"), "--repair", str(tmp_path / "total.nii.gz"), "--side", "left"]
    assert main([*command, "--out", str(tmp_path / "out"), "--spacing", "3", "--progress", "none"]) == 0
    said = capsys.readouterr().out
    assert "Label 75 was taken, the left femur by the numbers of TotalSegmentator 2." in said
    assert "Cavities of" in said
    assert "1 small separate piece(s)" in said
    bone = read_found(tmp_path / "out").surfaces["left"]
    distance = closest_points(
        read_surface(hip / "truth.vtp"), bone.points[bone.arrays["cut_end"] == 0]
    ).distance
    assert np.median(distance) < 0.3  # the label's surface is a voxel, 1 to 2 mm, outside


def test_a_repair_needs_the_side(hip, tmp_path, capsys):
    labels = str(hip / "labels.nrrd")
    code = main(["segment", str(hip / "ct.nrrd"), "--repair", labels, "--out", str(tmp_path), "--quiet"])
    assert code == 1
    assert "--side left or --side right" in capsys.readouterr().err


def test_a_surface_without_cut_end_or_with_a_hole_is_refused(tmp_path):
    write_surface(tmp_path / "bone.vtp", replace(TETRAHEDRON, arrays={}))
    with pytest.raises(SurfaceError, match="where the bone is cut off"):
        read_ready_surface(tmp_path / "bone.vtp")
    open_ = replace(TETRAHEDRON, triangles=TETRAHEDRON.triangles[:3])
    write_surface(tmp_path / "open.vtp", open_)
    with pytest.raises(SurfaceError, match="is open"):
        read_ready_surface(tmp_path / "open.vtp")


def test_a_femur_without_fault_is_good_and_has_no_reasons():
    assert judge(EVIDENCE) == (GOOD, [])


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"seen_share": 0.6}, LOOK, "Only 60% of the proximal femur is in the scan."),
        ({"confident_share": 0.2}, FAILED, "Only 20% of the edges look like those of bone."),
        ({"size": 0.7}, FAILED, "The bone would be 70% of an average femur's size."),
        ({"head_residual_mm": 1.4}, LOOK, "The head departs from a sphere by 1.4 mm."),
        ({"detected": 0.2}, LOOK, "Whether this is a hip of this side is sure by 20% only."),
        (
            {"head_bulge_mm": 4.0},
            LOOK,
            "The head bulges by 4.0 mm in its socket: a part of the pelvis may have been taken for it.",
        ),
        ({"metal_share": 0.1}, LOOK, "Metal is near 10% of the surface; the bone around it is uncertain."),
    ],
)
def test_every_fault_has_a_reason_in_words(change, verdict, reason):
    assert judge(replace(EVIDENCE, **change)) == (verdict, [reason])


def test_the_most_serious_of_several_faults_gives_the_verdict_and_comes_first():
    verdict, reasons = judge(replace(EVIDENCE, seen_share=0.6, size=0.7))
    assert verdict == FAILED
    assert [reason.split()[0] for reason in reasons] == ["The", "Only"]


def test_the_evidence_keeps_its_names_in_files():
    assert list(EVIDENCE.record()) == [
        "completed_share",
        "unsure_share",
        "expected_error_mm",
        "moved_mm",
        "seen_share",
        "edge_rms_mm",
        "believed_share",
        "implausibility",
        "size",
        "sighted",
        "head_moved_mm",
        "head_residual_mm",
        "head_bulge_mm",
        "metal_share",
        "metal_cm3",
        "voxel_mm",
    ]
    assert EVIDENCE.record()["believed_share"] == 0.86


def test_confidence_is_the_share_of_a_normal_error_that_is_within_a_millimetre():
    errors = np.random.default_rng(3).normal(0.0, 0.8, 200_000)
    assert confidence_of(np.array([0.8]))[0] == pytest.approx(np.mean(np.abs(errors) < 1.0), abs=0.005)
    assert confidence_of(np.array([0.0]))[0] == 1.0


@pytest.fixture
def empty_ct():
    return Volume(np.zeros((10, 12, 12), np.float32), np.eye(4), "empty.nrrd")


def _detected(monkeypatch, *sides):
    detections = [SimpleNamespace(side=side, centre=np.zeros(3), radius_mm=23.0) for side in sides]
    monkeypatch.setattr(find_femur, "find_heads", lambda *_: detections)


def _no_left(monkeypatch):
    def at(volume, detection, *_):
        if detection.side == "left":
            raise SurfaceError("no edge of a bone was found where the bone should be.")
        return _found("right")

    monkeypatch.setattr(find_femur, "femur_at", at)


def _found(side, verdict=GOOD, reasons=()):
    array = np.zeros((10, 12, 12), np.uint8)
    array[:5, :5, :5] = {"left": 75, "right": 76}[side]
    labelmap = Volume(array, np.eye(4))
    return FoundFemur(side, verdict, list(reasons), TETRAHEDRON, labelmap, np.zeros(3), 23.0, [], EVIDENCE)


def test_a_hip_whose_fit_fails_is_returned_as_failed_beside_the_other(monkeypatch, empty_ct):
    _detected(monkeypatch, "right", "left")
    _no_left(monkeypatch)
    right, left = find_femur.find_femurs(empty_ct)
    assert (right.verdict, left.verdict) == (GOOD, FAILED)
    assert left.reasons == ["no edge of a bone was found where the bone should be."]
    assert left.surface is None
    assert usable([right, left], "ct") == [right]


def test_a_failed_fit_of_the_only_hip_is_an_error(monkeypatch, empty_ct):
    _detected(monkeypatch, "left")
    _no_left(monkeypatch)
    with pytest.raises(SurfaceError, match="no edge of a bone"):
        find_femur.find_femurs(empty_ct)


def _with_nail(at):
    """A CT of 20 mm voxels with a nail of 16 cm³ (2 voxels) about a point."""
    ct = Volume(np.zeros((8, 10, 20), np.float32), np.diag([20.0, 20.0, 20.0, 1.0]), "nail.nrrd")
    i, j, k = np.rint(ct.index_of(np.array(at))).astype(int)
    ct.array[k : k + 2, j, i] = 3000.0
    return ct


def test_a_hip_that_an_implant_hides_is_reported_as_failed(monkeypatch):
    _detected(monkeypatch, "left")
    monkeypatch.setattr(find_femur, "femur_at", lambda *_: _found("left"))
    right, left = find_femur.find_femurs(_with_nail([200.0, 0.0, 0.0]))
    assert (right.side, right.verdict, left.side) == ("right", FAILED, "left")
    assert right.reasons == [
        "No right hip was found; there is 16.0 cm³ of metal at R 200, A 0, S 10 mm, which may hide it."
    ]
    (alone,) = find_femur.find_femurs(_with_nail([80.0, 0.0, 0.0]))  # it belongs to the hip that was found
    assert alone.side == "left"


def test_a_point_in_the_head_and_a_side_are_enough_where_the_search_sees_nothing(monkeypatch, empty_ct):
    def nothing(*_):
        raise SegmentationError("No hip was found.")

    begun = []
    monkeypatch.setattr(find_femur, "find_heads", nothing)
    monkeypatch.setattr(find_femur, "femur_at", lambda _, head, *__: begun.append(head) or _found(head.side))
    with pytest.raises(SegmentationError):
        find_femur.find_femurs(empty_ct, seed=[1.0, 2.0, 3.0])
    find_femur.find_femurs(empty_ct, "left", [1.0, 2.0, 3.0])
    (head,) = begun
    assert (head.side, head.centre.tolist(), head.confidence) == ("left", [1.0, 2.0, 3.0], 0.0)


def test_metal_is_named_where_no_hip_is_found(monkeypatch):
    def nothing(*_):
        raise SegmentationError("No hip was found.")

    monkeypatch.setattr(find_femur, "find_heads", nothing)
    with pytest.raises(SegmentationError, match=r"There is 16\.0 cm³ of metal at R 80, A 0, S 10 mm"):
        find_femur.find_femurs(_with_nail([80.0, 0.0, 0.0]))


def test_without_a_usable_femur_nothing_is_written_and_the_reasons_are_printed(
    monkeypatch, hip, tmp_path, capsys
):
    failed = _found("left", FAILED, ["Only 20% of the edges look like those of bone."])
    for module in (find_femur, femur_in_scan):
        monkeypatch.setattr(module, "find_femurs", lambda *_, **__: [failed])
    code = main(["segment", str(hip / "ct.nrrd"), "--out", str(tmp_path / "out"), "--progress", "none"])
    said = capsys.readouterr().err
    assert code == 1
    assert "no femur was found well enough" in said
    assert "Only 20% of the edges look like those of bone." in said
    assert not (tmp_path / "out").exists()
    code = main(["map", str(hip / "ct.nrrd"), "--side", "left", "--out", str(tmp_path / "map"), "--quiet"])
    assert code == 1
    assert "Only 20% of the edges" in capsys.readouterr().err


def test_a_failed_femur_is_in_the_record_and_in_no_other_file(tmp_path):
    failed = _found("left", FAILED, ["It is a tibia."])
    write_found([_found("right", LOOK, ["Look."]), failed], tmp_path, command="cbm segment")
    found = read_found(tmp_path)
    assert list(found.surfaces) == ["right"]
    assert set(np.unique(found.labelmap.array)) == {0, 76}
    assert found.record["femurs"]["left"]["reasons"] == ["It is a tibia."]
    assert found.summary.splitlines() == [
        "Right femur: look at it.",
        "  Look.",
        "Left femur: failed.",
        "  It is a tibia.",
    ]


def test_a_map_without_a_mask_notes_that_the_femur_was_found(monkeypatch, hip, tmp_path):
    handed_over = []

    def stop(volume, ready, side, *_):
        handed_over.append(ready)
        raise SurfaceError("enough")

    look = _found("left", LOOK, ["Metal is near."])
    monkeypatch.setattr(femur_in_scan, "find_femurs", lambda *_, **__: [look])
    monkeypatch.setattr(sys.modules[map_femur.__module__], "map_femur", stop)
    assert main(["map", str(hip / "ct.nrrd"), "--side", "left", "--out", str(tmp_path), "--quiet"]) == 1
    (ready,) = handed_over
    assert ready.notes == ["The femur was found in the CT by itself: look at it.", "Metal is near."]

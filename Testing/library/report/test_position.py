"""Planes and views are named by the bone's anatomy, however short it is and however it lies."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.anatomy.views import anatomical_views, femur_planes, file_axis_views
from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.report.pictures import drawing_process as apart
from CorticalBoneMappingLib.report.pictures.position import AS_IT_LIES_DEG, in_anatomical_position

from .test_report import sphere

AVERAGE = load_average()
MIRROR = np.array([-1.0, 1.0, 1.0])
LYING = {
    "on its side": ("x", 90),
    "upside down": ("y", 180),
    "turned round": ("z", 180),
    "axes in another order": ("xyz", (90, 0, 90)),
    "anyhow": ("xyz", (80, 20, 150)),
}


def femur(side="right", turn=None, shift=(30.0, -200.0, 900.0)):
    """The average femur of a side, lying anyhow."""
    surface = AVERAGE.surface
    if side == "left":
        surface = replace(surface, points=surface.points * MIRROR, triangles=surface.triangles[:, ::-1])
    rotation = np.eye(3) if turn is None else Rotation.from_euler(*turn, degrees=True).as_matrix()
    return replace(surface, points=surface.points @ rotation.T + shift)


def similarity(side, turn):
    """What a registration of that femur would say."""
    rotation = Rotation.from_euler(*turn, degrees=True).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = rotation @ np.diag(MIRROR if side == "left" else np.ones(3))
    return matrix


def off_deg(placed, side):
    """How far a femur is turned from the anatomical position."""
    centred = [points - points.mean(axis=0) for points in (placed.points, femur(side).points)]
    rotation, _ = Rotation.align_vectors(centred[0], centred[1])
    return np.degrees(rotation.magnitude())


@pytest.mark.parametrize(("how", "side"), [*((how, "right") for how in LYING), ("anyhow", "left")])
def test_a_femur_that_lies_otherwise_is_turned_into_the_anatomical_position(how, side):
    lying = femur(side, LYING[how])
    assert off_deg(in_anatomical_position(lying, side), side) < 2.0
    registered = in_anatomical_position(lying, side, similarity(side, LYING[how]).tolist())
    assert off_deg(registered, side) < 1e-3


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_femur_that_lies_as_in_a_scan_is_drawn_as_it_lies(side):
    lying = femur(side, ("xyz", (8, -6, 15)))
    assert in_anatomical_position(lying, side) is lying
    assert in_anatomical_position(lying, None) is lying
    over = ("z", AS_IT_LIES_DEG + 5)
    assert off_deg(in_anatomical_position(femur(side, over), side, similarity(side, over)), side) < 1e-3


def test_without_its_side_a_femur_that_lies_otherwise_is_not_guessed_at():
    with pytest.raises(SurfaceError, match="its side is not known"):
        in_anatomical_position(femur("left", LYING["on its side"]), None)
    with pytest.raises(SurfaceError):
        in_anatomical_position(sphere(), "right")


def test_views_of_a_surface_that_may_lie_anyhow_are_named_by_its_coordinates():
    views = file_axis_views(superior=True)
    axes = {"x": 0, "y": 1, "z": 2}
    for view, known in zip(views, anatomical_views(None, superior=True)):
        np.testing.assert_array_equal(view.towards_viewer, known.towards_viewer)
        for name, direction in (
            (view.name.removeprefix("From ").removesuffix(" (RAS)"), view.towards_viewer),
            (view.right_end, view.rightwards),
            (view.left_end, -view.rightwards),
        ):
            expected = np.zeros(3)
            expected[axes[name[1]]] = 1.0 if name[0] == "+" else -1.0
            np.testing.assert_allclose(direction, expected)


@pytest.mark.parametrize(("what", "is_placed"), [("lying", True), ("ball", False)])
def test_render_names_its_views_by_anatomy_or_by_the_coordinates(
    what, is_placed, monkeypatch, tmp_path, capsys
):
    drawn = []
    monkeypatch.setattr(apart, "draw_in_process", lambda drawings: drawn.extend(drawings))
    surface = femur("left", LYING["upside down"]) if what == "lying" else sphere()
    surface = surface.with_arrays(cortical_thickness=np.full(len(surface.points), 2.0))
    write_surface(tmp_path / f"{what}.vtp", surface)
    command = ["render", str(tmp_path / f"{what}.vtp"), "--array", "cortical_thickness", "--side", "left"]
    assert main([*command, "--out", str(tmp_path / "map.png"), "--progress", "json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.err.splitlines()[-1]) == {"fraction": 1.0, "text": "Done"}
    assert ("named by the axes of the coordinates" in output.out) == (not is_placed)
    (drawing,) = drawn
    assert drawing.keywords["is_placed"] == is_placed
    if is_placed:
        assert off_deg(drawing.args[0], "left") < 2.0


def test_render_takes_the_pose_that_a_result_was_registered_with(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(apart, "draw_in_process", lambda drawings: drawn.extend(drawings))
    surface = femur("left", LYING["anyhow"])
    surface = surface.with_arrays(cortical_thickness=np.full(len(surface.points), 2.0))
    write_surface(tmp_path / "periosteal_surface.vtp", surface)
    record = {
        "side": "left",
        "registration": {"average_to_bone": similarity("left", LYING["anyhow"]).tolist()},
    }
    (tmp_path / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
    command = ["render", str(tmp_path / "periosteal_surface.vtp"), "--array", "cortical_thickness"]
    assert main([*command, "--out", str(tmp_path / "map.png"), "--quiet"]) == 0
    assert off_deg(drawn[0].args[0], "left") < 1e-3
    assert drawn[0].keywords["side"] == "left"


def cut(below_head_radii):
    """Points of the average femur, cut at some radii of the head below its centre."""
    points = femur().points
    centre = AVERAGE.landmarks["head_centre"] + (30.0, -200.0, 900.0)
    return points[points[:, 2] > centre[2] - below_head_radii * 22.7], (centre, 22.7)


@pytest.mark.parametrize(
    ("below_head_radii", "names"),
    [
        (4.4, ["Plane of head and shaft", "Axial, head", "Axial, neck", "Axial, shaft"]),
        (3.2, ["Plane of head and shaft", "Axial, head", "Axial, neck", "Axial, shaft"]),
        (2.6, ["Plane of head and neck", "Axial, head", "Axial, neck", "Axial, trochanters"]),
        (2.1, ["Plane of head and neck", "Axial, head", "Axial, neck", "Axial, trochanters"]),
        (1.3, ["Plane of head and neck", "Axial, head", "Axial, neck"]),
    ],
)
def test_planes_of_a_short_bone_are_named_by_what_they_show(below_head_radii, names):
    points, head = cut(below_head_radii)
    trochanter = AVERAGE.landmarks["lesser_trochanter"][2] + 900.0
    for known in (None, trochanter):
        planes = femur_planes(points, head, known)
        assert [plane.name for plane in planes] == names
        heights = {plane.name: plane.centre[2] for plane in planes[1:]}
        assert all(points[:, 2].min() < z < points[:, 2].max() for z in heights.values())
        if "Axial, shaft" in heights:  # a section of the shaft is round and small
            assert heights["Axial, shaft"] < trochanter - 8.0
            section = points[np.abs(points[:, 2] - heights["Axial, shaft"]) < 2.5]
            assert np.ptp(section[:, 0]) < 40.0

"""The command that measures an atlas against real bones, on bones whose difference from it is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import write_surface
from validation.real_bones import bones
from validation.real_bones.bones import Bone, evenly, read_bones
from validation.real_bones.cuts import Cut, cuts_text
from validation.real_bones.dimensions import NAMES, REAL, slope
from validation.real_bones.fitting import fit, signed_map
from validation.real_bones.maps import correlation, greatest, source_map


@pytest.fixture(scope="module")
def average():
    return load_average()


def registered(average, bone: Surface, scale: float, rotation: np.ndarray, shift: np.ndarray):
    """What a registration says of a bone on the average's own mesh, its pose a little wrong."""
    matrix = np.eye(4)
    turned = rotation @ Rotation.from_rotvec([0.02, -0.03, 0.02]).as_matrix()
    matrix[:3, :3], matrix[:3, 3] = 1.02 * scale * turned, shift + np.array([1.0, -1.0, 0.5])
    on_bone = average.region != 0
    return SimpleNamespace(
        average=average.surface, covered=on_bone, subject_covered=on_bone, matrix=matrix, side="right"
    )


def test_a_bone_that_the_model_can_be_is_fitted_with_its_pose_and_coordinates(average):
    coordinates = np.array([1.2, -0.8, 0.5])
    rotation, shift = Rotation.random(random_state=3).as_matrix(), np.array([40.0, -10.0, 700.0])
    shape = average.shape_model.reconstruct(coordinates)
    bone = Surface(0.9 * shape @ rotation.T + shift, average.surface.triangles)
    given = registered(average, bone, 0.9, rotation, shift)
    alone = fit(bone, given, average.shape_model, 0)
    modelled = fit(bone, given, average.shape_model, 3, alone)
    assert alone.mean_mm > 0.5
    assert modelled.mean_mm < 0.03
    assert modelled.size == pytest.approx(0.9, abs=0.003)
    np.testing.assert_allclose(modelled.coordinates, coordinates, atol=0.06)
    np.testing.assert_allclose(modelled.rotation, rotation, atol=0.003)


def test_a_knob_on_a_bone_is_on_the_map_with_its_height_and_sign(average):
    surface = average.surface
    place = average.landmarks["neck_centre"]
    vertex = np.linalg.norm(surface.points - place, axis=1).argmin()
    apart = np.linalg.norm(surface.points - surface.points[vertex], axis=1)
    height = 3.0 * np.exp(-0.5 * (apart / 5.0) ** 2)
    bone = Surface(surface.points + height[:, None] * surface.normals, surface.triangles)
    given = registered(average, bone, 1.0, np.eye(3), np.zeros(3))
    fitted = fit(bone, given, average.shape_model, 0)
    signed = signed_map(bone, fitted, surface, given.covered)
    assert signed[vertex] == pytest.approx(3.0, abs=0.3)
    assert np.isnan(signed[average.region == 0]).all()
    one = source_map("knobs", [signed, signed], [bone.points, bone.points], average)
    (high, where), (low, _) = greatest(one.mean_mm, average)
    assert high == pytest.approx(3.0, abs=0.4)
    assert where.startswith("neck")
    assert -0.6 < low < 0.0
    assert greatest(one.own_mm, average)[0][0] == pytest.approx(3.0, abs=0.4)
    other = source_map("hollows", [-signed], [bone.points], average)
    assert correlation(one, other, average) == pytest.approx(-1.0)


def test_sides_come_from_the_table_before_the_name_and_an_empty_folder_is_refused(
    average, tmp_path, monkeypatch
):
    monkeypatch.setattr(bones, "_shortened", lambda whole, side: whole)  # which takes seconds
    with pytest.raises(SurfaceError, match="has no surface"):
        read_bones(tmp_path, average)
    bone = Surface(average.surface.points, average.surface.triangles)
    for name in ("p1_lfemur", "p2_right", "p3_left_mm"):
        write_surface(tmp_path / f"{name}.vtp", bone)
    (tmp_path / "sides.csv").write_text("file,side\np3_left_mm.vtp,right\n")
    found = {each.name: (each.side, each.side_from) for each in read_bones(tmp_path, average)}
    assert found == {
        "p1_lfemur": ("left", "file name"),
        "p2_right": ("right", "file name"),
        "p3_left_mm": ("right", "table"),
    }


def test_samples_are_spread_by_area(average):
    points, normals = evenly(average.surface, average.region == 1, 500)
    centre = average.landmarks["head_centre"]
    assert len(points) == 500
    assert np.linalg.norm(points - centre, axis=1).max() < 1.3 * 23.5
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)


def test_the_slope_is_of_the_trochanter_height_on_the_angle():
    table = np.tile([REAL[name][0] for name in NAMES], (5, 1))
    table[:, NAMES.index("neck_shaft_angle_deg")] += [-5, -2, 0, 3, 4]
    table[:, NAMES.index("greater_above_mm")] += np.array([-5, -2, 0, 3, 4]) * -0.9
    assert slope(table) == pytest.approx(-0.9)


def test_the_table_of_cut_bones_counts_refusals_and_takes_medians_of_the_rest():
    bone = Bone("folder", "one", "left", "table", None, None)
    apart = [{"greater_trochanter": apart, "lesser_trochanter": 2.0} for apart in (1.0, 2.0, 6.0)]
    cuts = [Cut(bone, 40.0, 0.1, 0.2, moved, 2.0 * moved, one, True) for moved, one in zip((1, 2, 6), apart)]
    text = cuts_text([*cuts, Cut(bone, 40.0, failure="No head."), Cut(bone, 25.0, failure="No shaft.")])
    row = (
        "| folder | 40 mm | 3 of 4 | 3 of 3 | 0.10 (0.20) | 3.00 (6.00; 12.00) | 2.0 (6.0) | 2.0 (2.0) | 0 |"
    )
    assert row in text
    assert "| folder | 25 mm | 0 of 1 | – " in text
    assert "* one, 25 mm: No shaft." in text

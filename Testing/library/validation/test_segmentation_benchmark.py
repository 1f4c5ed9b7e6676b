"""The benchmark of the segmentation judges by the truth, and its scans show what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import write_volume
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip
from CorticalBoneMappingLib.simulation.scanner.field import rotation
from validation.segmentation import solids
from validation.segmentation.both_hips import LEFT_FEMUR_LABEL, scan_both_hips
from validation.segmentation.errors import counted, dice, errors_of, mask_on, matched
from validation.segmentation.finder import Found
from validation.segmentation.making import KnownScan, TrueFemur, cropped, stored_as, with_tube
from validation.segmentation.plan import (
    FEET_FIRST,
    HIP,
    N_HIPS,
    NO_TOP,
    NO_TROCHANTER,
    PRONE,
    SAGITTAL,
    plan,
)

_RADIUS_MM, _VOXEL_MM = 24.0, (1.0, 1.0, 2.0)


@pytest.fixture(scope="module")
def known() -> KnownScan:
    """A ball for a femur, a slab beside it for other bone; a quarter of the ball is below the scan."""
    matrix = np.diag([-_VOXEL_MM[0], -_VOXEL_MM[1], _VOXEL_MM[2], 1.0])
    matrix[:3, 3] = [40.0, 40.0, -12.0]
    grid = Volume(np.zeros((30, 80, 80), dtype=np.float32), matrix)
    k, j, i = np.indices(grid.array.shape)
    points = grid.points_of(np.stack([i, j, k], axis=-1))
    radius = np.linalg.norm(points, axis=-1)
    labels = np.where(radius <= _RADIUS_MM, 1, np.where(points[..., 0] > 28.0, 2, 0)).astype(np.uint8)
    hu = np.where(labels > 0, 800.0, 40.0).astype(np.float32)
    truth = TrueFemur("right", 1, ball(_RADIUS_MM), np.zeros(3), _RADIUS_MM)
    return KnownScan(Volume(hu, matrix, "ct", "CT", 2.0), Volume(labels, matrix, "labels"), (truth,))


def ball(radius_mm: float) -> Surface:
    """A fine ball about the origin."""
    axis = np.arange(-32.0, 32.5)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    matrix = np.eye(4)
    matrix[:3, 3] = axis[0]
    return isosurface(radius_mm - np.sqrt(x**2 + y**2 + z**2), matrix, 0.0)


def found(known: KnownScan, surface: Surface, mask: np.ndarray, folder: Path, side: str = "right") -> Found:
    """A result as the library would give it."""
    file = folder / "found.nrrd"
    write_volume(file, replace(known.labelmap, array=mask.astype(np.uint8)))
    return Found(side, surface, file, "good", ())


def test_the_truth_itself_has_no_error(known, tmp_path):
    errors = errors_of(
        found(known, known.femurs[0].surface, known.labelmap.array == 1, tmp_path), known.femurs[0], known
    )
    assert errors.dice == 1.0
    assert errors.most_mm < 1e-6
    assert errors.leak_mm3 == 0.0
    assert errors.head_mm < 1e-6


@pytest.mark.parametrize("out", [0.3, -0.3])
def test_a_displacement_is_measured_with_its_sign(known, tmp_path, out):
    truth = known.femurs[0].surface
    moved = replace(truth, points=truth.points + out * truth.normals)
    errors = errors_of(found(known, moved, known.labelmap.array == 1, tmp_path), known.femurs[0], known)
    assert errors.mean_mm == pytest.approx(0.3, abs=0.003)
    assert errors.high_mm == pytest.approx(0.3, abs=0.003)
    assert errors.signed_mm == pytest.approx(out, abs=0.003)


def test_a_bone_that_stops_early_is_counted_by_what_is_missing(known, tmp_path):
    truth = known.femurs[0].surface
    short = replace(truth, points=truth.points * [1.0, 1.0, 0.5])
    errors = errors_of(found(known, short, known.labelmap.array == 1, tmp_path), known.femurs[0], known)
    assert np.nanmax(errors.from_truth) == pytest.approx(12.0, abs=0.3)  # at the top, 24 mm against 12


def test_what_lies_beyond_the_scan_is_not_counted(known, tmp_path):
    truth = known.femurs[0].surface
    points = truth.points.copy()
    points[points[:, 2] < -12.0, 2] -= 30.0
    errors = errors_of(
        found(known, replace(truth, points=points), known.labelmap.array == 1, tmp_path),
        known.femurs[0],
        known,
    )
    assert np.nanmax(np.abs(errors.to_truth)) < 1e-6
    assert np.isnan(errors.to_truth[points[:, 2] < -11.0]).all()


def test_a_leak_is_the_volume_in_other_bone(known, tmp_path):
    mask = known.labelmap.array == 1
    other = np.argwhere(known.labelmap.array == 2)[:7]
    mask[tuple(other.T)] = True
    errors = errors_of(found(known, known.femurs[0].surface, mask, tmp_path), known.femurs[0], known)
    assert errors.leak_mm3 == pytest.approx(7 * np.prod(_VOXEL_MM))


def test_a_label_map_on_another_grid_is_compared_at_the_same_place(known):
    mask = known.labelmap.array == 1
    crop = Volume(mask[3:20, 10:70, 5:75].astype(np.uint8), known.labelmap.ijk_to_ras.copy())
    crop.ijk_to_ras[:3, 3] = known.labelmap.points_of([5, 10, 3])
    expected = np.zeros_like(mask)
    expected[3:20, 10:70, 5:75] = mask[3:20, 10:70, 5:75]
    assert np.array_equal(mask_on(crop, known.volume), expected)


def test_dice_is_twice_the_overlap_over_both():
    a, b = np.array([1, 1, 1, 0, 0], bool), np.array([0, 1, 1, 1, 1], bool)
    assert dice(a, b) == pytest.approx(2 * 2 / 7)
    assert dice(~a & a, ~a & a) == 0.0


def test_a_femur_that_overlaps_nothing_is_not_matched(known, tmp_path):
    elsewhere = found(known, known.femurs[0].surface, known.labelmap.array == 2, tmp_path)
    assert matched((elsewhere,), known)[0][1] is None
    assert matched((), known)[0][1] is None


@pytest.mark.parametrize("stored", [FEET_FIRST, PRONE, SAGITTAL])
def test_voxels_that_are_stored_otherwise_lie_where_they_lay(known, stored):
    turned = stored_as(known, stored)
    points = np.random.default_rng(1).uniform([-38, -38, -11], [38, 38, 45], (200, 3))
    assert turned.volume.array.tobytes() != known.volume.array.tobytes()
    np.testing.assert_allclose(turned.volume.sample(points), known.volume.sample(points), atol=0.01)
    np.testing.assert_array_equal(turned.labelmap.sample(points, 0), known.labelmap.sample(points, 0))


def test_cropping_leaves_out_what_it_says(known):
    low = cropped(known, NO_TOP)
    highest = low.volume.points_of([0, 0, len(low.volume.array) - 1])[2]
    assert highest == pytest.approx(0.6 * _RADIUS_MM - 1.0, abs=_VOXEL_MM[2])
    narrow = cropped(known, NO_TROCHANTER)
    assert narrow.volume.points_of([0, 0, 0])[0] == pytest.approx(_RADIUS_MM - 6.0, abs=_VOXEL_MM[0])
    np.testing.assert_array_equal(narrow.labelmap.sample(np.zeros((1, 3)), 0), [1])


def test_a_tube_has_the_volume_of_a_cylinder(known):
    empty = replace(known.volume, array=np.zeros_like(known.volume.array))
    line = np.array([[0.0, 0.0, -40.0], [3.0, 0.0, 70.0]])
    drawn = with_tube(empty, line, 6.0, 1000.0, 0.5)
    height = len(empty.array) * _VOXEL_MM[2]
    length = height * np.linalg.norm(line[1] - line[0]) / 110.0
    volume = drawn.array.sum() / 1000.0 * np.prod(_VOXEL_MM)
    # A blurred cylinder holds πσ² more than its circle.
    assert volume == pytest.approx(np.pi * (6.0**2 + 0.5**2) * length, rel=0.01)


def test_points_near_the_border_are_not_counted(known):
    points = np.array([[0, 0, -10.4], [0, 0, -10.6], [0, 0, 44.4], [0, 0, 44.6], [38.4, 0, 0], [38.6, 0, 0]])
    assert counted(points, known.volume).tolist() == [True, False, True, False, True, False]


def test_a_drawn_bone_has_its_cortex_and_its_inside():
    solid = solids.bone(solids.ball((0, 0, 0), 15.0), 3.0, 200.0)
    volume = solids.draw([solid], (-20, -20, -20), (20, 20, 20), (0.5, 0.5, 1.0), 0.0, 0)
    values = volume.sample(np.array([[0.0, 0, 0], [13.5, 0, 0], [0, -13.5, 0], [18.0, 0, 0]]))
    np.testing.assert_allclose(values, [200.0, 1250.0, 1250.0, -1000.0], atol=15.0)


def test_the_plan_is_what_was_asked_for():
    hips = [case for case in plan() if case.kind == HIP]
    assert len({case.seed for case in hips}) == len(hips) == N_HIPS >= 20
    assert all(2.0 <= case.gap_mm <= 4.0 for case in hips)
    assert sum(case.coarse and case.settings.noise_hu == 25.0 for case in hips) == N_HIPS / 2
    assert sum(bool(case.cut) for case in hips) == N_HIPS / 4
    assert sum(case.rotated for case in hips) == N_HIPS / 4
    assert 10 <= sum(case.side == "left" for case in hips) <= 14
    assert all(case.seed >= 800 for case in hips)


def test_both_hips_share_one_body(both):
    made, _ = both
    assert made.right.head_centre[0] - made.left.head_centre[0] == pytest.approx(176.0, abs=2.0)
    for hip, label in ((made.right, 1), (made.left, LEFT_FEMUR_LABEL)):
        index = np.argwhere(made.labelmap.array == label)[:, ::-1]
        inside = made.labelmap.points_of(index)
        lowest = made.volume.points_of([0, 0, 0])[2] - 0.5 * made.settings.slice_spacing_mm
        expected = _volume_above(hip.femur.surface, lowest)
        assert len(index) * np.prod(made.volume.spacing_mm) == pytest.approx(expected, rel=0.03)
        assert np.all(np.sign(inside[:, 0] - made.settings.patient_position_mm[0]) == hip.lateral[0])


def test_the_halves_of_the_body_meet_without_a_step(both):
    made, _ = both
    hu = made.volume.array
    seam = int(np.ceil(made.volume.index_of(np.array([made.settings.patient_position_mm[0], 0, 0]))[0]))
    steps = np.abs(np.diff(hu[:, :, seam - 6 : seam + 6], axis=2)).mean(axis=(0, 1))
    assert steps[5] < 2.0 * np.median(steps)


def test_both_hips_refuse_what_they_cannot_do(both):
    _, right = both
    with pytest.raises(SettingError, match="right and a left"):
        scan_both_hips(right, right)
    with pytest.raises(SettingError, match="without rotation"):
        scan_both_hips(right, replace(right, side="left"), ScannerSettings(grid_rotation_deg=(5.0, 0.0, 0.0)))


@pytest.fixture(scope="module")
def both():
    """A coarse scan of both hips, the left leg turned."""
    settings = ScannerSettings(
        voxel_mm=3.0,
        slice_spacing_mm=6.0,
        psf_sigma_mm=1.2,
        largest_cell_mm=0.5,
        noise_hu=0.0,
        margin_mm=10.0,
        shaft_cut_mm=60.0,
        patient_position_mm=(12.0, 0.0, 0.0),
    )
    right = simulate_hip(850, "right")
    left = simulate_hip(850, "left").moved(rotation((0.0, 0.0, -10.0)), np.zeros(3))
    return scan_both_hips(right, left, settings), right


def _volume_above(surface: Surface, z: float) -> float:
    """Volume of a closed surface above a height: the flux of (0, 0, max(height, 0)) through it."""
    corners = surface.points[surface.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] / 2.0
    height = np.maximum(corners[:, :, 2].mean(axis=1) - z, 0.0)
    return float(normal @ height)

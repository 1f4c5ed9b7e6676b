"""The shape model fitted to simulated scans of hips, held against the bone that was simulated."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.atlas.average import load_atlas
from CorticalBoneMappingLib.core.errors import SegmentationError, SettingError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.segmentation.fit.long_shaft import lengthened
from CorticalBoneMappingLib.segmentation.fit.model_fit import fit_model
from CorticalBoneMappingLib.segmentation.mask.voxelised import labelled
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
COARSE = ScannerSettings(
    voxel_mm=0.8,
    slice_spacing_mm=3.0,
    noise_hu=25.0,
    psf_sigma_mm=0.6,
    patient_rotation_deg=(12.0, -9.0, 15.0),
    patient_position_mm=(20.0, -30.0, 40.0),
    margin_mm=8.0,
    shaft_cut_mm=25.0,
    largest_cell_mm=0.5,
    seed=4,
)


@lru_cache(maxsize=1)
def simulated():
    """A left hip, turned in a coarse and noisy scan, in a socket 2.2 mm away."""
    return simulate_scan(simulate_hip(9041, "left", joint_space_mm=2.2), COARSE)


@lru_cache(maxsize=2)
def fitted(error_mm=0.0):
    made, atlas = simulated(), load_atlas()
    start = made.hip.head_centre + error_mm * np.array([0.6, -0.6, 0.53])
    radius = made.hip.head_radius_mm - 0.6 * error_mm
    return fit_model(made.volume, "left", start, radius, atlas.shape_model, atlas.landmarks)


def distances(fit):
    made = simulated()
    bone = (fit.surface.arrays["cut_end"] == 0) & (fit.surface.arrays["seen"] == 1)
    points = fit.surface.points[bone]
    return points, closest_points(made.hip.femur.surface, points).distance


def test_the_surface_lies_on_the_bone_in_a_coarse_turned_scan():
    _, distance = distances(fitted())
    assert distance.mean() < 0.5
    assert np.percentile(distance, 95) < 1.2


def test_the_head_does_not_leak_into_the_socket_two_millimetres_away():
    made = simulated()
    points, distance = distances(fitted())
    head = np.linalg.norm(points - made.hip.head_centre, axis=1) < 1.15 * made.hip.head_radius_mm
    assert head.sum() > 300
    assert distance[head].max() < 1.8


def test_a_head_found_4_mm_beside_its_place_and_too_small_leads_to_the_same_surface():
    apart = np.linalg.norm(fitted(4.0).surface.points - fitted().surface.points, axis=1)
    assert np.percentile(apart, 99) < 0.3


def test_a_left_femur_is_closed_and_looks_outward():
    surface = fitted().surface
    assert surface.is_closed()
    assert surface.volume_mm3 > 1e5


def test_what_the_scan_does_not_hold_is_marked():
    fit, volume = fitted(), simulated().volume
    index = volume.index_of(fit.surface.points)
    held = np.all((index >= 0) & (index <= np.array(volume.array.shape[::-1]) - 1), axis=1)
    np.testing.assert_array_equal(fit.surface.arrays["seen"] == 1, held)
    assert not held.all()
    assert 0.9 < fit.seen_share < 1.0


def test_the_shaft_reaches_the_end_of_the_scan_and_no_further_than_a_slice_or_two():
    surface, volume = fitted().surface, simulated().volume
    depth = volume.index_of(surface.points)[:, 2] * volume.spacing_mm[2]
    assert -10.0 < depth.min() < 0.0
    assert depth[surface.arrays["cut_end"] == 1].min() == depth.min()


def test_a_real_femur_in_3_mm_voxels_agrees_with_its_label():
    folder = DATA / "hips_ct_3mm"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the real CT is not part of the repository.")
    volume, labels = read_volume(folder / "ct.nrrd"), read_labelmap(folder / "labels.nrrd")
    atlas = load_atlas()
    start = np.array([82.5, 145.0, 126.0])  # RAS mm, read off the picture
    fit = fit_model(volume, "right", start, 24.5, atlas.shape_model, atlas.landmarks)
    found, given = labelled(fit.surface, volume).array == 1, labels.array == 2
    dice = 2.0 * (found & given).sum() / (found.sum() + given.sum())
    assert dice > 0.94
    assert fit.seen_share < 0.6


def test_a_side_that_is_neither_left_nor_right_is_refused():
    atlas, made = load_atlas(), simulated()
    with pytest.raises(SettingError, match="'middle'"):
        fit_model(made.volume, "middle", np.zeros(3), 23.0, atlas.shape_model, atlas.landmarks)


@pytest.mark.parametrize(
    ("beside_mm", "radius_mm", "message"), [(400.0, 23.0, "outside the volume"), (0.0, 4.0, "radius")]
)
def test_an_impossible_start_is_refused(beside_mm, radius_mm, message):
    atlas, made = load_atlas(), simulated()
    centre = made.hip.head_centre + beside_mm
    with pytest.raises(SegmentationError, match=message):
        fit_model(made.volume, "left", centre, radius_mm, atlas.shape_model, atlas.landmarks)


def test_a_volume_without_bone_gives_a_fit_without_confidence():
    atlas = load_atlas()
    volume = Volume(np.full((50, 80, 80), 40.0, np.float32), np.diag([2.0, 2.0, 3.0, 1.0]))
    fit = fit_model(volume, "right", np.array([60.0, 80.0, 110.0]), 23.0, atlas.shape_model, atlas.landmarks)
    assert fit.confident_share < 0.01
    assert np.isfinite(fit.surface.points).all()
    assert np.isfinite(fit.edge_rms_mm)


def test_a_lengthened_shaft_is_closed_and_continues_the_section_above():
    model = load_atlas().shape_model
    shorter, longer = lengthened(model, 15.0).model.surface, lengthened(model, 40.0).model.surface
    assert longer.is_closed()
    gained = longer.volume_mm3 - shorter.volume_mm3
    assert shorter.points[:, 2].min() - longer.points[:, 2].min() == pytest.approx(25.0, abs=0.05)
    wall = np.abs(model.mean[:, 2] - model.mean[:, 2].min() - 6.0) < 3.0
    radius = np.linalg.norm((model.mean[wall] - model.mean[wall].mean(axis=0))[:, :2], axis=1)
    assert gained / 25.0 == pytest.approx(np.pi * np.mean(radius**2), rel=0.05)


def test_the_rings_of_a_lengthened_shaft_are_smooth_and_even():
    long = lengthened(load_atlas().shape_model, 40.0)
    low = long.model.mean[:, 2] < load_atlas().shape_model.mean[:, 2].min() - 10.0
    ring = long.model.surface
    sides = np.sort(
        np.linalg.norm(np.diff(ring.points[ring.edges[low[ring.edges].all(axis=1)]], axis=1), axis=-1)
    )
    wall = low & ~long.cut_end
    assert np.abs(ring.normals[wall, 2]).max() < 0.2
    assert sides[-1] < 2.5 * sides[0] + 3.0


def test_a_lengthened_shaft_continues_straight_in_every_mode():
    model = load_atlas().shape_model
    long = lengthened(model, 40.0).model
    bent = long.reconstruct([2.0, -2.0, 2.0, 2.0])
    new, end = slice(len(model.mean), None), model.mean[:, 2].min()
    heights, middles = np.unique(np.round(long.mean[new, 2], 6)), []
    for height in heights:
        middles.append(bent[new][np.isclose(long.mean[new, 2], height, atol=1e-5)].mean(axis=0))
    steps = np.diff(middles, axis=0)
    assert len(steps) > 15
    np.testing.assert_allclose(steps, np.broadcast_to(steps.mean(axis=0), steps.shape), atol=0.15)
    sections = [bent[: new.start][np.abs(model.mean[:, 2] - end - up) < 4.0].mean(axis=0) for up in (6, 20)]
    along, above = steps.sum(axis=0), sections[1] - sections[0]
    cosine = along @ above / np.linalg.norm(along) / np.linalg.norm(above)
    assert np.degrees(np.arccos(cosine)) < 4.0

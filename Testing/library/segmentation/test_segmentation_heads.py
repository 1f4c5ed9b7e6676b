"""Finding the hips of a CT, against simulated hips whose heads are known."""

from dataclasses import replace
from functools import cache
from os import environ
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.errors import SegmentationError, VolumeError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_checks import check_ct
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.segmentation.detect.hips import chosen_hips, find_heads
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan

DATA = Path(environ.get("CBM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
SETTINGS = ScannerSettings(
    voxel_mm=1.0, slice_spacing_mm=3.0, noise_hu=25.0, rods=False, grid_rotation_deg=(4.0, -6.0, 9.0)
)
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


@cache
def hip(side):
    """A coarse oblique scan: volume, centre and radius of the head; the left is the mirror image."""
    if side == "left":
        volume, centre, radius = hip("right")
        return replace(volume, ijk_to_ras=MIRROR @ volume.ijk_to_ras), centre * [-1, 1, 1], radius
    made = simulate_scan(simulate_hip(740, "right"), SETTINGS)
    return made.volume, made.hip.head_centre, made.hip.head_radius_mm


@cache
def found(side):
    return find_heads(hip(side)[0], load_average().surface)


def ball_phantom(balls, size=(90, 90, 90), spacing=2.0):
    """Muscle in air, and in it balls of bone: (centre mm, radius mm)."""
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    places = np.stack(np.indices(size)[::-1], axis=-1) * spacing
    middle = np.array(size[::-1]) * spacing / 2.0
    array = np.where(np.linalg.norm((places - middle)[..., :2], axis=-1) < 75.0, 50.0, -1000.0)
    for centre, radius in balls:
        array[np.linalg.norm(places - centre, axis=-1) < radius] = 400.0
    return Volume(array.astype(np.float32), matrix, "phantom")


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_head_of_a_coarse_oblique_scan_is_found_with_its_side(side):
    _, centre, radius = hip(side)
    (detection,) = found(side)
    assert detection.side == side
    assert np.linalg.norm(detection.centre - centre) < 3.0
    assert abs(detection.radius_mm - radius) < 2.0
    assert detection.confidence > 0.8


def test_the_pose_brings_the_average_femur_near_the_head_and_mirrors_it_for_the_left():
    (right,), (left,) = found("right"), found("left")
    assert np.linalg.norm(right.pose[:3, 3] - hip("right")[1]) < 15.0
    assert np.linalg.det(right.pose[:3, :3]) > 0.5
    assert np.linalg.det(left.pose[:3, :3]) < -0.5


def test_voxels_stored_in_another_order_give_the_same_head():
    volume, _, _ = hip("right")
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.points_of([0.0, 0.0, len(volume.array) - 1.0])
    matrix[:3, 2] *= -1.0
    turned = np.flip(volume.array, 0).transpose(2, 0, 1)  # (i, k, j), as a reformat is stored
    reordered = matrix[:, [1, 2, 0, 3]]
    (detection,) = find_heads(Volume(turned, reordered, "feet first"), load_average().surface)
    np.testing.assert_allclose(detection.centre, found("right")[0].centre, atol=1e-3)
    assert detection.radius_mm == found("right")[0].radius_mm


def test_a_head_whose_top_is_outside_the_scan_is_found():
    volume, centre, radius = hip("left")
    top = int(volume.index_of(centre + np.array([0.0, 0.0, 0.6 * radius]))[2])
    (detection,) = find_heads(replace(volume, array=volume.array[:top]), load_average().surface)
    assert detection.side == "left"
    assert np.linalg.norm(detection.centre - centre) < 3.0
    assert abs(detection.radius_mm - radius) < 2.0


def test_a_missing_side_is_an_error_and_a_seed_chooses_the_hip():
    seen, centre = found("right"), hip("right")[1]
    with pytest.raises(SegmentationError, match="no left hip"):
        chosen_hips(seen, "left", None, "the scan")
    with pytest.raises(SegmentationError, match="no hip was found at the point"):
        chosen_hips(seen, None, centre + np.array([0.0, 0.0, -120.0]), "the scan")
    both = [*seen, replace(seen[0], side="left", centre=centre - np.array([170.0, 0.0, 0.0]))]
    assert [one.side for one in chosen_hips(both[::-1], "both", None, "the scan")] == ["right", "left"]
    near_left = centre - np.array([150.0, 0.0, 30.0])
    assert [one.side for one in chosen_hips(both, None, near_left, "the scan")] == ["left"]


def test_round_bones_that_are_not_femoral_heads_are_refused():
    condyles = ball_phantom([((70.0, 90.0, 90.0), 22.0), ((112.0, 90.0, 90.0), 22.0)])
    with pytest.raises(SegmentationError, match="no hip was found"):
        find_heads(condyles, load_average().surface)


def test_a_volume_that_is_not_a_ct_or_shows_no_bone_is_refused_with_its_reason():
    volume, _, _ = hip("right")
    refused = {
        "is MR": replace(volume, modality="MR"),
        "not finite": replace(volume, array=np.where(volume.array > 900.0, np.nan, volume.array)),
        "same value": replace(volume, array=np.full_like(volume.array, 40.0)),
        "at least 3": replace(volume, array=volume.array[:1]),
        "fat or muscle": replace(volume, array=1000.0 - volume.array),
    }
    for reason, wrong in refused.items():
        with pytest.raises(VolumeError, match=reason):
            check_ct(wrong)
    with pytest.raises(SegmentationError, match="bone"):
        check_ct(replace(volume, array=np.minimum(volume.array, 120.0)))
    check_ct(volume)


def test_the_hips_of_a_real_coarse_ct_are_on_their_sides():
    path = DATA / "hips_ct_3mm" / "ct.nrrd"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    detections = find_heads(read_volume(path), load_average().surface)
    right = next(one for one in detections if one.side == "right")
    # Ball fitted to the right femur's label (label 2) by RANSAC on its border voxels.
    assert np.linalg.norm(right.centre - [82.0, 144.3, 124.4]) < 6.0
    assert 22.0 < right.radius_mm < 28.5

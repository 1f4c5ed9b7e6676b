"""Label maps damaged in known ways come back whole."""

import numpy as np
import pytest

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.segmentation.mask.bone_mask import repair

SPACING = np.array([1.0, 1.0, 2.0])
SHAPE = (45, 70, 60)
LABEL = 76


def places():
    """Of the voxels, (k, j, i, 3) in mm."""
    k, j, i = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    return np.stack([i, j, k], axis=-1) * SPACING


def ball(centre, radius):
    return np.linalg.norm(places() - centre, axis=-1) <= radius


def rod(radius, centre=(30.0, 28.0)):
    """A shaft that leaves the volume below."""
    return np.linalg.norm(places()[..., :2] - centre, axis=-1) + 1e3 * (places()[..., 2] > 60.0) <= radius


def femur():
    return ball([30.0, 28.0, 64.0], 20.0) | rod(12.0)


def labelmap(mask):
    return Volume((LABEL * mask).astype(np.int16), np.diag([*SPACING, 1.0]), "damaged")


def test_a_valid_mask_stays_as_it_is():
    repaired, notes = repair(labelmap(femur()), LABEL)
    np.testing.assert_array_equal(repaired.array == 1, femur())
    assert repaired.array.dtype == np.uint8
    assert notes == []


def test_a_hollow_shell_with_openings_is_filled_and_its_openings_plugged():
    shell = femur() & ~(ball([30.0, 28.0, 64.0], 16.0) | rod(9.0))
    opening = ball([30.0, 47.0, 64.0], 2.2) | ball([18.0, 28.0, 20.0], 2.2)
    assert np.count_nonzero(shell & opening) > 15
    repaired, notes = repair(labelmap(shell & ~opening))
    wrong = np.count_nonzero((repaired.array == 1) != femur())
    assert wrong < 0.005 * np.count_nonzero(femur())
    assert any("closed" in note for note in notes)


def test_a_hollow_of_the_bone_itself_is_not_filled():
    hollow = femur() & ~ball([30.0, 48.0, 64.0], 6.0)
    repaired, _ = repair(labelmap(hollow))
    np.testing.assert_array_equal(repaired.array == 1, hollow)


def test_pelvis_on_a_thin_bridge_is_cut_off_with_a_note():
    pelvis = ball([30.0, 61.0, 64.0], 9.0)
    bridge = np.linalg.norm((places() - [30.0, 50.0, 64.0])[..., ::2], axis=-1) <= 2.5
    bridge &= (places()[..., 1] > 44.0) & (places()[..., 1] < 56.0)
    repaired, notes = repair(labelmap(femur() | pelvis | bridge))
    found = repaired.array == 1
    assert not (found & pelvis).any()
    assert np.count_nonzero(femur() & ~found) == 0
    assert np.count_nonzero(found & ~femur()) < 0.1 * np.count_nonzero(pelvis)
    assert any("cut off" in note and "cm³" in note for note in notes)


def test_islands_are_dropped_with_a_note():
    repaired, notes = repair(labelmap(femur() | ball([5.0, 62.0, 10.0], 3.0)))
    np.testing.assert_array_equal(repaired.array == 1, femur())
    assert len(notes) == 1
    assert "dropped" in notes[0]


@pytest.mark.parametrize("turned", [False, True])
def test_the_repaired_map_lies_on_the_grid_of_the_given_one(turned):
    matrix = np.diag([*SPACING, 1.0])
    if turned:
        matrix[:3, :3] = np.array([[0.6, -0.8, 0], [-0.8, -0.6, 0], [0, 0, 1]]) * SPACING
    matrix[:3, 3] = [-31.0, 7.0, 400.0]
    given = Volume(labelmap(femur()).array, matrix, "damaged")
    repaired, _ = repair(given)
    np.testing.assert_array_equal(repaired.ijk_to_ras, matrix)
    np.testing.assert_array_equal(repaired.array == 1, femur())

"""Metal in the bone: what is taken for metal, and the bone's edge beside it."""

import numpy as np
import pytest
from scipy import ndimage

from CorticalBoneMappingLib.core.metal import METAL_HU, metal_in, without_metal
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.cortex import CortexSettings
from CorticalBoneMappingLib.pipeline.find.refine_femur import outer_edges
from CorticalBoneMappingLib.segmentation.fit.edges import find_edges

VOXEL, BLUR, RADIUS, WALL, NAIL = 0.7, 0.55, 14.0, 4.0, 5.5
SOFT, MARROW, CORTEX, STEEL = 50.0, 20.0, 1200.0, 3071.0


def shaft(nail_from_axis=None):
    """A tube of bone along z, in it a nail at some distance from its axis; blurred and noisy."""
    x = np.arange(-26.0, 26.0, VOXEL)
    z = np.arange(-20.0, 20.0, 1.5)
    radius = np.hypot(x[None, :], x[:, None])
    hu = np.where(radius < RADIUS, np.where(radius < RADIUS - WALL, MARROW, CORTEX), SOFT)
    if nail_from_axis is not None:
        hu[np.hypot(x[None, :] - nail_from_axis, x[:, None]) < NAIL] = 12000.0
    slices = np.repeat(ndimage.gaussian_filter(hu, BLUR / VOXEL)[None], len(z), axis=0)
    slices = slices + 15.0 * np.random.default_rng(2).standard_normal(slices.shape)
    matrix = np.diag([VOXEL, VOXEL, 1.5, 1.0])
    matrix[:3, 3] = x[0], x[0], z[0]
    return Volume(np.minimum(slices, STEEL).astype(np.float32), matrix, "shaft", "CT", 1.5)


def tube(radius):
    """An open tube along z as a surface, 2 mm between points."""
    turns, heights = np.arange(40) * np.pi / 20, np.arange(-9.0, 9.1, 2.0)
    turn, height = np.meshgrid(turns, heights)
    points = np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=-1).reshape(-1, 3)
    row, column = (part.ravel() for part in np.indices((len(heights) - 1, len(turns))))
    a, b = row * 40 + column, row * 40 + (column + 1) % 40
    return Surface(points, np.concatenate([np.stack([a, b, b + 40], 1), np.stack([a, b + 40, a + 40], 1)]))


def test_a_scan_without_metal_is_left_as_it_is_voxel_for_voxel():
    bare = shaft()
    bare.array[3, 30, 30:33] = STEEL  # 2.2 mm³: a speck
    clean = without_metal(bare)
    assert clean.volume is bare
    assert clean.metal is None
    assert not clean.at(np.zeros((2, 3))).any()


def test_there_is_one_threshold_of_metal():
    assert CortexSettings().metal_hu == METAL_HU
    nailed = shaft(0.0)
    np.testing.assert_array_equal(metal_in(nailed), nailed.array > METAL_HU)


def test_a_nail_is_replaced_by_marrow_and_all_else_is_left():
    nailed, bare = shaft(0.0), shaft()
    clean = without_metal(nailed)
    replaced = clean.at(nailed.points_of(np.indices(nailed.array.shape).reshape(3, -1).T[:, ::-1]))
    replaced = replaced.reshape(nailed.array.shape)
    np.testing.assert_array_equal(clean.volume.array[~replaced], nailed.array[~replaced])
    assert (
        np.abs(clean.volume.array[replaced] - MARROW).max() < 200.0
    )  # a little of the cortex is smoothed in
    # What differs from the bone without its nail by more than noise was all replaced.
    assert replaced[np.abs(nailed.array - bare.array) > 100.0].all()
    radius = np.hypot(*nailed.points_of(np.argwhere(replaced)[:, ::-1])[:, :2].T)
    assert NAIL + 2.0 < radius.max() < NAIL + 4.0


def test_what_is_as_bright_as_blooming_is_replaced_near_metal_and_nowhere_else():
    nailed = shaft(0.0)
    middle = len(nailed.array) // 2
    near, far = (middle, 37, 37 + round(10.0 / VOXEL)), (middle, 37, 37 + round(17.0 / VOXEL))
    nailed.array[near] = nailed.array[far] = 1700.0
    clean = without_metal(nailed).volume.array
    assert clean[near] < 1400.0
    assert clean[far] == 1700.0


def test_metal_grows_by_a_voxel_at_least():
    array = np.zeros((7, 9, 9), np.float32)
    array[3, 4, 4] = STEEL
    clean = without_metal(Volume(array, np.diag([3.0, 3.0, 4.0, 1.0])))
    assert clean.metal.array.sum() == 7  # itself and its neighbours


@pytest.mark.parametrize("start", [-3.0, 2.0])
def test_the_nail_does_not_draw_the_edge_to_itself(start):
    surface, nailed = tube(RADIUS + start), shaft(0.0)
    clean = without_metal(nailed).volume
    drawn = find_edges(nailed, surface.points, surface.normals, 10.0, 5.0)
    found = find_edges(clean, surface.points, surface.normals, 10.0, 5.0)
    assert np.abs(found.offset + start).max() < 0.5
    bare = find_edges(shaft(), surface.points, surface.normals, 10.0, 5.0)
    np.testing.assert_allclose(found.confidence, bare.confidence, atol=0.02)
    if start < 0:
        assert np.abs(drawn.offset + start).mean() > 1.5  # so it is the nail that is tested here


def test_the_exact_edge_is_the_same_with_a_nail_in_the_marrow():
    surface, none = tube(RADIUS - 0.6), np.zeros(400, dtype=bool)
    offset, _, found = outer_edges(surface, shaft(0.0), none)
    bare, _, _ = outer_edges(surface, shaft(), none)
    assert found.all()
    assert np.abs(offset - bare).max() < 0.05
    assert np.abs(offset + 0.6).mean() < 0.15  # the tube's edge is in steps of voxels


def test_no_exact_edge_is_given_where_metal_comes_through_the_bone():
    surface, through = tube(RADIUS), shaft(RADIUS - 2.0)
    _, _, found = outer_edges(surface, through, np.zeros(400, dtype=bool))
    away = np.hypot(surface.points[:, 0] - RADIUS + 2.0, surface.points[:, 1])
    assert not found[away < NAIL + 1.5].any()
    assert found[away > NAIL + 6.0].all()

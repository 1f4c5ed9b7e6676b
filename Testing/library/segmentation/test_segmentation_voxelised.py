"""Label maps of surfaces, held against volumes known by formula and against counting points."""

import numpy as np
import pytest

from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.segmentation.mask.voxelised import filling, labelled

RADIUS = 11.0


def ball(centre=(0.0, 0.0, 0.0)):
    steps = np.arange(-13.0, 13.5, 1.0)
    z, y, x = np.meshgrid(steps, steps, steps, indexing="ij")
    matrix = np.eye(4)
    matrix[:3, 3] = -13.0
    found = isosurface(RADIUS - np.sqrt(x**2 + y**2 + z**2), matrix, 0.0)
    direction = found.points / np.linalg.norm(found.points, axis=1, keepdims=True)
    return Surface(RADIUS * direction + centre, found.triangles)


def scan(spacing, size, turn=0.0, mirrored=False):
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0, 0, 1.0]])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * spacing
    if mirrored:
        matrix[:3, 0] *= -1.0
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(size) - 1) / 2.0)
    return Volume(np.zeros(size[::-1], np.float32), matrix, "scan")


def test_the_filling_of_all_voxels_is_the_volume_of_the_surface():
    surface, volume = ball((0.3, -0.2, 0.1)), scan((0.7, 0.8, 2.5), (40, 38, 14), turn=0.4)
    filled, _ = filling(surface, volume)
    assert filled.sum() * 0.7 * 0.8 * 2.5 == pytest.approx(surface.volume_mm3, rel=1e-3)
    assert filled.min() > -1e-9
    assert filled.max() < 1.0 + 1e-9


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_filling_of_each_voxel_agrees_with_counted_points_in_a_ball(mirrored):
    volume = scan((0.9, 0.9, 2.0), (30, 30, 15), turn=0.3, mirrored=mirrored)
    filled, place = filling(ball(), volume)
    fine = (np.arange(16) + 0.5) / 16.0 - 0.5
    k, j, i = (np.arange(side.start, side.stop) for side in place)
    places = np.stack(np.meshgrid(k, j, i, fine[::2], fine[::2], fine[::2], indexing="ij"), axis=-1)
    inside = (
        np.linalg.norm(volume.points_of((places[..., :3] + places[..., 3:])[..., ::-1]), axis=-1) < RADIUS
    )
    counted = inside.mean(axis=(3, 4, 5))
    # Eight points a side count to a few percent, and so do four lines a side.
    assert np.abs(filled - counted).max() < 0.15
    assert np.abs(filled - counted).mean() < 0.007


def test_voxels_at_least_half_full_get_the_label_and_no_others():
    volume = scan((0.8, 0.8, 3.0), (40, 40, 12))
    filled, place = filling(ball(), volume)
    label = labelled(ball(), volume, 7)
    assert label.array.dtype == np.uint8
    np.testing.assert_array_equal(label.array[place] == 7, filled >= 0.5)
    assert label.array.sum() == 7 * np.count_nonzero(filled >= 0.5)
    assert np.count_nonzero(label.array) * 0.8 * 0.8 * 3.0 == pytest.approx(
        4 / 3 * np.pi * RADIUS**3, rel=0.03
    )


def test_a_bone_that_leaves_the_scan_is_labelled_as_far_as_the_scan_goes():
    whole = scan((1.0, 1.0, 1.0), (31, 31, 31))
    part = whole.crop(np.array([[-15.0, -4.0, -15.0], [15.0, 15.0, 3.0]]), 0.0)
    cut = part.array.shape
    first = np.rint(whole.index_of(part.ijk_to_ras[:3, 3])).astype(int)[::-1]
    box = tuple(slice(a, a + n) for a, n in zip(first, cut))
    np.testing.assert_array_equal(labelled(ball(), part).array, labelled(ball(), whole).array[box])


def test_what_a_thin_place_tears_off_is_left_out_and_the_rest_is_one_piece():
    steps = np.arange(-14.0, 14.1, 0.7)
    z, y, x = np.meshgrid(steps, steps, steps * 1.6, indexing="ij")
    thick = np.maximum(
        8.0 - np.sqrt((x + 10.0) ** 2 + y**2 + z**2), 5.0 - np.sqrt((x - 12.0) ** 2 + y**2 + z**2)
    )
    thread = np.where(np.abs(x) < 15.0, 1.2 - np.hypot(y - 0.35, z - 0.35), -1.0)
    matrix = np.diag([0.7 * 1.6, 0.7, 0.7, 1.0])
    matrix[:3, 3] = [-14.0 * 1.6, -14.0, -14.0]
    surface = isosurface(np.maximum(thick, thread), matrix, 0.0)
    label = labelled(surface, scan((3.0, 3.0, 3.0), (15, 10, 10)))
    assert np.count_nonzero(label.array) * 27.0 == pytest.approx(4 / 3 * np.pi * 8.0**3, rel=0.15)


def test_a_surface_with_a_hole_or_outside_the_scan_is_refused():
    surface, volume = ball(), scan((1.0, 1.0, 1.0), (30, 30, 30))
    with pytest.raises(SurfaceError, match="not closed"):
        labelled(Surface(surface.points, surface.triangles[1:]), volume)
    with pytest.raises(SurfaceError, match="no voxel"):
        labelled(ball((100.0, 0.0, 0.0)), volume)

import os
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.core.errors import Cancelled, SurfaceError
from CorticalBoneMappingLib.core.progress import CallbackProgress
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_labelmap
from CorticalBoneMappingLib.mesh.topology import defects, euler_characteristic
from CorticalBoneMappingLib.segmentation import periosteal_surface

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "hips_ct_3mm"

FINE, THICK_SLICES, COARSE = (0.6, 0.6, 1.0), (0.8, 0.8, 2.5), (3.0, 3.0, 3.0)


def labelled(inside, half_size, spacing, rotation=None, label=1):
    """Label map of a shape: voxels whose centres satisfy `inside(points)`; the origin is off any voxel."""
    spacing = np.array(spacing)
    counts = np.ceil(2 * np.array(half_size) / spacing).astype(int) + 1
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if rotation is None else rotation) * spacing
    matrix[:3, 3] = -(matrix[:3, :3] @ ((counts - 1) / 2)) + [0.13, 0.21, 0.37]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1)
    points = index @ matrix[:3, :3].T + matrix[:3, 3]
    return Volume(np.where(inside(points), label, 0).astype(np.int16).T, matrix, "mask.nrrd")


def ball(radius, centre=(0, 0, 0)):
    return lambda points: np.linalg.norm(points - np.array(centre), axis=-1) < radius


def margin(radius, spacing):
    return [radius + 2 * step for step in spacing]


def area_weighted(surface, errors, chosen=slice(None)):
    """Mean and root mean square of errors at the points."""
    weights, errors = surface.point_areas[chosen], errors[chosen]
    return np.average(errors, weights=weights), np.sqrt(np.average(errors**2, weights=weights))


def assert_one_closed_bone(surface):
    assert surface.is_closed()
    assert len(defects(surface.triangles, len(surface.points))) == 0
    assert euler_characteristic(surface.triangles) == 2
    assert surface.volume_mm3 > 0


@pytest.mark.parametrize(
    ("radius", "spacing"),
    [(5, FINE), (12, FINE), (25, FINE), (8, THICK_SLICES), (25, THICK_SLICES), (12, COARSE), (25, COARSE)],
)
def test_the_surface_of_a_ball_is_the_sphere_to_a_quarter_of_a_voxel_and_does_not_shrink(radius, spacing):
    found = periosteal_surface(
        labelled(ball(radius), margin(radius, spacing), spacing), spacing_mm=radius / 8
    )
    assert_one_closed_bone(found.surface)
    bias, rms = area_weighted(found.surface, np.linalg.norm(found.surface.points, axis=1) - radius)
    assert abs(bias) <= 0.1 * spacing[0]
    assert rms <= 0.25 * spacing[0]
    assert not found.surface.arrays["cut_end"].any()


@pytest.mark.parametrize("spacing", [FINE, THICK_SLICES, COARSE])
def test_an_oblique_shaft_keeps_its_radius_and_its_cut_ends_are_marked(spacing):
    axis = np.array([0.25, 0.1, 0.96])
    axis /= np.linalg.norm(axis)

    def from_axis(points):
        return np.linalg.norm(np.cross(points, axis), axis=-1)

    found = periosteal_surface(labelled(lambda p: from_axis(p) < 13, (26, 26, 30), spacing), spacing_mm=1.5)
    surface, cut = found.surface, found.surface.arrays["cut_end"].astype(bool)
    assert_one_closed_bone(surface)
    bias, rms = area_weighted(surface, from_axis(surface.points) - 13, ~cut)
    assert abs(bias) <= 0.1 * spacing[0]
    assert rms <= 0.25 * spacing[0]
    assert cut[from_axis(surface.points) < 13 - 0.6 * max(spacing)].all()
    height = np.abs(surface.points[:, 2])
    assert not cut[height < height.max() - 1.5 - spacing[2]].any()
    assert surface.arrays["cut_end"].dtype == np.uint8


def test_no_vertex_leaves_the_band_between_bone_and_background_voxels():
    labelmap = labelled(
        lambda p: np.sum((p / np.array([9.0, 14.0, 22.0])) ** 2, axis=-1) < 1, (12, 17, 27), THICK_SLICES
    )
    surface = periosteal_surface(labelmap, spacing_mm=1.2).surface
    index = labelmap.index_of(surface.points)
    corners = np.floor(index).astype(int)[:, None] + np.stack(np.meshgrid(*[(-1, 0, 1, 2)] * 3), -1).reshape(
        -1, 3
    )
    i, j, k = np.moveaxis(np.clip(corners, 0, np.array(labelmap.array.shape[::-1]) - 1), -1, 0)
    near = np.linalg.norm((corners - index[:, None]) * THICK_SLICES, axis=-1) <= np.linalg.norm(THICK_SLICES)
    inside = labelmap.array[k, j, i] > 0
    assert (near & inside).any(axis=1).all()
    assert (near & ~inside).any(axis=1).all()


def test_normals_show_no_steps_of_the_slices():
    found = periosteal_surface(labelled(ball(24), margin(24, FINE), FINE), spacing_mm=1.5)
    outward = found.surface.points / np.linalg.norm(found.surface.points, axis=1, keepdims=True)
    tilt = np.degrees(np.arccos(np.clip(np.sum(found.surface.normals * outward, axis=1), -1, 1)))
    assert np.sqrt(np.mean(tilt**2)) < 6


def test_a_turned_or_left_handed_grid_gives_the_same_sphere_looking_outward():
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    for rotation in (turn, turn @ np.diag([1, 1, -1.0]), np.eye(3)[:, [2, 0, 1]]):
        found = periosteal_surface(labelled(ball(12), (16, 16, 16), FINE, rotation), spacing_mm=1.5)
        assert_one_closed_bone(found.surface)
        assert np.abs(np.linalg.norm(found.surface.points, axis=1).mean() - 12) < 0.06


def test_a_flat_cut_within_the_volume_is_marked_and_the_round_end_is_not():
    def half_ball_on_a_shaft(points):
        shaft = (np.hypot(points[..., 0], points[..., 1]) < 14) & (np.abs(points[..., 2] + 12) < 12)
        return shaft | ball(14)(points)

    surface = periosteal_surface(labelled(half_ball_on_a_shaft, (18, 18, 30), FINE), spacing_mm=1.5).surface
    cut = surface.arrays["cut_end"].astype(bool)
    assert cut.any()
    assert surface.points[cut, 2].max() < -24 + 1.5 + 1.0
    assert cut[surface.points[:, 2] < -23.7].all()


def test_a_mask_of_the_cortex_alone_gives_the_same_outer_surface_with_a_note():
    solid = labelled(lambda p: np.hypot(p[..., 0], p[..., 1]) < 12, (15, 15, 20), FINE)
    shell = labelled(lambda p: np.abs(np.hypot(p[..., 0], p[..., 1]) - 10.5) < 1.5, (15, 15, 20), FINE)
    expected, found = (periosteal_surface(mask, spacing_mm=1.5) for mask in (solid, shell))
    assert any("Cavities" in note and "were filled" in note for note in found.notes)
    assert found.surface.volume_mm3 == pytest.approx(expected.surface.volume_mm3, rel=1e-3)
    assert not expected.notes


def test_a_tunnel_through_the_mask_is_closed_with_a_note():
    def drilled(points):
        return ball(12)(points) & (np.hypot(points[..., 0], points[..., 1]) > 1.2)

    found = periosteal_surface(labelled(drilled, (15, 15, 16), FINE), spacing_mm=1.5)
    assert_one_closed_bone(found.surface)
    assert found.notes


def test_small_islands_are_dropped_and_counted():
    def with_islands(points):
        return ball(12)(points) | ball(2, (18, 0, 0))(points) | ball(2, (0, 18, 0))(points)

    found = periosteal_surface(labelled(with_islands, (22, 22, 15), FINE), spacing_mm=1.5)
    assert_one_closed_bone(found.surface)
    assert found.surface.points.max() < 13
    assert any("2 small separate piece(s)" in note for note in found.notes)


def test_two_bones_in_one_mask_are_refused_with_their_sizes():
    def two(points):
        return ball(10, (-12, 0, 0))(points) | ball(8, (12, 0, 0))(points)

    with pytest.raises(SurfaceError, match=r"2 large separate pieces \(4\.\d+, 2\.\d+ cm³\)"):
        periosteal_surface(labelled(two, (25, 13, 13), FINE))


def test_masks_that_are_not_one_bone_are_refused_in_words():
    one = labelled(ball(8), (11, 11, 11), FINE)
    several = Volume(
        np.where(np.arange(one.array.shape[0])[:, None, None] < 8, 3, 1) * one.array, one.ijk_to_ras
    )

    def made_of(array):
        return Volume(array, one.ijk_to_ras, "mask.nrrd")

    with pytest.raises(SurfaceError, match="mask is empty"):
        periosteal_surface(made_of(np.zeros_like(one.array)))
    with pytest.raises(SurfaceError, match="label 7 does not exist; there are: 1"):
        periosteal_surface(one, 7)
    with pytest.raises(SurfaceError, match="say which label is the bone; there are: 1, 3"):
        periosteal_surface(several)
    with pytest.raises(SurfaceError, match="not a label map"):
        periosteal_surface(made_of(one.array * 731.5))
    with pytest.raises(SurfaceError, match="not numbers"):
        periosteal_surface(made_of(np.where(one.array > 0, np.nan, 0.0)))
    with pytest.raises(SurfaceError, match="too little for a surface"):
        periosteal_surface(labelled(ball(1.2), (5, 5, 5), FINE))
    with pytest.raises(SurfaceError, match="Ask for a smaller spacing"):
        periosteal_surface(one, spacing_mm=20)
    with pytest.raises(SurfaceError, match="Ask for a larger spacing"):
        periosteal_surface(one, spacing_mm=0.02)
    with pytest.raises(SurfaceError, match="more than 0 mm"):
        periosteal_surface(one, spacing_mm=0)


def test_whole_numbers_in_floats_and_probabilities_are_masks_too():
    one = labelled(ball(8), (11, 11, 11), FINE)
    expected = periosteal_surface(one)
    whole = periosteal_surface(Volume(one.array.astype(np.float64), one.ijk_to_ras))
    np.testing.assert_array_equal(whole.surface.points, expected.surface.points)
    probable = periosteal_surface(Volume(0.1 + 0.8 * one.array, one.ijk_to_ras))
    np.testing.assert_array_equal(probable.surface.points, expected.surface.points)
    assert any("probabilities" in note for note in probable.notes)


def test_it_stops_when_cancelled():
    with pytest.raises(Cancelled):
        periosteal_surface(
            labelled(ball(8), (11, 11, 11), FINE), progress=CallbackProgress(lambda *_: None, lambda: True)
        )


@pytest.mark.skipif(not DATA.is_dir(), reason="no real label map: set CBM_TEST_DATA to the data folder")
@pytest.mark.parametrize("label", [1, 2])
def test_a_real_truncated_femur_of_3_mm_voxels_is_one_smooth_bone_of_the_masks_volume(label):
    labelmap = read_labelmap(DATA / "labels.nrrd")
    found = periosteal_surface(labelmap, label, spacing_mm=2.0)
    assert_one_closed_bone(found.surface)
    assert found.surface.mean_spacing_mm == pytest.approx(2.0, rel=0.05)
    volume = np.count_nonzero(labelmap.array == label) * np.prod(labelmap.spacing_mm)
    assert found.surface.volume_mm3 == pytest.approx(volume, rel=0.015)
    cut = found.surface.arrays["cut_end"].astype(bool)
    lowest = labelmap.points_of([0, 0, -0.5])[2]
    assert found.surface.points[cut, 2].max() <= lowest + 2.0
    assert cut[found.surface.points[:, 2] < lowest + 1.0].all()
    assert 300 < found.surface.point_areas[cut].sum() < 2500

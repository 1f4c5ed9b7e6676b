"""The exact surface: its field against kriging by hand, its surface against balls and rods of known size."""

from functools import lru_cache

import numpy as np
import pytest
from scipy.special import k1

from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.mesh.topology import euler_characteristic, pieces
from CorticalBoneMappingLib.segmentation.refine.displacement import FieldPrior, offset_field
from CorticalBoneMappingLib.segmentation.refine.exact_surface import exact_surface
from CorticalBoneMappingLib.segmentation.refine.shaft_end import cut_at, shaft_end

RADIUS = 18.0
PRIOR = FieldPrior(sd_mm=0.8, length_mm=10.0)


def grid_of(half_mm, step=1.5):
    steps = np.arange(-half_mm, half_mm + step, step)
    z, y, x = np.meshgrid(steps, steps, steps, indexing="ij")
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = steps[0]
    return np.stack([x, y, z], axis=-1), matrix


@lru_cache(maxsize=2)
def ball(radius=RADIUS):
    points, matrix = grid_of(radius + 4.0, 1.5)
    surface = isosurface(radius - np.linalg.norm(points, axis=-1), matrix, 0.0)
    direction = surface.points / np.linalg.norm(surface.points, axis=1, keepdims=True)
    return Surface(radius * direction, surface.triangles)


@lru_cache(maxsize=1)
def rod():
    """A rod along z from −40 to 25 mm, round at the top and flat below."""
    points, matrix = grid_of(44.0, 2.0)
    beyond = np.maximum(points[..., 2] - 13.0, 0.0)
    inside = 12.0 - np.sqrt(points[..., 0] ** 2 + points[..., 1] ** 2 + beyond**2)
    surface = isosurface(np.minimum(inside, points[..., 2] + 40.0), matrix, 0.0)
    flat = (surface.points[:, 2] < -39.5) & (surface.normals[:, 2] < -0.9)
    return surface.with_arrays(cut_end=flat.astype(np.uint8))


def empty_scan(low, high, spacing=(1.0, 1.0, 2.0)):
    """A volume whose voxels fill the box from `low` to `high`; its values do not matter."""
    size = np.round((np.array(high) - low) / spacing).astype(int)
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = np.array(low) + 0.5 * np.array(spacing)
    return Volume(np.zeros(size[::-1], np.float32), matrix, "empty scan")


def edges_of_ball(surface, volume, excluded, radius=RADIUS, noise=0.0, seed=0):
    """The true depth of a ball about the origin along each normal."""
    points, normals = surface.points, surface.normals
    along = np.einsum("ij,ij->i", points, normals)
    root = along**2 - np.einsum("ij,ij->i", points, points) + radius**2
    depth = along - np.sqrt(np.maximum(root, 0.0))
    depth = depth + noise * np.random.default_rng(seed).standard_normal(len(depth))
    found = ~excluded & (root > 0)
    return np.where(found, depth, np.nan), np.where(found, max(noise, 0.01), np.nan), found


def wavy(surface, by_mm):
    """Smoothly too far out here and too far in there."""
    x, y, z = surface.points.T / 6.0
    off = by_mm * np.sin(x + 0.3) * np.cos(y) * np.cos(z - 0.5) * 2.0
    return Surface(surface.points + off[:, None] * surface.normals, surface.triangles)


def test_one_measured_offset_spreads_as_kriging_with_the_matern_covariance():
    surface = ball(30.0)
    measured = np.full(len(surface.points), np.nan)
    measured[100], sd = 0.5, 0.3
    field = offset_field(surface, measured, np.full(len(measured), sd), PRIOR)
    distance = 30.0 * np.arccos(np.clip(surface.points @ surface.points[100] / 900.0, -1.0, 1.0))
    near = (distance > 2.0) & (distance < 12.0)
    scaled = np.sqrt(8.0) / PRIOR.length_mm * distance[near]
    weight = PRIOR.sd_mm**2 / (PRIOR.sd_mm**2 + sd**2 / field.weight[100])
    expected = 0.5 * weight * scaled * k1(scaled)
    np.testing.assert_allclose(field.offset[near], expected, atol=0.02)


def test_where_nothing_is_measured_the_field_keeps_its_prior_uncertainty():
    surface = ball(30.0)
    measured = np.full(len(surface.points), np.nan)
    measured[surface.points[:, 2] > 22.0] = 0.5
    field = offset_field(surface, measured, np.full(len(measured), 0.05), PRIOR)
    far = surface.points[:, 2] < -3.0
    assert field.sd[far].mean() == pytest.approx(PRIOR.sd_mm, rel=0.05)
    assert np.abs(field.offset[far]).max() < 0.01
    assert field.sd[surface.points[:, 2] > 25.0].max() < 0.1


def test_offsets_that_contradict_their_neighbours_draw_the_field_little():
    surface = ball(30.0)
    truth = 0.4 * np.sin(surface.points[:, 0] / 12.0)
    random = np.random.default_rng(3)
    measured = truth + 0.1 * random.standard_normal(len(truth))
    wrong = random.random(len(truth)) < 0.05
    measured[wrong] += 3.0
    field = offset_field(surface, measured, np.full(len(measured), 0.1), PRIOR)
    assert np.sqrt(np.mean((field.offset - truth) ** 2)) < 0.1
    assert field.weight[wrong].max() < 0.1
    assert np.median(field.weight[~wrong]) > 0.8


def test_a_surface_a_millimetre_off_is_moved_to_the_edge_and_evenly_meshed():
    start = wavy(ball(), 0.6)
    assert np.abs(np.linalg.norm(start.points, axis=1) - RADIUS).max() > 0.9
    found = exact_surface(start, empty_scan([-30] * 3, [30] * 3), edges_of_ball).surface
    error = np.linalg.norm(found.points, axis=1) - RADIUS
    assert np.abs(error).mean() < 0.01
    assert np.abs(error).max() < 0.08
    assert found.is_closed()
    assert euler_characteristic(found.triangles) == 2
    assert found.mean_spacing_mm == pytest.approx(1.2, rel=0.05)
    assert not found.arrays["completed"].any()
    assert not found.arrays["cut_end"].any()


def test_the_expected_error_is_the_error_of_noisy_edges():
    def noisy(surface, volume, excluded):
        return edges_of_ball(surface, volume, excluded, noise=0.3, seed=len(surface.points))

    found = exact_surface(wavy(ball(), 0.3), empty_scan([-30] * 3, [30] * 3), noisy).surface
    error = np.linalg.norm(found.points, axis=1) - RADIUS
    # Independent noise of neighbours is taken for twice as harmful, since that of a CT is not independent.
    assert 0.3 < np.sqrt(np.mean((error / found.arrays["expected_error"]) ** 2)) < 0.9


def test_where_the_image_shows_nothing_the_given_shape_stays_and_is_marked():
    def hidden(surface, volume, excluded):
        return edges_of_ball(surface, volume, excluded | (surface.points[:, 2] > 8.0))

    answer = exact_surface(ball(RADIUS + 0.5), empty_scan([-30] * 3, [30] * 3), hidden)
    found = answer.surface
    height, radius = found.points[:, 2], np.linalg.norm(found.points, axis=1)
    completed = found.arrays["completed"] == 1
    assert completed[height > 14.0].all()
    assert not completed[height < 6.0].any()
    assert radius[height > 17.0].mean() > RADIUS + 0.2
    assert np.abs(radius[height < 6.0] - RADIUS).max() < 0.05
    sd = found.arrays["expected_error"]
    assert sd[height > 14.0].min() > 2.0 * sd[height < 6.0].max()
    share = found.point_areas[completed].sum() / found.point_areas.sum()
    assert f"{share:.0%}" in answer.notes[0]


def test_a_ball_that_leaves_the_scan_is_completed_not_cut():
    found = exact_surface(ball(), empty_scan([-30] * 3, [30, 30, 10]), edges_of_ball).surface
    assert found.points[:, 2].max() > RADIUS - 0.5
    assert found.arrays["completed"][found.points[:, 2] > 15.0].all()
    assert not found.arrays["cut_end"].any()


def test_a_shaft_that_leaves_the_scan_is_cut_flat_at_the_last_voxels_face():
    scan = empty_scan([-20, -20, -26], [20, 20, 40])

    def edges(surface, volume, excluded):
        far = np.linalg.norm(surface.points[:, :2], axis=1) - 12.0
        found = ~excluded & (np.abs(surface.normals[:, 2]) < 0.1)
        return np.where(found, far, np.nan), np.where(found, 0.05, np.nan), found

    found = exact_surface(rod(), scan, edges).surface
    cut = found.arrays["cut_end"] == 1
    assert found.points[:, 2].min() == pytest.approx(-26.0, abs=1e-6)
    assert found.is_closed()
    assert pieces(found.triangles, len(found.points)).max() == 0
    assert cut[found.points[:, 2] < -25.0].all()
    assert not cut[found.points[:, 2] > -24.0].any()
    # What was cut off is a cylinder.
    assert found.volume_mm3 == pytest.approx(np.pi * 144.0 * (39.0 + 8.0), rel=0.01)


def test_a_shaft_that_ends_within_the_scan_keeps_its_flat_end():
    planes, by_scan = shaft_end(rod(), empty_scan([-20, -20, -60], [20, 20, 40]))
    assert not by_scan
    np.testing.assert_allclose(planes[0][1], [0.0, 0.0, -1.0], atol=0.02)
    assert planes[0][0][2] == pytest.approx(-40.0, abs=0.5)


def test_a_bone_wholly_outside_the_scan_is_refused():
    away = empty_scan([100] * 3, [130] * 3)
    with pytest.raises(SurfaceError, match="no part"):
        exact_surface(ball(), away, edges_of_ball)
    with pytest.raises(SurfaceError, match="outside the scan"):
        cut_at(ball(), [(np.array([0.0, 0.0, -30.0]), np.array([0.0, 0.0, 1.0]))])


def test_no_edge_at_all_is_refused():
    def none(surface, volume, excluded):
        return edges_of_ball(surface, volume, np.ones_like(excluded))

    with pytest.raises(SurfaceError, match="no edge"):
        exact_surface(ball(), empty_scan([-30] * 3, [30] * 3), none)

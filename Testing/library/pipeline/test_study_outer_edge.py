"""The outer edge that the segmentation is given, on a ball of known radius in its socket."""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.cortex import measure_cortex
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.pipeline.find.refine_femur import outer_edges
from CorticalBoneMappingLib.segmentation.mask.voxelised import labelled
from CorticalBoneMappingLib.segmentation.refine.exact_surface import exact_surface

RADIUS, GAP, NOISE = 20.0, 2.5, 20.0
VOXEL, SLICE, FINE = 0.8, 2.4, 0.4


@lru_cache(maxsize=2)
def scanned(thickest_mm=4.0):
    """A ball, cortex 1 mm above and 4 mm below, in half a socket: blurred, averaged over slices, noisy."""
    steps = np.arange(-34.0, 34.0, FINE)
    z, y, x = np.meshgrid(steps, steps, steps, indexing="ij", sparse=True)
    radius = np.sqrt(x**2 + y**2 + z**2)
    thickness = np.clip(2.5 - 0.15 * z, 1.0, thickest_mm)
    hu = np.full(radius.shape, 50.0, dtype=np.float32)
    hu[radius < RADIUS] = 1250.0
    hu[radius < RADIUS - thickness] = 250.0
    wall = (radius > RADIUS + GAP) & (radius < RADIUS + GAP + 7.0) & (z > 0.0)
    hu[wall] = 250.0
    hu[wall & (radius < RADIUS + GAP + 1.5)] = 1100.0
    hu = ndimage.gaussian_filter(hu, (0.0, 0.55 / FINE, 0.55 / FINE))
    parts = [round(SLICE / FINE), round(VOXEL / FINE), round(VOXEL / FINE)]
    shape = [count // part for count, part in zip(hu.shape, parts)]
    hu = hu[tuple(slice(0, count * part) for count, part in zip(shape, parts))]
    slices = hu.reshape(shape[0], parts[0], *hu.shape[1:]).mean(axis=1)[:, :: parts[1], :: parts[2]]
    slices += NOISE * np.random.default_rng(1).standard_normal(slices.shape).astype(np.float32)
    matrix = np.diag([VOXEL, VOXEL, SLICE, 1.0])
    matrix[:3, 3] = [steps[0], steps[0], steps[0] + 0.5 * (SLICE - FINE)]
    return Volume(slices, matrix, "ball in a socket", "CT", SLICE)


@lru_cache(maxsize=1)
def start():
    """The ball's surface, up to 0.8 mm off here and there."""
    steps = np.arange(-24.0, 24.1, 1.6)
    z, y, x = np.meshgrid(steps, steps, steps, indexing="ij")
    matrix = np.diag([1.6, 1.6, 1.6, 1.0])
    matrix[:3, 3] = -24.0
    made = isosurface(RADIUS - np.sqrt(x**2 + y**2 + z**2), matrix, 0.0)
    direction = made.points / np.linalg.norm(made.points, axis=1, keepdims=True)
    off = 0.8 * np.prod(np.sin(made.points / 8.0 + [0.4, 1.2, -0.6]), axis=1)
    return Surface((RADIUS + off[:, None]) * direction, made.triangles)


def test_edges_lie_on_the_ball_within_their_standard_deviations():
    surface = start()
    depth, sd, found = outer_edges(surface, scanned(), np.zeros(len(surface.points), bool))
    edge = surface.points - depth[:, None] * surface.normals
    error = np.linalg.norm(edge, axis=1)[found] - RADIUS
    assert found.mean() > 0.9
    assert np.abs(np.median(error)) < 0.06
    assert np.isnan(depth[~found]).all()
    sure, unsure = sd[found] < 0.08, sd[found] > 0.3
    assert np.sqrt(np.mean(error[sure] ** 2)) < 0.2
    assert np.sqrt(np.mean(error[unsure] ** 2)) > 2.0 * np.sqrt(np.mean(error[sure] ** 2))


def test_a_slice_that_hides_the_whole_cortex_shows_no_place_of_its_edge():
    surface = start()
    _, sd, found = outer_edges(surface, scanned(), np.zeros(len(surface.points), bool))
    top = surface.normals[:, 2] > 0.97  # a slice of 2.4 mm over a cortex of 1 mm
    bottom = surface.normals[:, 2] < -0.97  # over one of 4 mm
    assert not found[top].any()
    assert found[bottom].mean() > 0.9
    assert np.median(sd[bottom & found]) < 0.2


def test_without_thick_cortex_the_edge_is_half_way_to_the_half_maximum_and_less_certain():
    surface, volume = start(), scanned(1.0)
    excluded = np.abs(surface.normals[:, 2]) > 0.4
    depth, sd, found = outer_edges(surface, volume, excluded)
    model, half = (
        measure_cortex(surface, volume, Calibration.none(), method=method, excluded=excluded)
        for method in ("constant-density", "half-maximum")
    )
    both = found & (half.quality == VertexStatus.GOOD)
    middle = 0.5 * (model.periosteal_offset + half.periosteal_offset)
    assert both.mean() > 0.25
    np.testing.assert_allclose(depth[both], middle[both])
    assert np.all(sd[both] >= np.abs(depth - model.periosteal_offset)[both])


def test_excluded_points_have_no_edge():
    surface = start()
    excluded = surface.points[:, 0] > 0.0
    depth, sd, found = outer_edges(surface, scanned(), excluded)
    assert not found[excluded].any()
    assert np.isnan(depth[excluded]).all()
    assert np.isnan(sd[excluded]).all()


def test_the_exact_surface_of_a_ball_in_its_socket_does_not_leak():
    found = exact_surface(start(), scanned(), outer_edges).surface
    error = np.linalg.norm(found.points, axis=1) - RADIUS
    assert np.abs(error).mean() < 0.15
    assert np.percentile(np.abs(error), 95) < 0.5
    assert error.max() < 0.5 * GAP
    sd = found.arrays["expected_error"]
    assert np.abs(error).max() < 0.5
    assert 0.4 < np.sqrt(np.mean((error / sd) ** 2)) < 1.4
    label = labelled(found, scanned())
    assert np.isclose(np.count_nonzero(label.array) * VOXEL**2 * SLICE, 4 / 3 * np.pi * RADIUS**3, rtol=0.03)

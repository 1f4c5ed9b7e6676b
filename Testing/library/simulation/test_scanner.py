"""The simulated scanner against the physics."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.special import erf

from CorticalBoneMappingLib.calibration import parse_calibration
from CorticalBoneMappingLib.core.errors import SettingError, SurfaceError
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.simulation.hip.bone import Bone, Hip
from CorticalBoneMappingLib.simulation.scanner.depth import truth_at
from CorticalBoneMappingLib.simulation.scanner.dicom_writer import write_dicom_series
from CorticalBoneMappingLib.simulation.scanner.optics import correlated_noise, slice_matrix
from CorticalBoneMappingLib.simulation.scanner.scanner import simulate_scan
from CorticalBoneMappingLib.simulation.scanner.settings import ScannerSettings
from CorticalBoneMappingLib.simulation.scanner.voxelise import FineGrid, voxelise

TRABECULAR = 150.0


def trabecular(points, depth):
    return np.full(len(points), TRABECULAR)


def bone_of(distance, half_size, thickness=2.0, density=1000.0, step=0.5):
    """The bone where a function of points (inside positive) is above 0."""
    axes = [np.arange(-half - 2 * step, half + 2.01 * step, step) for half in half_size]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    level = distance(np.stack([x, y, z], axis=-1)).transpose(2, 1, 0)
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = [axis[0] for axis in axes]
    surface = isosurface(level, matrix, 0.0)
    full = np.ones(len(surface.points))
    surface = surface.with_arrays(cortical_thickness=thickness * full, cortical_density=density * full)
    return Bone(surface, trabecular)


def sphere(radius, **kinds):
    return bone_of(lambda p: radius - np.linalg.norm(p, axis=-1), (radius,) * 3, **kinds)


def torus_distance(points):
    ring = np.hypot(points[..., 0], points[..., 1]) - 9.0
    return 4.0 - np.hypot(ring, points[..., 2])


def cylinder_distance(points):
    return np.minimum(9.0 - np.hypot(points[..., 0], points[..., 1]), 14.3 - np.abs(points[..., 2]))


def hip_of(bone, side="right"):
    return Hip(bone, side, np.zeros(3), 10.0)


def fine_cells(bone, grid):
    """Contrast and occupancy on the whole grid, (z, y, x)."""
    sampled = voxelise(bone, grid, lambda points: np.zeros(len(points)))
    depth = grid.blocks[2] * grid.block[2]
    contrast = np.zeros((depth, grid.shape[1], grid.shape[0]))
    occupancy = contrast.copy()
    for z in range(grid.blocks[2]):
        layer = sampled.layer(z)
        if layer is not None:
            here = slice(z * grid.block[2], (z + 1) * grid.block[2])
            contrast[here, layer.y, layer.x] = layer.contrast
            occupancy[here, layer.y, layer.x] = layer.occupancy
    return contrast[: grid.shape[2]], occupancy[: grid.shape[2]]


def grid_around(half_size, cell=(0.2, 0.2, 1 / 3)):
    cell = np.array(cell)
    shape = np.ceil(2 * (np.array(half_size) + 2.0) / cell).astype(int)
    corner = -0.5 * shape * cell + [0.03, 0.07, -0.11]
    return FineGrid(corner, np.eye(3), cell, tuple(int(n) for n in shape))


@pytest.mark.parametrize("thickness", [0.3, 0.7, 2.0])
@pytest.mark.parametrize("cell", [(0.2, 0.2, 1 / 3), (0.3, 0.3, 0.25)])
def test_a_shell_keeps_its_mass_however_thin_it_is(thickness, cell):
    bone = sphere(10.0, thickness=thickness)
    grid = grid_around((10.0,) * 3, cell)
    contrast, occupancy = fine_cells(bone, grid)
    volume = bone.surface.volume_mm3
    radius = (volume * 3 / (4 * np.pi)) ** (1 / 3)
    shell = 4 / 3 * np.pi * (radius**3 - (radius - thickness) ** 3)
    cell_volume = np.prod(grid.cell_mm)
    excess = (contrast.sum() - TRABECULAR * occupancy.sum()) * cell_volume
    assert occupancy.sum() * cell_volume == pytest.approx(volume, rel=5e-4)
    assert excess == pytest.approx((1000.0 - TRABECULAR) * shell, rel=5e-3)


def test_both_boundaries_are_where_brute_force_puts_them_on_a_curved_concave_bone():
    thickness = 1.5
    bone = bone_of(torus_distance, (13.0, 13.0, 4.0), thickness=thickness, step=0.4)
    grid = grid_around((13.0, 13.0, 4.0))
    contrast, occupancy = fine_cells(bone, grid)
    beyond = (contrast - 1000.0 * occupancy) / (TRABECULAR - 1000.0)
    chosen = np.random.default_rng(2).choice(contrast.size, 60_000, replace=False)
    index = np.stack(np.unravel_index(chosen, contrast.shape)[::-1], axis=-1)
    parts = (np.arange(6) + 0.5) / 6
    offsets = np.stack(np.meshgrid(parts, parts, parts), axis=-1).reshape(-1, 1, 3)
    near = np.abs(np.abs(torus_distance(grid.to_ras((index + 0.5) * grid.cell_mm)) - 0.75) - 0.75) < 0.4
    index, chosen = index[near], chosen[near]
    depth = torus_distance(grid.to_ras((index + offsets) * grid.cell_mm))
    for found, boundary in ((occupancy, 0.0), (beyond, thickness)):
        error = found.ravel()[chosen] - (depth > boundary).mean(axis=0)
        # The mesh itself lies 0.4² / (8 · 4) = 0.005 mm inside: 0.02 of a cell.
        assert abs(error.mean()) < 0.01
        assert np.abs(error).mean() < 0.02
        assert np.abs(error).max() < 0.15


def test_the_depth_is_the_exact_distance_near_the_cortex_and_close_to_it_deep_inside():
    bone = bone_of(cylinder_distance, (9.0, 9.0, 14.3), thickness=1.0)
    random = np.random.default_rng(0)
    points = bone.surface.points[random.integers(0, len(bone.surface.points), 4000)]
    points = points + random.uniform(-1.5, 1.5, points.shape)
    truth = truth_at(bone.surface, points, 3.0, 3.0)
    rough = truth_at(bone.surface, points, 3.0, 0.8)
    exact = closest_points(bone.surface, points).distance
    assert np.abs(np.abs(truth.depth) - exact).max() < 0.01
    clear = np.abs(cylinder_distance(points)) > 0.3
    for found in (truth, rough):
        assert np.array_equal(found.depth[clear] > 0, cylinder_distance(points[clear]) > 0)
    near = (exact < 0.5) | (np.abs(truth.depth - 1.0) < 0.5)
    assert np.abs(rough.depth - truth.depth)[near].max() < 0.01
    assert np.abs(rough.depth - truth.depth).max() < 0.1
    deep = np.column_stack([random.uniform(-2, 2, (100, 2)), random.uniform(-4, 4, 100)])
    assert truth_at(bone.surface, deep, 1.0, 1.0).depth == pytest.approx(cylinder_distance(deep), abs=0.4)


def quiet(**changes):
    return ScannerSettings(
        **({"noise_hu": 0.0, "rods": False, "margin_mm": 6.0, "shaft_cut_mm": -6.0} | changes)
    )


def response(settings, distance, half_size):
    """What 1 mg/cm³ more of density everywhere in a solid bone adds to the scan, and the voxels' places."""
    solid = bone_of(distance, half_size, thickness=50.0, density=600.0)
    denser = replace(
        solid, surface=solid.surface.with_arrays(cortical_density=np.full(len(solid.surface.points), 1600.0))
    )
    one, two = simulate_scan(hip_of(solid), settings).volume, simulate_scan(hip_of(denser), settings).volume
    k, j, i = np.indices(one.array.shape)
    places = one.points_of(np.stack([i, j, k], axis=-1))
    return (two.array - one.array) / (1000.0 * settings.slope_hu), places


def test_an_edge_in_the_plane_is_blurred_by_the_gaussian_that_was_asked_for():
    sigma = 0.6
    shown, places = response(quiet(psf_sigma_mm=sigma), cylinder_distance, (9.0, 9.0, 14.3))
    radius = np.hypot(places[..., 0], places[..., 1])
    chosen = (np.abs(places[..., 2]) < 10) & (np.abs(radius - 9.0) < 2.5)
    (edge, width), _ = curve_fit(
        lambda r, edge, s: 0.5 * (1 - erf((r - edge) / (np.sqrt(2) * s))),
        radius[chosen],
        shown[chosen],
        p0=(9.0, 0.5),
    )
    assert width == pytest.approx(sigma, rel=0.015)
    # A round edge seems further in by σ² / 2R.
    assert edge == pytest.approx(9.0 - sigma**2 / 18.0, abs=0.015)


def test_the_slice_profile_is_a_rectangle_of_the_slice_thickness():
    settings = quiet(slice_spacing_mm=0.8, slice_thickness_mm=3.0)
    shown, places = response(settings, cylinder_distance, (9.0, 9.0, 14.3))
    axis = np.hypot(places[..., 0], places[..., 1]) < 5
    expected = np.clip(0.5 + (14.3 - np.abs(places[..., 2])) / 3.0, 0, 1)
    assert np.abs(shown - expected)[axis].max() < 0.02


@pytest.mark.parametrize("profile", ["trapezoid", "gaussian"])
def test_a_slice_profile_has_the_shape_and_width_that_were_asked_for(profile):
    cells = np.arange(-6.0, 6.0, 0.02) + 0.01
    row = slice_matrix(np.array([0.3]), cells, 2.0, profile)[0].astype(float)
    place = (cells - 0.3) / 2.0
    if profile == "gaussian":
        expected = np.exp(-4.0 * np.log(2.0) * place**2) * (np.abs(place) < 1.3)
    else:
        expected = np.clip((0.65 - np.abs(place)) / 0.3, 0.0, 1.0)
    assert row.sum() == pytest.approx(1.0, abs=1e-5)
    assert row / row.max() == pytest.approx(expected, abs=0.02)


def test_an_unknown_slice_profile_is_refused():
    with pytest.raises(SettingError, match="'bell': choose one of rectangle"):
        ScannerSettings(slice_profile="bell")


def test_an_edge_enhancing_kernel_overshoots_by_what_its_gaussians_say():
    shown, places = response(quiet(edge_enhancement=0.4), cylinder_distance, (9.0, 9.0, 14.3))
    radius = np.hypot(places[..., 0], places[..., 1])
    u = (9.0 - radius) / (np.sqrt(2) * 0.47)
    expected = 0.5 + 0.5 * (1.4 * erf(u) - 0.4 * erf(u / 2))
    chosen = (np.abs(places[..., 2]) < 10) & (np.abs(radius - 9.0) < 2.0)
    assert expected[chosen].max() > 1.03
    assert np.abs(shown - expected)[chosen].max() < 0.04


def test_thick_cortex_and_trabecular_bone_show_their_own_hu():
    bone = sphere(14.0, thickness=5.0)
    volume = simulate_scan(hip_of(bone), quiet(slope_hu=1.3, intercept_hu=-4.0)).volume
    directions = np.random.default_rng(1).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert volume.sample(11.5 * directions) == pytest.approx(1.3 * 1000.0 - 4.0, abs=1.0)
    assert volume.sample(5.0 * directions) == pytest.approx(1.3 * TRABECULAR - 4.0, abs=1.0)


def test_noise_has_the_deviation_and_correlation_that_were_asked_for():
    noise = correlated_noise(
        (40, 160, 160), np.array([1.0, 0.6, 0.6]), (0.3, 0.9, 0.6), np.random.default_rng(0)
    )
    assert noise.std() == pytest.approx(1.0, rel=0.01)
    for axis, step, length in ((0, 1.0, 0.3), (1, 0.6, 0.9), (2, 0.6, 0.6)):
        found = np.mean(noise * np.roll(noise, 1, axis=axis)) / noise.var()
        assert found == pytest.approx(np.exp(-(step**2) / (2 * length**2)), abs=0.01)


def test_a_scan_differs_from_its_noiseless_twin_by_noise_of_the_right_size_only():
    hip = hip_of(sphere(10.0))
    still, noisy = (
        simulate_scan(hip, quiet(seed=4)).volume,
        simulate_scan(hip, quiet(seed=4, noise_hu=20.0)).volume,
    )
    difference = (noisy.array - still.array)[still.array > -900]
    assert difference.std() == pytest.approx(20.0, rel=0.03)
    assert abs(difference.mean()) < 1.0


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_scan():
    hip = hip_of(sphere(8.0))
    first, again, other = (simulate_scan(hip, quiet(noise_hu=10.0, seed=seed)).volume for seed in (5, 5, 6))
    assert np.array_equal(first.array, again.array)
    assert np.array_equal(first.ijk_to_ras, again.ijk_to_ras)
    assert not np.allclose(first.ijk_to_ras, other.ijk_to_ras)


def test_the_label_map_covers_the_bone_where_it_lies_in_an_oblique_scan_of_a_turned_patient():
    ellipsoid = bone_of(
        lambda p: 8.0 * (1 - np.linalg.norm(p / [14.0, 8.0, 10.0], axis=-1)), (14.0, 8.0, 10.0)
    )
    settings = quiet(
        patient_rotation_deg=(10, -20, 30),
        patient_position_mm=(-90, 15, -600),
        grid_rotation_deg=(12, 7, -5),
        voxel_mm=0.7,
        slice_spacing_mm=0.9,
    )
    result = simulate_scan(hip_of(ellipsoid), settings)
    k, j, i = np.nonzero(result.labelmap.array == 1)
    places = result.labelmap.points_of(np.stack([i, j, k], axis=-1))
    surface = result.hip.femur.surface
    assert len(places) * 0.7**2 * 0.9 == pytest.approx(surface.volume_mm3, rel=0.005)
    assert places.mean(axis=0) == pytest.approx(np.array([-90, 15, -600]), abs=0.05)
    assert np.cov(places.T) == pytest.approx(
        np.cov(surface.points.T) * 0.6, abs=5.0
    )  # solid ellipsoid against its shell, roughly: same axes
    assert closest_points(surface, places).distance.max() < 8.1


def test_the_rods_under_the_patient_give_back_the_line_from_density_to_hu(tmp_path):
    settings = ScannerSettings(
        slope_hu=1.1, intercept_hu=-6.0, voxel_mm=0.8, slice_spacing_mm=2.0, margin_mm=5.0, shaft_cut_mm=0.0
    )
    result = simulate_scan(hip_of(bone_of(cylinder_distance, (9.0, 9.0, 14.3))), settings)
    result.phantom.write_table(tmp_path / "rods.csv")
    found = parse_calibration(f"rods:{tmp_path / 'rods.csv'}", result.volume)
    assert found.equivalent == "K2HPO4"
    assert found.slope == pytest.approx(1 / 1.1, rel=0.01)
    assert found.density(np.array([-6.0])) == pytest.approx(0.0, abs=2.5)


def test_beam_hardening_darkens_bone_amid_bone_and_leaves_the_rods(tmp_path):
    hip = hip_of(sphere(12.0, thickness=6.0))
    plain = simulate_scan(hip, quiet(rods=True))
    hard = simulate_scan(hip, quiet(rods=True, bone_hardening=0.1))
    loss = plain.volume.sample(np.array([[9.0, 0.0, 0.0]])) - hard.volume.sample(np.array([[9.0, 0.0, 0.0]]))
    assert 10.0 < loss[0] < 120.0
    rods = plain.phantom.rod_centres
    assert hard.volume.sample(rods) == pytest.approx(plain.volume.sample(rods), abs=1.0)


def test_the_dicom_series_reads_back_identical(tmp_path):
    settings = quiet(
        noise_hu=10.0,
        voxel_mm=0.9,
        slice_spacing_mm=2.0,
        slice_thickness_mm=2.5,
        grid_rotation_deg=(5, 0, 0),
        patient_position_mm=(-80.0, 10.0, 300.0),
    )
    volume = simulate_scan(hip_of(sphere(8.0)), settings).volume
    write_dicom_series(tmp_path, volume, seed=3)
    again = read_volume(tmp_path)
    assert np.array_equal(again.array, volume.array)
    assert again.ijk_to_ras == pytest.approx(volume.ijk_to_ras, abs=1e-4)
    assert again.modality == "CT"
    assert again.slice_thickness_mm == pytest.approx(2.5)


def test_impossible_settings_and_bones_are_refused_with_a_sentence():
    with pytest.raises(SettingError, match="voxel mm is 0"):
        ScannerSettings(voxel_mm=0.0)
    with pytest.raises(SettingError, match="noise hu is nan"):
        ScannerSettings(noise_hu=float("nan"))
    bone = sphere(5.0)
    opened = replace(bone.surface, triangles=bone.surface.triangles[:-1])
    with pytest.raises(SurfaceError, match="open edges"):
        simulate_scan(hip_of(replace(bone, surface=opened)), quiet())
    bare = replace(bone.surface, arrays={})
    with pytest.raises(SurfaceError, match="cortical_thickness"):
        simulate_scan(hip_of(replace(bone, surface=bare)), quiet())

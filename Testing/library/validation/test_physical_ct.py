"""The physical CT of the benchmarks against what can be worked out by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.simulation.hip.bone import Bone, Hip

sys.path.insert(0, str(Path(__file__).parents[3]))  # the installed library lacks the benchmarks

from validation.physical_ct.body import ROD_DENSITY, ROD_WATER
from validation.physical_ct.detector import Detector
from validation.physical_ct.files import cached
from validation.physical_ct.materials import (
    mass_attenuation,
    monochromatic,
    solution,
    tissue,
    tube,
)
from validation.physical_ct.projection import (
    Geometry,
    ImageProjector,
    add_ellipse,
    add_rows,
)
from validation.physical_ct.protocol import Protocol
from validation.physical_ct.raster import BoneRaster, Frame
from validation.physical_ct.reconstruction import BackProjector, filter_response
from validation.physical_ct.scan import scan

SMALL = Geometry(n_views=240, n_detectors=420)
WIDE = Geometry(n_views=360, n_detectors=1200)


@pytest.fixture(scope="module")
def disc_projector():
    return ImageProjector(SMALL, (12.1, -7.3))


def ellipses(geometry, *parts):
    total = np.zeros((2, geometry.n_views, geometry.n_detectors), dtype=np.float32)
    for centre, semi_axes, values in parts:
        add_ellipse(total, geometry, centre, semi_axes, 0.3, values)
    return total


def hu(geometry, kernel, x, y, *sinograms):
    slices = BackProjector(geometry, kernel, x, y).reconstruct(np.stack(sinograms))
    return 1000.0 * (slices.astype(float) - 1.0)


def disc_image(projector, centre, radius, pixels=300):
    """A disc drawn with partial volume on the projector's grid, centre in its own coordinates."""
    place = (np.arange(pixels) - pixels // 2) * projector.cell_mm
    distance = radius - np.hypot(place - centre[0], place[:, None] - centre[1])
    return np.clip(0.5 + distance / projector.cell_mm, 0.0, 1.0)


def sphere(radius, thickness, density, side=110):
    """A closed sphere with a uniform shell, as a bone whose inside holds 150 mg/cm³."""
    polar = np.linspace(0, np.pi, side + 1)[1:-1]
    turn = np.linspace(0, 2 * np.pi, 2 * side, endpoint=False)
    t, p = np.meshgrid(polar, turn, indexing="ij")
    ball = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1).reshape(-1, 3)
    n, first = 2 * side, np.arange(len(polar) - 1)[:, None] * 2 * side
    a, b = (first + np.arange(n)).ravel(), (first + (np.arange(n) + 1) % n).ravel()
    top, bottom = len(ball), len(ball) + 1
    ring, last = np.arange(n), len(ball) - n
    triangles = [np.stack([a, a + n, b], 1), np.stack([b, a + n, b + n], 1)]
    triangles.append(np.stack([np.full(n, top), ring, (ring + 1) % n], 1))
    triangles.append(np.stack([np.full(n, bottom), last + (ring + 1) % n, last + ring], 1))
    points = radius * np.concatenate([ball, [[0, 0, 1], [0, 0, -1]]])
    full = np.ones(len(points))
    surface = Surface(
        points,
        np.concatenate(triangles),
        {"cortical_thickness": thickness * full, "cortical_density": density * full},
    )
    return Bone(surface, lambda places, depth: np.full(len(places), 150.0))


def test_water_and_phosphate_describe_fat_and_muscle_at_every_energy():
    kev = np.linspace(40.0, 110.0, 31)
    for name, density in (("adipose", 0.95), ("muscle", 1.05)):
        water, mineral = tissue(name)
        mixed = water * mass_attenuation("water", kev) + mineral * mass_attenuation("K2HPO4", kev)
        np.testing.assert_allclose(mixed, density * mass_attenuation(name, kev), rtol=4e-3)


def test_a_120_kv_beam_shows_phosphate_as_scanners_do():
    # Scanners at 120 kV: mean energies of 60 to 75 keV and 1.2 to 1.5 HU per mg/cm³ of K2HPO4.
    beam = tube(120.0)
    assert 55.0 < beam.kev @ beam.weight < 75.0
    assert 1.2 < beam.hu_per_density < 1.5
    assert monochromatic(120.0).hu_per_density == pytest.approx(beam.hu_per_density, abs=1e-4)


def test_water_is_zero_hu_through_a_whole_body_in_a_polychromatic_beam():
    integrals = ellipses(WIDE, ((5.0, -3.0), (170.0, 120.0), (1.0, 0.0)))
    x, y = np.linspace(-110.0, 110.0, 41), np.linspace(-60.0, 60.0, 41)
    image = hu(WIDE, "standard", x, y, Detector(tube(120.0)).measure(*integrals))
    assert np.abs(image).max() < 2.0


def test_a_phosphate_solution_in_a_body_has_the_hu_of_its_attenuation():
    density, place = 200.0, np.linspace(-4.0, 4.0, 9)
    water, mineral = solution(density)
    sinograms = ellipses(
        WIDE,
        ((0.0, 0.0), (120.0, 120.0), (1.0, 0.0)),
        ((0.0, 0.0), (12.0, 12.0), (water - 1.0, mineral)),
    )
    # The beam's HU per density is for a dilute solution behind 240 mm of water; this one hardens it a little.
    for beam, tolerance in ((monochromatic(120.0), 1e-3), (tube(120.0), 0.03)):
        image = hu(WIDE, "soft", place, place, Detector(beam).measure(*sinograms))
        assert image.mean() == pytest.approx(density * beam.hu_per_density - 0.4, rel=tolerance)


def test_a_certificate_of_rods_calibrates_a_monochromatic_scan_exactly():
    # The calibration's formula, sigma_ref − 0.2174 and beta_ref + 999.6, applied to attenuations.
    beam = monochromatic(120.0)
    (water,), (mineral,) = beam.per_mm
    rod_hu = np.array(ROD_WATER) + np.array(ROD_DENSITY) * mineral / water - 1000.0
    sigma, beta = np.polyfit(ROD_DENSITY, rod_hu - ROD_WATER, 1)
    for density in (0.0, 300.0, 1100.0):
        w, k = solution(density)
        bone_hu = 1000.0 * (w * water + k * mineral) / water - 1000.0
        assert (bone_hu - beta - 999.6) / (sigma - 0.2174) == pytest.approx(density, abs=1e-6)


def test_a_drawn_disc_projects_like_its_formula(disc_projector):
    image = disc_image(disc_projector, (4.0, -3.0), 15.0)
    rows, first = disc_projector.project(image * (1.0 + 2.0j))
    drawn = np.zeros((SMALL.n_views, SMALL.n_detectors), dtype=np.float32)
    add_rows(drawn, rows.real, first)
    formula = ellipses(SMALL, ((16.1, -10.3), (15.0, 15.0), (1.0, 0.0)))[0]
    t = SMALL.detector_mm - (16.1 * np.cos(SMALL.angles) - 10.3 * np.sin(SMALL.angles))[:, None]
    smooth = np.abs(np.abs(t) - 15.0) > 2.0
    assert np.abs(drawn - formula)[smooth].max() < 0.02  # of 30 mm
    np.testing.assert_allclose(drawn.sum(axis=1), formula.sum(axis=1), rtol=1e-3)
    np.testing.assert_allclose(rows.imag, 2.0 * rows.real, atol=1e-3)


@pytest.mark.parametrize("kernel", ["soft", "standard", "bone"])
def test_an_edge_is_as_sharp_as_aperture_focal_spot_and_kernel_make_it(disc_projector, kernel):
    radius, centre = 20.0, (12.1, -7.3)
    sinogram = np.zeros((SMALL.n_views, SMALL.n_detectors), dtype=np.float32)
    add_rows(sinogram, *_real(disc_projector.project(disc_image(disc_projector, (0.0, 0.0), radius))))
    x, y = centre[0] + np.arange(15.0, 25.0, 0.21), centre[1] + np.linspace(-3.0, 3.0, 25)
    image = BackProjector(SMALL, kernel, x, y).reconstruct(sinogram[None])[0]
    depth = (radius - np.hypot(x - centre[0], (y - centre[1])[:, None])).ravel()
    # The edge of a straight half-plane blurred by the product of the transfer functions, brute force.
    frequency = (np.arange(4000) + 0.5) * 0.0005
    transfer = filter_response(kernel, frequency)
    transfer *= np.sinc(SMALL.aperture_mm * frequency) * np.sinc(SMALL.focal_spot_mm * frequency) ** 2
    transfer *= np.sinc(SMALL.pitch_mm * frequency) ** 2  # linear interpolation between samples
    waves = np.sin(2 * np.pi * np.outer(depth, frequency))
    expected = 0.5 + waves @ (transfer / (np.pi * frequency)) * 0.0005
    assert np.abs(image.ravel() - expected).max() < 0.02
    assert (expected.max() > 1.05) == (kernel == "bone")


def _real(projected):
    return projected[0].real, projected[1]


def test_the_turning_gantry_blurs_along_circles():
    integrals = ellipses(SMALL, ((0.0, 50.0), (2.0, 2.0), (1e-3, 0.0)))
    # So thin that the signal falls in proportion: its moments are those of the blur.
    shown = Detector(monochromatic(120.0)).measure(*integrals.astype(float))
    for view, turn in ((0, 50.0), (120, 0.0)):  # the disc moves along the detector by 50 and 0 mm a radian
        still, moved = integrals[0, view].astype(float), shown[view]
        spread = [
            np.average((SMALL.detector_mm - 50.0 * np.sin(SMALL.angles[view])) ** 2, weights=row)
            for row in (still, moved)
        ]
        swept = turn * np.pi / SMALL.n_views
        assert spread[1] - spread[0] == pytest.approx(swept**2 / 12.0, abs=2e-3)


def test_noise_has_the_predicted_standard_deviation():
    integrals = ellipses(SMALL, ((0.0, 0.0), (65.0, 45.0), (1.0, 0.0)))
    quiet, beam = Detector(tube(120.0)), tube(120.0)
    place = np.arange(-9.0, 9.0, 0.75)
    back = BackProjector(SMALL, "standard", place, place)
    photons = 1e6 * back.noise_variance(quiet.variance(*integrals), 0.0, 0.0) / 20.0**2
    random = np.random.default_rng(3)
    noisy = [Detector(beam, photons).measure(*integrals, random) for _ in range(4)]
    assert 1000.0 * back.reconstruct(np.stack(noisy)).std() == pytest.approx(20.0, rel=0.06)


def test_bone_hardens_a_polychromatic_beam_only():
    parts = [((0.0, 0.0), (120.0, 120.0), (1.0, 0.0))]
    water, mineral = solution(1100.0)
    for radius, sign in ((24.0, 1.0), (18.0, -1.0)):
        parts.append(((0.0, 0.0), (radius, radius), (sign * (water - 1.0), sign * mineral)))
    integrals = ellipses(WIDE, *parts)
    wall, bone_hu = np.array([20.7, 21.0, 21.3]), 1100.0 * tube(120.0).hu_per_density
    shown = [
        hu(WIDE, "soft", wall, np.zeros(1), Detector(beam).measure(*integrals)).mean()
        for beam in (monochromatic(120.0), tube(120.0))
    ]
    assert shown[0] == pytest.approx(bone_hu, rel=1e-3)
    # Rays along the wall are hardened by it and meet less attenuating bone: up to ten percent is known.
    assert 0.90 < shown[1] / shown[0] < 0.96


def test_a_shell_thinner_than_a_cell_keeps_its_mass():
    thickness, density, radius = 0.15, 1000.0, 12.0
    frame = Frame(np.array([3.0, -2.0, 1.0]))
    bone = sphere(radius, thickness, density).moved(np.eye(3), np.zeros(3), frame.origin)
    raster = BoneRaster(bone, frame, (-20.0, 20.0))
    cells = 0.2 * np.arange(-70, 71)
    drawn = [raster.draw(cells, cells, z) for z in np.arange(-13.0, 13.01, 0.2)]
    mass = sum(both[1].sum() for both in drawn if both is not None) * 0.2**3
    volume = sum(both[0].sum() for both in drawn if both is not None) * 0.2**3
    ball, core = (4.0 / 3.0 * np.pi * r**3 for r in (radius, radius - thickness))
    assert volume == pytest.approx(ball, rel=2e-3)
    assert mass - 150.0 * volume == pytest.approx((density - 150.0) * (ball - core), rel=0.02)


def test_a_thin_shell_keeps_its_mass_through_the_whole_scanner():
    # A long cylinder of 0.5 mm: the excess along a radius, integrated, is density times thickness.
    geometry, radius, thickness = SMALL, 14.0, 0.5
    water, mineral = solution(1000.0)
    integrals = ellipses(
        geometry,
        ((0.0, 0.0), (60.0, 60.0), (1.0, 0.0)),
        ((0.0, 0.0), (radius, radius), (water - 1.0, mineral)),
        ((0.0, 0.0), (radius - thickness, radius - thickness), (1.0 - water, -mineral)),
    )
    x = np.arange(8.0, 20.0, 0.1)
    beam = monochromatic(120.0)
    line = hu(geometry, "standard", x, np.zeros(1), Detector(beam).measure(*integrals))[0, 0]
    mass = (line * x).sum() * 0.1 / (radius - thickness / 2)  # the ring's circumference weighs each radius
    assert mass == pytest.approx(1000.0 * thickness * beam.hu_per_density, rel=0.03)


@pytest.mark.parametrize(
    ("profile", "full_width"), [("rectangle", 3.0), ("trapezoid", 4.2), ("triangle", 6.0)]
)
def test_the_slice_profile_has_its_thickness_at_half_maximum(profile, full_width):
    protocol = Protocol(slice_spacing_mm=3.0, slice_thickness_mm=3.0, profile=profile)
    offset = np.arange(-9, 10) * protocol.row_mm
    weight = protocol.row_weights(offset)
    assert weight.sum() == pytest.approx(1.0)
    assert np.interp(1.5, offset[9:], weight[9:]) == pytest.approx(0.5 * weight.max(), rel=0.05)
    wide = protocol.row_mm * np.count_nonzero(weight > 1e-6)
    assert full_width <= wide + 1e-9 <= full_width + 2 * protocol.row_mm


def test_a_scan_of_a_ball_shows_ball_and_rods_where_their_truth_says():
    hip = Hip(sphere(7.0, 2.5, 1000.0, side=50), "left", np.zeros(3), 7.0)
    protocol = Protocol(1.0, 1.5, 1.5, "trapezoid", noise_hu=0.0, beam_hardening=False, length_mm=21.0)
    made = scan(hip, protocol, 4, Geometry(n_views=160))
    array, slope = made.volume.array, tube(120.0).hu_per_density
    places = made.volume.points_of(np.argwhere(np.isfinite(array))[:, ::-1])
    distance = np.linalg.norm(places - made.hip.head_centre, axis=1).reshape(array.shape)
    clear = np.abs(distance - 7.0) > 1.2
    assert np.array_equal(made.labelmap.array[clear], (distance < 7.0)[clear])
    assert array[distance < 2.0].mean() == pytest.approx(150.0 * slope, abs=6.0)
    assert array[np.abs(distance - 5.75) < 0.3].mean() == pytest.approx(1000.0 * slope, rel=0.1)
    for rod, density, water in zip(made.rods, ROD_DENSITY, ROD_WATER):
        near = np.hypot(*(places - rod)[:, :2].T) < 4.0
        expected = water - 1000.0 + density * (slope + 0.2174)
        assert array.ravel()[near].mean() == pytest.approx(expected, abs=6.0)


def test_seeds_repeat_a_scan_and_move_and_renew_another_and_a_cache_separates_them(tmp_path):
    hip = Hip(sphere(8.0, 2.0, 1000.0, side=40), "right", np.zeros(3), 8.0)
    protocol, geometry = Protocol(1.5, 1.0, 1.0, noise_hu=20.0, length_mm=2.0), Geometry(n_views=40)

    def make(seed):
        return scan(hip, protocol, seed, geometry)

    def refuse():
        raise AssertionError("the scan is there already")

    first, other = (cached(tmp_path, hip, protocol, seed, lambda seed=seed: make(seed)) for seed in (1, 2))
    for same in (make(1), cached(tmp_path, hip, protocol, 1, refuse)):
        assert np.array_equal(first.volume.array, same.volume.array)
        assert np.array_equal(first.labelmap.array, same.labelmap.array)
        assert np.array_equal(first.volume.ijk_to_ras, same.volume.ijk_to_ras)
        assert np.array_equal(first.hip.femur.surface.points, same.hip.femur.surface.points)
        assert np.array_equal(first.rods, same.rods)
    # Both are voxels of one table, and the patient lies elsewhere in them.
    apart = other.volume.index_of(first.volume.ijk_to_ras[:3, 3])
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-6)
    moved = other.volume.index_of(other.hip.head_centre) - other.volume.index_of(first.hip.head_centre)
    assert np.all(np.abs(moved) > 1e-3)
    assert not np.array_equal(first.volume.array, other.volume.array)

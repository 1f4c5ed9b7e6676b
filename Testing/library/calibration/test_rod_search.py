from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.calibration import Calibration, parse_calibration
from CorticalBoneMappingLib.calibration.rods import find_rods
from CorticalBoneMappingLib.core.errors import CalibrationError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan
from CorticalBoneMappingLib.simulation.scanner.phantom import ROD_DENSITY, ROD_WATER, Phantom

SLOPE_HU, INTERCEPT_HU = 1.3, 4.0
PHANTOM = Phantom(np.array([20.0, -95.0, 5.0]), SLOPE_HU, INTERCEPT_HU)
QRM = (0.0, 100.0, 200.0)


def body(points):
    """HU of a thigh: air, fat, muscle, a tube of cortex full of marrow, and a table under it."""
    x, y = points[..., 0], points[..., 1]
    hu = np.full(x.shape, -1000.0)
    hu[np.hypot(x / 110, y / 75) < 1] = -100.0
    hu[np.hypot(x / 95, y / 60) < 1] = 50.0
    radius = np.hypot(x - 10, y - 5)
    hu[radius < 17] = 1300.0
    hu[radius < 12] = 60.0
    hu[np.abs(y + 112 - x**2 / 900) < 3] = -150.0
    return hu


def draw_rods(hu, points, centres, values, radius=9.0, block_hu=0.0):
    """Rods in a block of plastic, without blur."""
    middle = np.mean(centres, axis=0)
    block = (np.abs(points[..., 0] - middle[0]) < 75) & (np.abs(points[..., 1] - middle[1]) < 13)
    hu[block] = block_hu
    for centre, value in zip(centres, values):
        hu[np.hypot(points[..., 0] - centre[0], points[..., 1] - centre[1]) < radius] = value
    return hu


def scene(draw, spacing=(0.9, 0.9, 3.0), tilt=(0.0, 0.0, 0.0), noise_hu=30.0, slices=24, seed=5):
    """A CT of the thigh whose slices are turned by some degrees about R, A and S, with what `draw` adds."""
    axes = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix() @ np.diag([-1.0, -1.0, 1.0])
    count = np.array([240.0 / spacing[0], 250.0 / spacing[1], slices]).astype(int)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing
    matrix[:3, 3] = np.array([0.0, -25.0, 0.0]) - matrix[:3, :3] @ ((count - 1) / 2)
    volume = Volume(np.zeros(count[::-1], np.float32), matrix)
    k, j, i = np.indices(volume.array.shape)
    points = volume.points_of(np.stack([i, j, k], axis=-1))
    hu = draw(body(points), points)
    hu = hu + np.random.default_rng(seed).normal(0, noise_hu, hu.shape)
    return replace(volume, array=hu.astype(np.float32))


def mindways(hu, points):
    flat = PHANTOM.add_to(hu.ravel(), points.reshape(-1, 3), 0.7)
    return flat.reshape(hu.shape)


def mirrored(hu, points):
    return mindways(hu, points * [-1, 1, 1])


def qrm(hu, points):
    centres = [(-40.0 + 40.0 * n, -94.0) for n in range(3)]
    return draw_rods(hu, points, centres, (2.0, 142.0, 282.0))


@pytest.mark.parametrize(
    ("draw", "tilt", "spacing"),
    [
        (mindways, (0.0, 0.0, 0.0), (0.9, 0.9, 3.0)),
        (mindways, (9.0, -4.0, 8.0), (0.9, 0.9, 3.0)),
        (mindways, (0.0, 10.0, -5.0), (0.7, 0.7, 5.0)),
        (mirrored, (-5.0, 3.0, 0.0), (1.2, 1.2, 2.0)),
    ],
)
def test_five_rods_are_found_in_noise_at_any_slight_angle_and_from_either_end(draw, tilt, spacing):
    rods = find_rods(scene(draw, spacing, tilt), ROD_DENSITY, ROD_WATER)
    np.testing.assert_allclose(rods.hu, PHANTOM.rod_hu, atol=4.0)
    expected = PHANTOM.rod_centres * ([-1, 1, 1] if draw is mirrored else [1, 1, 1])
    np.testing.assert_allclose(np.array(rods.found_at)[:, :2], expected[:, :2], atol=1.2)
    calibration = Calibration.from_rods(rods)
    assert calibration.slope == pytest.approx(1 / SLOPE_HU, rel=0.01)
    assert calibration.intercept == pytest.approx(-INTERCEPT_HU / SLOPE_HU, abs=3.0)


def test_a_rod_of_water_in_plastic_like_water_is_found_by_its_neighbours():
    rods = find_rods(scene(qrm), QRM, equivalent="HA")
    np.testing.assert_allclose(rods.hu, (2.0, 142.0, 282.0), atol=2.0)
    assert Calibration.from_rods(rods).slope == pytest.approx(1 / 1.4, rel=0.01)


@pytest.mark.parametrize(
    ("draw", "density", "water"),
    [
        (lambda hu, points: hu, ROD_DENSITY, ROD_WATER),
        (lambda hu, points: hu, QRM, None),
        (mindways, QRM, None),
        (mindways, ROD_DENSITY[::2], ROD_WATER[::2]),
        (mindways, ROD_DENSITY[:4], ROD_WATER[:4]),
        (mindways, ROD_DENSITY[1:], ROD_WATER[1:]),
        (qrm, ROD_DENSITY, ROD_WATER),
    ],
    ids=[
        "no phantom",
        "no phantom, QRM",
        "another phantom",
        "every second rod",
        "the first four",
        "the last four",
        "not Mindways",
    ],
)
def test_rods_that_are_not_those_of_the_certificate_are_refused(draw, density, water):
    with pytest.raises(CalibrationError, match=r"no phantom of . rods with these densities was found"):
        find_rods(scene(draw), density, water)


def test_two_phantoms_are_refused_as_ambiguous():
    def both(hu, points):
        return qrm(qrm(hu, points), points + np.array([0.0, 27.0, 0.0]))

    with pytest.raises(CalibrationError, match="fits at two places; the search is ambiguous"):
        find_rods(scene(both), QRM)


def test_a_phantom_that_the_field_of_view_cuts_is_refused():
    volume = scene(mindways)
    rows = int(volume.index_of(PHANTOM.rod_centres[2])[1])
    with pytest.raises(CalibrationError, match="Is it in the field of view"):
        find_rods(replace(volume, array=volume.array[:, :rows]), ROD_DENSITY, ROD_WATER)


def test_two_rods_need_their_places():
    with pytest.raises(CalibrationError, match="at least three are needed, not 2"):
        find_rods(scene(qrm), (0.0, 100.0))


def test_a_certificate_without_hu_and_places_finds_the_rods_of_a_simulated_hip(tmp_path):
    settings = ScannerSettings(
        voxel_mm=1.2,
        slice_spacing_mm=5.0,
        noise_hu=30.0,
        slope_hu=1.45,
        shaft_cut_mm=60.0,
        grid_rotation_deg=(5.0, -6.0, 4.0),
        margin_mm=10.0,
    )
    made = simulate_scan(simulate_hip(31, "left"), settings)
    path = tmp_path / "certificate.csv"
    rows = "".join(f"{d},{w}\n" for d, w in zip(ROD_DENSITY, ROD_WATER))
    path.write_text("# equivalent: K2HPO4\ndensity,water\n" + rows, encoding="utf-8")
    calibration = parse_calibration(f"rods:{path}", made.volume)
    along = (np.array(calibration.fit.rods.found_at) - made.phantom.rod_centres)[:, :2]
    assert np.abs(along).max() < 1.5
    assert calibration.slope == pytest.approx(1 / 1.45, rel=0.01)
    without = replace(made.volume, array=made.volume.array[:, : made.volume.array.shape[1] * 2 // 3])
    with pytest.raises(CalibrationError, match="no phantom of 5 rods"):
        parse_calibration(f"rods:{path}", without)

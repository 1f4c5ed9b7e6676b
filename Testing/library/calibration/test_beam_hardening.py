"""Beam hardening by bone, against line integrals of a beam that the library does not know."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from CorticalBoneMappingLib.calibration import Calibration, parse_calibration
from CorticalBoneMappingLib.calibration.attenuation import Tube, mass_attenuation
from CorticalBoneMappingLib.calibration.body_section import (
    BodySection,
    ParallelBeam,
    Pelvis,
    water_and_mineral,
)
from CorticalBoneMappingLib.calibration.bone_hardening import (
    band_strength,
    correct_hardening,
    predict_hardening,
)
from CorticalBoneMappingLib.calibration.rods import Rods
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.dicom_series import read_series
from CorticalBoneMappingLib.pipeline.map_femur import without_hardening
from CorticalBoneMappingLib.pipeline.settings import MapSettings

PIXEL, SLICES, SIZE = 2.0, 8, (140, 200)  # 280 mm deep, 400 mm wide: the whole body
FEMUR_X, RADIUS = 88.0, (16.0, 24.0)  # of two rings of bone, one on either side
MUSCLE = 1.05
DENSITY, ROD_DENSITY, ROD = 1.0, 0.3, (88.0, -131.0)
KEV = np.array([45.0, 65.0, 90.0])  # a beam of three lines
SHARE = np.array([0.3, 0.45, 0.25])


@pytest.fixture(scope="module")
def rays():
    """Chords of circles and of an ellipse in closed form: water and mineral, (n_views, n_detectors)."""
    angle = np.pi * np.arange(240)[:, None] / 240
    t = (np.arange(260) - 129.5)[None] * PIXEL

    def chord(centre, half_width, half_depth=None):
        half_depth = half_depth or half_width
        offset = t - centre[0] * np.cos(angle) - centre[1] * np.sin(angle)
        reach = (half_width * np.cos(angle)) ** 2 + (half_depth * np.sin(angle)) ** 2
        return 2 * half_width * half_depth * np.sqrt(np.maximum(reach - offset**2, 0)) / reach

    rings = sum(chord((x, 0), RADIUS[1]) - chord((x, 0), RADIUS[0]) for x in (-FEMUR_X, FEMUR_X))
    rod = chord(ROD, 8.0)
    mineral = DENSITY * rings + ROD_DENSITY * rod
    water = MUSCLE * (chord((0, 0), 175.0, 117.5) - rings) + 0.9996 * (rings + rod) - 0.2174 * mineral
    return water, mineral


@pytest.fixture(scope="module")
def scans(rays):
    """The CT by three energies behind a water correction, and the femur's points."""
    per_mm = [0.1 * np.array([mass_attenuation(name, e) for e in KEV]) for name in ("water", "K2HPO4")]
    water, mineral = rays

    def signal(w, m):
        return -np.log(np.exp(-np.multiply.outer(w, per_mm[0]) - np.multiply.outer(m, per_mm[1])) @ SHARE)

    depth = np.linspace(0, 900, 3000)
    as_water = np.interp(signal(water, mineral), signal(depth, 0 * depth), depth)
    volume = _volume(_reconstruct(as_water))
    x = FEMUR_X + RADIUS[1] * np.cos(np.linspace(0, 2 * np.pi, 60))
    y = RADIUS[1] * np.sin(np.linspace(0, 2 * np.pi, 60))
    femur = np.concatenate([np.stack([x, y, np.full(60, z)], 1) for z in np.arange(0, 30, 4.0)])
    return volume, femur


def test_a_ring_of_bone_regains_its_density_against_a_rod_under_the_patient(scans):
    volume, femur = scans
    before = _ring(volume) / _rod(volume)
    done = correct_hardening(volume, femur, "right", 120.0)
    after = _ring(done.volume) / _rod(done.volume)
    assert done.applied
    assert before < 0.93
    assert after == pytest.approx(1.0, abs=0.015)
    assert abs(after - 1.0) < done.residual_relative_sd


def test_a_map_with_a_line_is_corrected_where_it_is_asked_for(scans):
    volume, femur = scans
    settings = MapSettings(calibration="linear:1,0", hardening="on", kvp=120.0)
    calibration = parse_calibration(settings.calibration, volume)
    done, after = without_hardening(volume, femur, "right", calibration, settings)
    assert done.applied
    assert _ring(done.volume) / _rod(done.volume) == pytest.approx(1.0, abs=0.015)
    assert after == calibration.for_corrected_hardening(done.residual_relative_sd)


def test_muscle_shows_the_bands_of_a_polychromatic_beam_and_of_one_energy_it_does_not(scans, rays):
    volume, femur = scans
    one_energy = _volume(_reconstruct(rays[0] + 1.6 * rays[1]))
    done = correct_hardening(volume, femur, "right", 120.0)
    left = correct_hardening(one_energy, femur, "right", 120.0)
    assert done.strength == pytest.approx(1.0, abs=0.35)
    assert left.strength == pytest.approx(0.0, abs=0.1)
    assert not left.applied
    assert left.volume is one_energy
    assert "already" in left.statement


def test_a_corrected_scan_no_longer_shows_the_bands(scans):
    volume, femur = scans
    done = correct_hardening(volume, femur, "right", 120.0)
    again = correct_hardening(done.volume, femur, "right", 120.0)
    assert abs(again.strength) < 0.35 * done.strength


def test_noise_in_muscle_stays_as_it_is(scans):
    volume, femur = scans
    noise = np.random.default_rng(3).normal(0, 15, volume.array.shape).astype(np.float32)
    noisy = replace(volume, array=volume.array + noise)
    quiet = correct_hardening(volume, femur, "right", 120.0, always=True).volume
    loud = correct_hardening(noisy, femur, "right", 120.0, always=True).volume
    added = (loud.array - quiet.array)[:, 60:80, 95:105]
    assert added.std() == pytest.approx(noise[:, 60:80, 95:105].std(), rel=0.02)


def test_without_bone_nothing_is_wrong():
    array = np.full((SLICES, *SIZE), -1000.0, dtype=np.float32)
    array[:, 20:120, 30:170] = 40.0
    section = BodySection.around(_volume(array[0]), np.array([[64.0, 0, 0], [64.0, 0, 9]]), "right", Pelvis())
    predicted = predict_hardening(section, Tube())
    assert np.abs(predicted.rest_hu).max() < 0.5
    assert predicted.bone_share == 0.0


def test_a_trace_of_mineral_is_as_bright_as_the_slope_of_its_ray():
    tube, water = Tube(120.0, 10.0), np.array([50.0, 200.0, 340.0])
    step = 2.0
    slope = (tube.water_equivalent(water, np.full(3, step)) - water) / step
    assert tube.mineral_brightness(water, np.zeros(3)) == pytest.approx(slope, rel=0.01)
    assert np.all(np.diff(slope) < 0)  # the deeper in water, the harder the beam, the darker the mineral


def test_a_tube_agrees_with_an_integral_over_its_spectrum_by_brute_force():
    kev = np.linspace(30.05, 99.95, 700)
    filtered = np.interp(
        np.log(kev),
        np.log([30, 40, 50, 60, 80, 100]),
        np.log([1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704]),
    )
    weight = (100.0 - kev) * np.exp(-0.8 * 2.699 * np.exp(filtered))
    water, mineral = (
        0.1 * np.array([mass_attenuation(name, e) for e in kev]) for name in ("water", "K2HPO4")
    )

    def signal(w, m):
        return -np.log(weight @ np.exp(-w * water - m * mineral) / weight.sum())

    depth = np.arange(200.0, 420.0, 0.5)
    expected = np.interp(signal(240.0, 30.0), [signal(d, 0.0) for d in depth], depth)
    found = Tube(100.0, 8.0).water_equivalent(np.array([240.0]), np.array([30.0]))
    assert found[0] == pytest.approx(expected, abs=0.3)


def test_water_alone_is_water_at_every_voltage():
    water = np.array([0.0, 33.0, 251.0, 480.0])
    for kvp in (80.0, 100.0, 140.0):
        assert Tube(kvp).water_equivalent(water, 0 * water) == pytest.approx(water, abs=0.02)


def test_projection_of_a_disc_has_its_chords_and_comes_back():
    beam = ParallelBeam((90, 110), PIXEL)
    y, x = np.mgrid[:90, :110] * PIXEL
    fine = np.clip(0.5 + (50.0 - np.hypot(x - 101.0, y - 87.0)) / PIXEL, 0, 1)
    rays = beam.project(fine[None])
    assert rays.max(axis=2) == pytest.approx(np.full((1, beam.n_views), 100.0), rel=0.03)
    assert rays.sum(axis=2) * PIXEL == pytest.approx(np.full((1, beam.n_views), np.pi * 50**2), rel=2e-3)
    back = beam.reconstruct(rays)[0]
    inner = np.hypot(x - 101.0, y - 87.0) < 42.0
    assert back[inner] == pytest.approx(np.ones(inner.sum()), abs=0.03)


def test_hu_of_a_solution_give_its_mineral_and_its_water():
    density, brightness = np.array([0.2, 0.7, 1.3]), 1.6
    hu = 1000.0 * (0.9996 + (brightness - 0.2174) * density - 1.0)
    water, mineral = water_and_mineral(hu, brightness)
    assert mineral == pytest.approx(density, rel=1e-6)
    assert water == pytest.approx(0.9996 - 0.2174 * density, rel=1e-6)


def test_a_cropped_field_is_completed_by_the_mirrored_hip(scans):
    volume, femur = scans
    cropped = replace(volume, array=volume.array[:, :, 110:], ijk_to_ras=_shifted(volume, 110))
    section = BodySection.around(cropped, femur, "right", Pelvis())
    _, mineral = section.tissues(np.zeros_like(section.hu), 1.6)
    own, other = (mineral[:, :, section.lateral_mm[0] * sign > 0].sum() for sign in (1, -1))
    assert other == pytest.approx(own, rel=0.1)  # the rod is not mirrored


def test_rods_keep_their_fit_and_lose_what_hardening_made_uncertain():
    rods = Rods((0.0, 100.0, 200.0, 400.0), (1.0, 139.0, 281.0, 560.0))
    before = Calibration.from_rods(rods)
    after = before.for_corrected_hardening(0.02)
    hu = np.array(1400.0)
    density = float(before.density(hu))
    fit = before.density_sd(hu) ** 2 - (0.06 * density) ** 2
    assert after.density_sd(hu) == pytest.approx(np.sqrt(fit + (0.02 * density) ** 2), rel=1e-6)
    assert not any("Rods under the patient" in warning for warning in after.warnings)


def test_slices_that_are_not_axial_are_left_alone(scans):
    volume, femur = scans
    turned = replace(volume, ijk_to_ras=volume.ijk_to_ras[[0, 2, 1, 3]])
    done = correct_hardening(turned, femur, "right")
    assert done.volume is turned
    assert "not axial" in done.statement


def test_the_statement_names_an_assumed_voltage(scans):
    volume, femur = scans
    assert "assumed" in correct_hardening(volume, femur, "right").statement
    found = correct_hardening(replace(volume, kvp=100.0), femur, "right")
    assert found.kvp == 100.0
    assert "100 kV" in found.statement
    assert "assumed" not in found.statement


def test_the_voltage_is_read_from_dicom(tmp_path):
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    tags = {"0008|0060": "CT", "0020|0037": "1\\0\\0\\0\\1\\0", "0018|0060": "110", "0020|000e": "1.2.3"}
    for number in range(3):
        image = sitk.GetImageFromArray(np.zeros((1, 8, 8), np.int16))
        for tag, text in (
            tags | {"0020|0032": f"0\\0\\{2 * number}", "0028|1052": "0", "0028|1053": "1"}
        ).items():
            image.SetMetaData(tag, text)
        writer.SetFileName(str(tmp_path / f"{number}.dcm"))
        writer.Execute(image)
    assert read_series(tmp_path).kvp == 110.0


def test_without_muscle_the_strength_of_the_bands_is_unknown(scans):
    volume, femur = scans
    bone_alone = replace(volume, array=np.where(volume.array > 200, volume.array, -1000.0))
    section = BodySection.around(bone_alone, femur, "right", Pelvis())
    assert np.isnan(band_strength(np.ones_like(section.hu), section)).all()
    done = correct_hardening(bone_alone, femur, "right", 120.0)
    seen = correct_hardening(volume, femur, "right", 120.0)
    assert done.applied
    assert "too little muscle" in done.statement
    assert done.residual_relative_sd > seen.residual_relative_sd


def _reconstruct(rays):
    """Filtered back-projection by a plain loop over views, HU on the pixels of the CT."""
    n = rays.shape[1]
    frequency = np.fft.rfftfreq(1024, PIXEL)
    window = np.cos(np.pi * frequency * PIXEL / 2)
    filtered = np.fft.irfft(np.fft.rfft(rays, 1024) * frequency * window, 1024)[:, :n]
    y, x = np.meshgrid(*((np.arange(size) - (size - 1) / 2) * PIXEL for size in SIZE), indexing="ij")
    total = np.zeros(SIZE)
    for view, angle in zip(filtered, np.pi * np.arange(len(rays)) / len(rays)):
        t = (x * np.cos(angle) + y * np.sin(angle)) / PIXEL + (n - 1) / 2
        total += np.interp(t, np.arange(n), view)
    return 1000.0 * (total * np.pi / len(rays) - 1.0)


def _volume(slice_hu):
    """Equal slices 4 mm apart; columns run to the patient's right, rows to the front."""
    array = np.repeat(np.asarray(slice_hu, dtype=np.float32)[None], SLICES, axis=0)
    matrix = np.diag([PIXEL, PIXEL, 4.0, 1.0])
    matrix[:2, 3] = [-(SIZE[1] - 1) / 2 * PIXEL, -(SIZE[0] - 1) / 2 * PIXEL]
    return Volume(array, matrix, "rings")


def _shifted(volume, columns):
    matrix = volume.ijk_to_ras.copy()
    matrix[0, 3] += columns * PIXEL
    return matrix


def _ring(volume):
    """HU per g/cm³ of the ring: all that its disc has above the muscle around it and in it."""
    y, x = np.meshgrid(*((np.arange(size) - (size - 1) / 2) * PIXEL for size in SIZE), indexing="ij")
    r = np.hypot(x - FEMUR_X, y)
    beside = volume.array[0][(r < 8) | ((r > 32) & (r < 36))].mean()
    area = np.pi * (RADIUS[1] ** 2 - RADIUS[0] ** 2)
    return (volume.array[0][r < 30] - beside).sum() * PIXEL**2 / (area * DENSITY)


def _rod(volume):
    """HU per g/cm³ of the rod, in its middle."""
    y, x = np.meshgrid(*((np.arange(size) - (size - 1) / 2) * PIXEL for size in SIZE), indexing="ij")
    inside = np.hypot(x - ROD[0], y - ROD[1]) < 4
    return volume.array[0][inside].mean() / ROD_DENSITY

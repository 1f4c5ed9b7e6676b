import json
from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.calibration import Calibration, parse_calibration
from CorticalBoneMappingLib.calibration.attenuation import (
    REFERENCE_TISSUES,
    effective_energy,
    hu_per_density,
    mass_attenuation,
)
from CorticalBoneMappingLib.calibration.beam_hardening import compare_with_patient
from CorticalBoneMappingLib.calibration.internal_calibration import fit_tissues, internal_calibration
from CorticalBoneMappingLib.calibration.tissues import TissueSample, find_tissues
from CorticalBoneMappingLib.core.errors import CalibrationError
from CorticalBoneMappingLib.core.volume import Volume


def thigh(air=-1000.0, adipose=-100.0, muscle=52.0, cortex=1450.0, noise_hu=20.0, spacing=(0.9, 0.9, 3.0)):
    """A thigh of known HU with a thick tube of cortex, trabecular bone in it, and a bright rod below it."""
    j, i = np.indices((190, 230)) * 0.9
    x, y = i - 103.0, j - 80.0
    hu = np.full(x.shape, air)
    hu[np.hypot(x / 95, y / 75) < 1] = adipose
    hu[np.hypot(x / 80, y / 60) < 1] = muscle
    hu[np.hypot(x, y) < 20] = cortex
    hu[np.hypot(x, y) < 12] = 150.0
    hu[np.hypot(x, y - 83) < 7] = 900.0
    matrix = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    noise = np.random.default_rng(2).normal(0, noise_hu, (14, *x.shape))
    return Volume((hu + noise).astype(np.float32), matrix, "thigh")


def test_tissues_are_found_with_their_hu():
    found = find_tissues(thigh())
    for name, hu in (("air", -1000.0), ("adipose", -100.0), ("muscle", 52.0), ("cortical bone", 1450.0)):
        assert found[name].hu == pytest.approx(hu, abs=3.0), name


def test_padding_is_not_air():
    padded = thigh()
    padded.array[:, :, :40] = -1024.0
    padded.array[:, :, 190:] = -1024.0
    assert find_tissues(padded)["air"].hu == pytest.approx(-1000.0, abs=3.0)
    cropped = replace(padded, array=np.where(padded.array < -500, -1024, padded.array).astype(np.float32))
    assert "air" not in find_tissues(cropped)


def test_bone_beside_metal_is_left_out():
    nailed = thigh()
    nailed.array[4:7, 85:95, 110:120] = 3071.0
    assert "cortical bone" not in find_tissues(nailed)


def test_mass_attenuation_is_that_of_the_tables():
    # NIST's values for skeletal muscle and water at 80 keV, and K2HPO4 at 60 keV as the sum of its elements.
    assert mass_attenuation("muscle", 80.0) == pytest.approx(0.1823)
    assert mass_attenuation("water", 80.0) == pytest.approx(0.1837)
    parts = {"K": (0.4490, 0.5678), "P": (0.1778, 0.3494), "O": (0.3674, 0.1907), "H": (0.0058, 0.3260)}
    assert mass_attenuation("K2HPO4", 60.0) == pytest.approx(sum(w * m for w, m in parts.values()), rel=2e-3)


def test_energy_and_brightness_are_each_others_inverse():
    for kev in (50.0, 65.0, 90.0):
        assert effective_energy(hu_per_density(kev)) == pytest.approx(kev, abs=0.2)


@pytest.mark.parametrize("kev", [58.0, 70.0, 82.0])
def test_tissues_of_one_energy_give_back_that_energys_line(kev):
    hu = {name: reference.hu(kev) for name, reference in REFERENCE_TISSUES.items()}
    fit = internal_calibration(thigh(hu["air"], hu["adipose"], hu["muscle"], hu["cortical bone"]))
    # The prior draws the energy towards 70 keV, within its uncertainty.
    assert abs(fit.energy_kev - kev) < fit.energy_sd_kev
    assert (fit.energy_kev - kev) * (70.0 - kev) >= -1.0
    assert abs(fit.slope - 1 / hu_per_density(kev)) < np.sqrt(fit.covariance[0][0])


@pytest.mark.parametrize("with_cortex", [True, False])
def test_the_stated_uncertainty_covers_patients_who_differ_from_the_reference(with_cortex):
    random = np.random.default_rng(8)
    errors = []
    for _ in range(400):
        kev = float(np.clip(random.normal(70, 9), 48, 100))
        gain, offset = random.normal(0, 5.0), random.normal(0, 3.0)
        tissues = []
        for name, reference in REFERENCE_TISSUES.items():
            if name != "cortical bone" or with_cortex:
                attenuation = reference.relative_attenuation(kev) * random.normal(1, reference.relative_sd)
                tissues.append(TissueSample(name, (1000 + gain) * attenuation - 1000 + offset, 5.0, 10.0))
        fit = fit_tissues(tuple(tissues))
        calibration = Calibration("internal", fit.slope, fit.intercept, "K2HPO4", fit, fit.covariance)
        hu = (1000 + gain) * (0.9996 + hu_per_density(kev)) - 1000 + offset  # of 1000 mg/cm³
        errors.append((calibration.density(hu) - 1000.0) / calibration.density_sd(hu))
    assert 0.92 <= np.mean(np.abs(errors) < 1.96) <= 0.985
    assert abs(np.mean(errors)) < 0.3  # the fit is linear about its best energy, the truth bends


def test_the_cortex_pull_is_the_share_of_a_dense_patient_that_is_lost():
    def density(excess):
        hu = {name: reference.hu(70.0) for name, reference in REFERENCE_TISSUES.items()}
        hu["cortical bone"] *= 1 + excess
        tissues = tuple(TissueSample(name, value, 5.0, 10.0) for name, value in hu.items())
        fit = fit_tissues(tissues)
        return fit.slope * hu["cortical bone"] + fit.intercept, fit.cortex_pull

    (low, _), (middle, pull), (high, _) = density(-0.01), density(0.0), density(0.01)
    assert (high - low) / (0.02 * middle) == pytest.approx(1 - pull, abs=0.08)
    assert 0.3 < pull < 0.8


def test_without_air_and_cortex_it_still_works_and_is_less_certain():
    whole = thigh()
    shown = replace(whole, array=whole.array[:, 60:110, 17:50])  # fat and muscle of one flank
    assert set(find_tissues(shown)) == {"adipose", "muscle"}
    found, less = Calibration.internal(whole), Calibration.internal(shown)
    assert less.density_sd(1300.0) > 1.3 * found.density_sd(1300.0)
    assert abs(less.density(1300.0) - found.density(1300.0)) < 2 * less.density_sd(1300.0)


def test_a_ct_without_fat_is_refused():
    whole = thigh()
    inner = replace(whole, array=whole.array[:, 60:115, 80:150])
    with pytest.raises(CalibrationError, match="not enough subcutaneous fat was found"):
        Calibration.internal(inner)


def test_values_that_are_not_hu_are_refused():
    with pytest.raises(CalibrationError, match=r"the tissue found as .* would fit the other tissues"):
        Calibration.internal(thigh(air=-915.0))


def test_internal_calibration_needs_a_ct_and_warns_of_its_references():
    with pytest.raises(CalibrationError, match="a CT is needed"):
        parse_calibration("internal")
    calibration = parse_calibration("internal", thigh())
    assert (calibration.kind, calibration.unit, calibration.equivalent) == ("internal", "mg/cm³", "K2HPO4")
    described = json.loads(json.dumps(calibration.describe(), allow_nan=False))
    assert described["fit"]["energy_sd_kev"] > 0
    assert len(described["covariance"]) == 2
    assert "own cortex is one of the references" in calibration.warnings[1]
    fair = parse_calibration("internal:without-cortex", thigh())
    assert fair.fit.cortex_pull == 0
    assert len(fair.warnings) == 1
    assert fair.density_sd(1300.0) > calibration.density_sd(1300.0)


def test_an_offset_between_patient_and_rods_shows_in_fat_and_muscle():
    kev = 72.0
    hu = {name: reference.hu(kev) for name, reference in REFERENCE_TISSUES.items()}
    slope = 1 / hu_per_density(kev)

    def check(shift):
        cupped = {name: value + shift for name, value in hu.items() if name != "air"}
        volume = thigh(-1000.0, cupped["adipose"], cupped["muscle"], cupped["cortical bone"])
        return compare_with_patient(volume, slope, 0.4 * slope)

    assert check(0.0).soft_tissue_offset_hu == pytest.approx(0.0, abs=2.0)
    assert check(0.0).energy_kev == pytest.approx(kev, abs=0.2)
    assert check(0.0).cortex_relative == pytest.approx(1.0, abs=0.01)
    assert check(0.0).warnings == ()
    assert check(-35.0).soft_tissue_offset_hu == pytest.approx(-35.0, abs=2.0)
    assert "off the value expected from the rods" in check(-35.0).warnings[0]

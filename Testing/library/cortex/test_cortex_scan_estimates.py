"""Estimates of blur and of other bone near by, on lines convolved by brute force."""

from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.cortex.model.blur import Blur
from CorticalBoneMappingLib.cortex.model.profile_features import find_features
from CorticalBoneMappingLib.cortex.model.profiles import Profiles
from CorticalBoneMappingLib.cortex.model.three_layers import fit_three_layers
from CorticalBoneMappingLib.cortex.scan.estimates import estimate_from_thick_cortex
from CorticalBoneMappingLib.cortex.scan.neighbour import without_neighbours
from CorticalBoneMappingLib.cortex.settings import CortexSettings

SOFT, CORTEX, TRABECULAR, NOISE = 20.0, 1150.0, 220.0, 12.0
FINE = 0.02
PLACES = FINE * (np.arange(2048) - 1024)
FREQUENCY = np.fft.rfftfreq(len(PLACES), FINE)
SIGMA, SLICE_MM = 0.5, 2.5


def gaussian(frequency):
    return np.exp(-2.0 * (np.pi * SIGMA * frequency) ** 2)


def unsharp_mask(frequency):
    """1.4 G(σ) − 0.4 G(2σ), which is not the kernel of the model."""
    return 1.4 * gaussian(frequency) - 0.4 * gaussian(2.0 * frequency)


def lines(thickness, across, in_plane=gaussian, flank=0.0, gap=None, plate=(1.5, TRABECULAR), seed=3):
    """One line a thickness and cosine; slices end in flanks of that share of their thickness.

    Beyond a gap lies other bone: a plate of cortex of some thickness, and what is behind it.
    """
    random = np.random.default_rng(seed)
    line = np.arange(-7.0, 13.0, 0.3)
    depth = line + random.uniform(-0.15, 0.15, (len(thickness), 1))
    values = np.empty_like(depth)
    for row, (t, n_z) in enumerate(zip(thickness, across, strict=True)):
        sharp = np.select([PLACES < 0, t > PLACES], [SOFT, CORTEX], TRABECULAR)
        if gap is not None:
            sharp[-gap > PLACES] = CORTEX
            sharp[-gap - plate[0] > PLACES] = plate[1]
        response = in_plane(FREQUENCY * np.sqrt(1 - n_z**2)) * np.sinc(FREQUENCY * SLICE_MM * n_z)
        response *= np.sinc(FREQUENCY * flank * SLICE_MM * n_z)
        blurred = np.fft.irfft(np.fft.rfft(sharp) * response, len(PLACES))
        values[row] = np.interp(depth[row], PLACES + 0.5 * FINE, blurred)
    values += random.normal(0.0, NOISE, values.shape)
    one = np.ones(len(depth))
    return Profiles(depth, values, np.ones(depth.shape, bool), across, one, SLICE_MM, 0.6, line)


def estimated(profiles):
    usable = np.ones(len(profiles), dtype=bool)
    return estimate_from_thick_cortex(profiles, find_features(profiles), usable, CortexSettings(), NOISE)


def thick_and_thin(**how):
    """Thick cortex in the scan plane, thin cortex oblique to it."""
    thickness = np.r_[np.linspace(3.0, 5.0, 150), np.linspace(0.5, 0.95, 150)]
    return lines(thickness, np.r_[np.full(150, 0.05), np.linspace(0.55, 0.9, 150)], **how)


def test_a_plain_gaussian_scan_of_rectangular_slices_is_taken_for_one():
    found = estimated(thick_and_thin())
    assert found.blur.sigma_mm == pytest.approx(SIGMA, rel=0.02)
    assert found.blur.enhancement == 0.0
    assert found.blur.sigma_across_mm == 0.0
    assert found.density == pytest.approx(CORTEX, rel=0.003)


def test_edge_enhancement_is_found_and_gives_the_right_density():
    found = estimated(thick_and_thin(in_plane=unsharp_mask))
    assert 0.35 < found.blur.enhancement < 0.75
    assert found.blur.sigma_mm > 1.1 * SIGMA
    assert found.density == pytest.approx(CORTEX, rel=0.01)


def test_soft_ends_of_the_slice_profile_are_found():
    """A flank of 0.4 S has the standard deviation 0.4 S / √12."""
    found = estimated(thick_and_thin(flank=0.4))
    assert found.blur.sigma_across_mm == pytest.approx(0.4 * SLICE_MM / np.sqrt(12.0), rel=0.25)


@pytest.mark.parametrize(("n_z", "gap"), [(0.1, 1.8), (0.6, 1.8), (0.85, 2.0)])
def test_other_bone_near_by_hardly_changes_the_thickness(n_z, gap):
    """Soft tissue is known from lines where no other bone is near."""
    thickness, across = np.linspace(0.6, 1.2, 200), np.full(200, n_z)
    near, alone = lines(thickness, across, gap=gap), lines(thickness, across)
    names = ("depth", "values", "valid", "across", "samples_per_voxel")
    both = replace(
        near, **{name: np.concatenate([getattr(near, name), getattr(alone, name)]) for name in names}
    )
    cleaned = without_neighbours(both, find_features(both), Blur(SIGMA), CORTEX, NOISE)
    assert np.mean(~cleaned.valid[:200]) > 0.05
    assert np.all(cleaned.valid[200:])

    def errors(profiles):
        fit = fit_three_layers(profiles, find_features(profiles), Blur(SIGMA), CORTEX, 3000.0, NOISE)
        error = fit.thickness.reshape(2, 200) - thickness
        return np.mean(np.abs(error[0])), np.mean(np.abs(error[1]))

    near_error, alone_error = errors(cleaned)
    assert near_error < alone_error + 0.008


def test_profiles_without_other_bone_stay_as_they_are():
    profiles = thick_and_thin()
    cleaned = without_neighbours(profiles, find_features(profiles), Blur(SIGMA), CORTEX, NOISE)
    assert cleaned is profiles


def test_the_back_of_a_thin_acetabulum_is_not_taken_for_the_femur():
    """Its plate is denser than the blurred cortex of the head, and its back lies within reach."""
    profiles = lines(np.full(40, 0.4), np.full(40, 0.1), gap=1.9, plate=(1.0, SOFT))
    moved = replace(profiles, depth=profiles.depth + 0.7)  # the mask reaches into the joint
    assert np.median(find_features(moved).outer_edge) == pytest.approx(0.7, abs=0.4)

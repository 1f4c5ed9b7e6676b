"""The slice thickness that an image shows, on lines convolved by brute force; and which one is chosen."""

from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.core.volume import GIVEN, Volume
from CorticalBoneMappingLib.cortex.scan.scan import Scan
from CorticalBoneMappingLib.cortex.scan.slice_thickness import (
    ASSUMED,
    HEADER,
    MEASURED,
    choose_slice_thickness,
    measure_slice_width,
)
from CorticalBoneMappingLib.cortex.settings import CortexSettings

from .test_cortex_scan_estimates import NOISE, SLICE_MM, lines


def scan(stated_mm=SLICE_MM, oblique=300, thick=150, **how):
    """Thick cortex in the scan plane and thinner cortex oblique to it, in slices of `SLICE_MM`."""
    random = np.random.default_rng(4)
    thickness = np.r_[np.linspace(3.0, 5.0, thick), random.uniform(0.5, 2.5, oblique)]
    across = np.r_[np.full(thick, 0.05), random.uniform(0.52, 0.95, oblique)]
    profiles = replace(lines(thickness, across, **how), slice_thickness_mm=stated_mm)
    everywhere = np.arange(len(thickness))
    return Scan(None, everywhere, profiles, np.ones(len(thickness), bool), CortexSettings(), NOISE)


def volume(spacing_mm, stated_mm=None, origin=None):
    matrix = np.diag([0.8, 0.8, spacing_mm, 1.0])
    empty = np.zeros((4, 4, 4), np.float32)
    return Volume(empty, matrix, slice_thickness_mm=stated_mm, slice_thickness_from=origin)


@pytest.mark.parametrize("stated", [0.6, 1.25, 2.0, SLICE_MM, 3.5, 6.0])
def test_the_width_is_found_whatever_is_stated(stated):
    seen = measure_slice_width(scan(stated))
    # 0.06 mm less than the truth: ideal lines lack the other blur that is taken off.
    assert seen.width_mm == pytest.approx(SLICE_MM, abs=0.12)
    assert abs(seen.width_mm - SLICE_MM) < 2.0 * seen.sd_mm
    assert seen.contradicts == (stated != SLICE_MM)


@pytest.mark.parametrize("flank", [0.0, 0.4, 1.0])
def test_soft_ends_of_the_profile_contradict_nothing(flank):
    """A flank of 1 makes a triangle, whose full width at half maximum is the thickness."""
    assert not measure_slice_width(scan(flank=flank)).contradicts


def test_few_oblique_lines_or_no_thick_cortex_give_no_width():
    assert measure_slice_width(scan(oblique=20)) is None
    assert measure_slice_width(scan(thick=10)) is None


def test_the_standard_deviation_is_that_of_repeats():
    widths = [measure_slice_width(scan(seed=seed)).width_mm for seed in range(8)]
    assert np.std(widths) < measure_slice_width(scan()).sd_mm < 0.2


def test_overlapping_slices_without_a_thickness_are_measured_with_what_the_image_shows():
    found = choose_slice_thickness(scan(1.0), volume(1.0))
    assert found.used_from == MEASURED
    assert found.used_mm == pytest.approx(SLICE_MM, abs=0.12)
    assert "1 mm apart" in found.warning
    assert f"{found.used_mm:.2f}" in found.warning


def test_a_spacing_that_is_the_thickness_is_kept_to_the_last_digit():
    found = choose_slice_thickness(scan(), volume(SLICE_MM))
    assert (found.used_mm, found.used_from, found.warning) == (SLICE_MM, ASSUMED, None)
    assert found.record["slice_thickness_seen_mm"] == pytest.approx(SLICE_MM, abs=0.12)


@pytest.mark.parametrize("origin", [None, "ct.json"])
def test_a_wrong_header_is_replaced_with_a_warning_that_names_both_numbers(origin):
    found = choose_slice_thickness(scan(6.0), volume(SLICE_MM, 6.0, origin))
    assert found.used_from == MEASURED
    assert "6 mm" in found.warning
    assert f"{found.used_mm:.2f}" in found.warning
    assert (origin or HEADER) in found.warning


def test_the_thickness_of_the_user_is_used_with_a_warning_of_a_contradiction():
    found = choose_slice_thickness(scan(6.0), volume(SLICE_MM, 6.0, GIVEN))
    assert (found.used_mm, found.used_from) == (6.0, GIVEN)
    assert "6 mm" in found.warning
    assert "2.4" in found.warning
    right = choose_slice_thickness(scan(), volume(1.0, SLICE_MM, GIVEN))
    assert (right.used_mm, right.warning) == (SLICE_MM, None)

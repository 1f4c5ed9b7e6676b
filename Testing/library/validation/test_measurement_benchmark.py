"""The accuracy benchmark counts right: errors, coverage, precision, a defect's depth, and its cache."""

from __future__ import annotations

import numpy as np
import pytest

from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from validation.measurement import cache
from validation.measurement.errors import pooled, row, shares
from validation.measurement.line import thickness_along
from validation.measurement.measure import Measured
from validation.measurement.plan import COARSE, FINE, PLAIN, PROTOCOLS, Case, plan
from validation.measurement.repeats import kept_depth, regional_cv
from validation.measurement.start_surface import imperfect
from validation.measurement.tables import beside_and_elsewhere
from validation.measurement.targets import outcomes


def scan_of(error_mm, thickness, *, sd_mm=None, person=1, counted=None, beside=None, thinning=0.0, region=1):
    """A scan whose method "m" errs by `error_mm` in thickness and not at all in density."""
    count = len(thickness)
    share = np.broadcast_to(thinning, count)
    true_thickness = thickness * (1.0 - share)
    true = {
        "thickness": true_thickness,
        "density": np.full(count, 1000.0),
        "mass": 100.0 * true_thickness,
        "trabecular": np.full(count, 100.0),
        "counted": np.ones(count, bool) if counted is None else counted,
        "beside": np.zeros(count, bool) if beside is None else beside,
        "region": np.broadcast_to(region, count),
        "area": np.ones(count),
        "thinning": share,
    }
    measured = true_thickness + error_mm
    found = {
        "thickness": measured,
        "density": true["density"],
        "mass": 100.0 * measured,
        "trabecular": true["trabecular"],
        "quality": np.where(np.isfinite(measured), VertexStatus.GOOD, VertexStatus.NO_CORTEX),
        "seconds": np.array(2.0),
    }
    if sd_mm is not None:
        found["thickness_sd"] = np.full(count, sd_mm)
    return Measured(Case("accuracy", FINE, PLAIN, person), true, {}, {"m": found})


def test_bias_spread_and_mean_absolute_error_are_of_the_bin_and_of_what_was_measured():
    thickness = np.array([0.9, 1.0, 1.1, 1.0, 2.5])
    errors = pooled([scan_of(np.array([0.1, -0.3, 0.2, np.nan, 9.0]), thickness)], "m")
    found = row(errors, "thickness", 0.8, 1.2)
    assert found["n"] == 4
    assert found["measured"] == pytest.approx(0.75)
    assert found["bias"] == pytest.approx(0.0)
    assert found["mae"] == pytest.approx(0.2)
    assert found["sd"] == pytest.approx(np.sqrt(0.14 / 3))
    assert shares(errors) == pytest.approx({"measured": 0.8, "no cortex": 0.2, "failed": 0.0, "other": 0.0})


def test_errors_of_mass_are_percent_of_the_truth_and_points_not_counted_do_not_count():
    counted = np.array([True, True, False])
    errors = pooled([scan_of(np.array([0.1, 0.2, 5.0]), np.array([1.0, 4.0, 1.0]), counted=counted)], "m")
    assert errors.by_measure["mass"] == pytest.approx([10.0, 5.0])


def test_intervals_of_a_true_standard_deviation_cover_95_percent():
    error = np.random.default_rng(0).normal(0.0, 0.2, 40_000)
    scans = [scan_of(error, np.full(40_000, 1.0), sd_mm=sd) for sd in (0.2, 0.1)]
    true, half = (row(pooled([scan], "m"), "thickness", 0.8, 1.2)["coverage"] for scan in scans)
    assert true == pytest.approx(0.95, abs=0.005)
    assert half == pytest.approx(0.673, abs=0.01)  # P(|z| < 0.98)


def test_an_error_beside_other_bone_is_compared_at_the_same_thickness():
    thickness = np.repeat([0.6, 4.0], 200)
    beside = np.zeros(400, bool)
    beside[:100] = True
    error = np.where(beside, 0.3, np.where(thickness < 1.0, 0.1, 0.7))
    found = beside_and_elsewhere(pooled([scan_of(error, thickness, beside=beside)], "m"))
    assert found == pytest.approx((0.3, 0.1))


def test_a_promise_is_held_against_the_worst_bin():
    thickness = np.repeat([0.5, 0.7, 1.0, 1.5, 2.5, 4.0], 50)
    good = outcomes(pooled([scan_of(np.full(300, 0.03), thickness)], "m"), FINE)
    of_mass = np.mean(3.0 / np.array([0.7, 1.0, 1.5, 2.5, 4.0]))  # %, between 0.6 and 5 mm
    assert [one.reached for one in good] == pytest.approx([0.03, 0.03, of_mass, 0.0, 6.0])
    assert all(one.met for one in good)
    biased = outcomes(pooled([scan_of(np.where(thickness == 2.5, -0.05, 0.0), thickness)], "m"), FINE)
    assert biased[1].reached == pytest.approx(0.05)
    assert not biased[1].met


def test_variation_of_repeat_scans_is_the_root_mean_square_over_regions():
    thickness, region = np.full(20, 2.0), np.repeat([1, 2], 10)
    shift = np.where(region == 1, 0.02, 0.0)
    scans = [scan_of(sign * shift, thickness, region=region) for sign in (-1, 1)]
    one = 100 * 0.02 * np.sqrt(2) / 2.0  # SD of two values 0.04 apart, over their mean of 2
    assert regional_cv(scans, "m", "thickness") == pytest.approx(one / np.sqrt(2))


def test_the_kept_depth_of_a_defect_is_the_share_of_the_true_difference():
    thickness, thinning = np.full(50, 1.0), np.linspace(0.0, 0.35, 50)
    intact = scan_of(np.full(50, 0.2), thickness)
    thinned = scan_of(0.2 + 0.4 * thinning, thickness, thinning=thinning)  # 40 % of it is missed
    assert kept_depth(intact, thinned, "m") == pytest.approx(60.0)


def test_the_error_of_the_mask_has_the_stated_size_and_leaves_other_bone_alone():
    matrix = np.diag([0.5, 0.5, 0.5, 1.0])
    array = np.zeros((120, 160, 24), np.uint8)
    array[:, :, :12] = 1
    array[:4, :4, 12:] = 2
    moved = imperfect(Volume(array, matrix), seed=3).array
    edge = 0.5 * (moved.sum(axis=2)[8:, 8:] - 12.0)
    assert edge.std() == pytest.approx(0.5, abs=0.15)
    assert abs(edge.mean()) < 0.35  # some dozen independent patches: 0.15 mm
    lag = 16  # 8 mm: the correlation there is exp(-1/2)
    between = np.corrcoef(edge[:, lag:].ravel(), edge[:, :-lag].ravel())[0, 1]
    assert between == pytest.approx(np.exp(-0.5), abs=0.2)
    assert not moved[array == 2].any()


def test_a_line_askew_crosses_more_cortex_of_a_flat_plate():
    axis = np.arange(-20.0, 20.5, 1.0)
    points = np.stack([*np.meshgrid(axis, axis), np.zeros((len(axis), len(axis)))], axis=-1).reshape(-1, 3)
    corner = (np.arange(len(axis) - 1)[:, None] * len(axis) + np.arange(len(axis) - 1)).ravel()
    across = corner + len(axis) + 1
    lower, upper = [np.stack([corner, a, b], axis=1) for a, b in ((corner + 1, across), (across, across - 1))]
    plate = Surface(points, np.concatenate([lower, upper]), {"cortical_thickness": np.full(len(points), 2.0)})
    angle = np.radians([0.0, 20.0, 40.0])
    normals = np.stack([np.sin(angle), np.zeros(3), np.cos(angle)], axis=1)
    found = thickness_along(plate, np.array([[0.3, 0.2, 0.5]] * 3), normals)
    assert found == pytest.approx(2.0 / np.cos(angle), abs=1e-6)


def test_a_result_is_made_once_and_again_when_a_module_it_imports_changes(tmp_path):
    (tmp_path / "a.py").write_text('"""Imports b."""\nfrom .b import x\n')
    (tmp_path / "b.py").write_text('"""A number."""\nx = 1\n')
    (tmp_path / "c.py").write_text("x = 1\n")
    made = []

    def result():
        key = cache.digest(cache.sources(tmp_path / "a.py"))
        return cache.kept(tmp_path / "kept", key, lambda: made.append(1) or {"x": np.arange(3)})

    result()
    (tmp_path / "c.py").write_text("x = 2\n")
    (tmp_path / "b.py").write_text('"""One."""\nx = 1  # comments and docstrings change no result\n')
    (tmp_path / "a.py").write_text('"""Needs b."""\nfrom .b import x\n')
    assert result()["x"].tolist() == [0, 1, 2]
    assert len(made) == 1
    (tmp_path / "b.py").write_text("x = 2\n")
    result()
    assert len(made) == 2


def test_the_sources_of_a_result_follow_imports_into_other_folders_and_need_the_first_module(tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "far").mkdir()
    (tmp_path / "near" / "a.py").write_text("from ..far.b import x\n")
    (tmp_path / "far" / "b.py").write_text("from . import c\nx = 1\n")
    (tmp_path / "far" / "c.py").write_text("y = 2\n")
    assert b"y = 2" in cache.sources(tmp_path / "near" / "a.py")
    with pytest.raises(FileNotFoundError, match=r"moved\.py: this module is missing"):
        cache.sources(tmp_path / "near" / "moved.py")


def test_every_protocol_is_scanned_in_five_femurs_of_both_sides_with_beam_hardening_on_and_off():
    cases = plan()
    assert len(set(cases)) == len(cases)
    for name in PROTOCOLS:
        ours = [case for case in cases if case.protocol == name and case.purpose == "accuracy"]
        usual = [case for case in ours if case.scanner == PLAIN and case.density_variation == 1.0]
        assert len({case.person for case in usual}) >= 5
        assert {case.side for case in usual} == {"left", "right"}
        assert {case.hardened for case in usual} == {True, False}
        assert len({case.person for case in ours if case.scanner == "physical"}) >= 2
    assert [case.protocol for case in plan(quick=True)] == [FINE, COARSE]

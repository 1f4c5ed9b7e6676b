"""A simulated trial: its people, the truth of its effect, and its files."""

import csv
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.simulation.hip.femur_shape import mean_shape
from CorticalBoneMappingLib.simulation.scanner.settings import ScannerSettings
from CorticalBoneMappingLib.simulation.trial import (
    PLACEBO,
    TREATED,
    Treatment,
    TrialSettings,
    hip_at,
    log_change,
    recruit,
    scanner_at,
)
from CorticalBoneMappingLib.study import simulated_trial
from CorticalBoneMappingLib.study.simulated_trial import write_trial

COARSE = ScannerSettings(voxel_mm=2.0, slice_spacing_mm=3.0, margin_mm=5.0, largest_cell_mm=0.5)


def test_both_arms_have_half_of_the_people_and_differ_in_the_mean_by_the_treatment_alone():
    settings = TrialSettings(people=20)
    people = recruit(settings)
    points = mean_shape().points[::500]
    changes = {
        arm: np.mean([log_change(settings, one, points, 36)[0] for one in people if one.arm == arm], axis=0)
        for arm in (PLACEBO, TREATED)
    }
    assert sum(one.arm == TREATED for one in people) == 10
    expected, _ = settings.treatment.log_effect(points, 36)
    # Centred losses are centred in percent, not in logarithms: the last digits differ.
    np.testing.assert_allclose(changes[TREATED] - changes[PLACEBO], expected, atol=2e-4)
    assert len({one.tissue.cortical_density for one in people}) == 20


def test_the_effect_is_the_published_one_and_grows_over_the_visits():
    truth = {month: Treatment().log_effect(mean_shape().points, month) for month in (0, 12, 24, 36)}
    assert np.all(truth[0][0] == 0.0)
    for earlier, later in ((0, 12), (12, 24), (24, 36)):
        assert np.all(truth[later][0] > truth[earlier][0])
    thickness, density = truth[36]
    np.testing.assert_allclose(thickness, 2.0 * density)
    lateral = np.linalg.norm(mean_shape().points - [23.0, 10.0, -14.0], axis=1).argmin()
    head = np.linalg.norm(mean_shape().points - [-50.5, 1.5, 23.3], axis=1).argmin()
    assert 100.0 * np.expm1((thickness + density)[lateral]) > 12.0
    assert 100.0 * np.expm1((thickness + density)[head]) < 3.0


def test_a_hip_after_months_is_the_same_bone_with_more_cortex():
    settings = TrialSettings(people=4)
    treated = next(one for one in recruit(settings) if one.arm == TREATED)
    before, after = (hip_at(settings, treated, "left", month).femur.surface for month in (0, 36))
    np.testing.assert_array_equal(before.points, after.points)
    ratio = after.arrays["cortical_thickness"] / before.arrays["cortical_thickness"]
    thickness, _ = log_change(settings, treated, before.arrays["mean_shape_point"], 36)
    np.testing.assert_allclose(ratio, np.exp(thickness))
    right = hip_at(settings, treated, "right", 0).femur.surface
    apart = np.linalg.norm(right.points - before.mirrored().points, axis=1)
    assert 0.2 < apart.mean() < 3.0  # a person's two femurs are alike, not mirror images


def test_visits_differ_in_position_noise_and_drift_and_the_hips_of_a_visit_share_the_drift():
    settings = TrialSettings(people=4)
    person = recruit(settings)[0]
    left, right, later = (
        scanner_at(settings, person, *visit) for visit in (("left", 0), ("right", 0), ("left", 12))
    )
    assert left.slope_hu == right.slope_hu != later.slope_hu
    assert len({one.seed for one in (left, right, later)}) == 3
    assert len({one.patient_position_mm for one in (left, right, later)}) == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"people": 7}, "even number"),
        ({"months": (12, 24)}, "begin with 0"),
        ({"months": (0, 24, 12)}, "count upwards"),
        ({"sides": ("both",)}, "left, right"),
        ({"loss_percent": float("nan")}, "loss"),
    ],
)
def test_impossible_trials_are_refused_in_a_sentence(given, words):
    with pytest.raises(SettingError, match=words):
        TrialSettings(**given)


def test_an_effect_that_is_not_a_number_is_refused():
    with pytest.raises(SettingError, match="effect"):
        Treatment(float("nan"))


def test_the_truth_on_the_average_femur_is_the_published_effect():
    rows = simulated_trial.true_effects(TrialSettings(people=4))[1]
    last = {row["region"]: row for row in rows if row["month"] == 36}
    assert last["whole femur"]["mass_percent"] == pytest.approx(5.4, abs=0.05)
    assert last["whole femur"]["thickness_share"] == pytest.approx(2.0 / 3.0)
    assert last["lateral trochanter"]["mass_percent"] == pytest.approx(12.0, abs=0.15)
    assert last["femoral head"]["mass_percent"] < 3.0


def test_a_trial_goes_on_where_it_was_broken_off_and_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated_trial, "_write_truth", lambda *_: None)  # tested above
    monkeypatch.setattr(simulated_trial, "recruit", lambda settings: recruit(settings)[:1])
    settings = TrialSettings(people=4, months=(0, 36), sides=("right",), scanner=COARSE)
    assert write_trial(tmp_path, settings) == 2
    with (tmp_path / "participants.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    path = tmp_path / rows[1]["path"]
    before = path.read_bytes()
    path.unlink()
    assert write_trial(tmp_path, settings) == 1
    assert path.read_bytes() == before
    assert read_volume(path).modality == "CT"
    assert (tmp_path / rows[1]["calibration"].removeprefix("rods:")).is_file()
    plan = tomllib.loads((tmp_path / "study.toml").read_text(encoding="utf-8"))
    assert [one["name"] for one in plan["analysis"]] == ["month 36"]
    with pytest.raises(SettingError, match="other settings"):
        write_trial(tmp_path, replace(settings, people=6))

"""Equivalence and conjunction as a study file asks for them, against effects that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface
from CorticalBoneMappingLib.study.analysis.collect import read_study_table
from CorticalBoneMappingLib.study.check import faults_of_questions
from CorticalBoneMappingLib.study.study_file import read_study_file
from CorticalBoneMappingLib.study.study_file.study_toml import study_file_text

from ..helpers.tiny_maps import UNITS, make_ball

GROUP, EFFECT, NOISE = 10, 0.10, 0.01
STUDY = """[study]
name = "Known effects"
table = "participants.csv"
results = "maps"
[columns]
reference = { arm = "placebo", sex = "man" }
[[analysis]]
name = "known"
measure = "cortical_thickness"
terms = ["arm", "sex"]
contrast = "denosumab − placebo"
model = "least-squares"
smoothing_fwhm_mm = 0
"""
EQUIVALENCE = "equivalence_margin_percent = 4\n"
CONJUNCTION = 'conjunction = ["denosumab − placebo", "woman − man"]\n'
BY_RATE = 'correction = "false-discovery-rate"\n'


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Maps of 40 people: the arm adds 10 % in the upper half, the sex 10 % where x > 0."""
    folder, ball = tmp_path_factory.mktemp("known"), make_ball()
    random = np.random.default_rng(3)
    rows, values = ["participant,visit,side,path,arm,sex,centre"], []
    for number in range(4 * GROUP):
        arm, sex = ("placebo", "denosumab")[number % 2], ("man", "woman")[number // 2 % 2]
        gain = EFFECT * upper(ball) * (arm == "denosumab") + EFFECT * front(ball) * (sex == "woman")
        thickness = 2.0 * (1.0 + gain + NOISE * random.standard_normal(len(gain)))
        arrays = dict.fromkeys(UNITS, thickness.astype(np.float32))
        (folder / "maps" / f"P{number}").mkdir(parents=True)
        path = folder / "maps" / f"P{number}" / "average_femur.vtp"
        write_surface(path, ball.with_arrays(units=UNITS, **arrays))
        rows.append(f"P{number},0,left,P{number},{arm},{sex},centre {number % 3}")
        values.append(arrays["cortical_thickness"].astype(float))
    (folder / "participants.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder, np.array(values)


def upper(ball):
    return ball.points[:, 2] > 0


def front(ball):
    return ball.points[:, 0] > 0.1


def answer(folder, settings):
    (folder / "study.toml").write_text(STUDY + settings, encoding="utf-8")
    assert main(["stats", str(folder / "study.toml"), "--out", str(folder / "answers"), "--quiet"]) == 0
    record = json.loads((folder / "answers" / "known" / "provenance.json").read_text(encoding="utf-8"))
    return read_surface(folder / "answers" / "known" / "effect.vtp").arrays, record


def fitted_by_hand(values):
    """Effects of arm and sex, their standard errors, and the mean of placebo, by the normal equations."""
    number = np.arange(4 * GROUP)
    arm, sex = number % 2, number // 2 % 2
    design = np.stack([np.ones(len(number)), arm, sex - sex.mean()], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ values
    variance = ((values - design @ coefficients) ** 2).sum(axis=0) / (len(number) - 3)
    errors = np.sqrt(np.diag(inverse)[:, None] * variance)
    return coefficients, errors


def benjamini_hochberg(p):
    ranked = np.argsort(p)
    raised = p[ranked] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[ranked] = [min(raised[place:].min(), 1.0) for place in range(len(p))]
    return q


def test_equivalence_is_found_where_nothing_happens_and_not_at_the_effect(maps):
    folder, _ = maps
    found, record = answer(folder, EQUIVALENCE)
    ball = make_ball()
    there = found["equivalence_significant"] == 1
    assert not there[upper(ball)].any()
    assert there[~upper(ball)].all()
    assert (found["significant"] == 1)[upper(ball)].all()
    (test,) = record["further_tests"]
    areas = ball.point_areas
    assert test["share_of_tested"] == pytest.approx(areas[~upper(ball)].sum() / areas.sum(), rel=1e-6)
    assert any("smaller than ±4 %" in note and "of the area tested" in note for note in record["notes"])


def test_equivalence_is_two_one_sided_tests_against_the_margin(maps):
    folder, values = maps
    found, _ = answer(folder, EQUIVALENCE + BY_RATE)
    (placebo, effect, _), (_, error, _) = fitted_by_hand(values)
    margin = 0.04 * placebo
    t = np.minimum(effect + margin, margin - effect) / error
    np.testing.assert_allclose(found["equivalence_t"], t, rtol=1e-3, atol=1e-3)
    p = np.maximum(
        stats.t.sf((effect + margin) / error, 4 * GROUP - 3),
        stats.t.cdf((effect - margin) / error, 4 * GROUP - 3),
    )
    np.testing.assert_allclose(found["equivalence_p_corrected"], benjamini_hochberg(p), rtol=5e-3)


def test_a_conjunction_is_found_only_where_both_effects_are(maps):
    folder, values = maps
    found, record = answer(folder, CONJUNCTION + BY_RATE)
    ball = make_ball()
    both = upper(ball) & front(ball)
    there = found["conjunction_significant"] == 1
    assert there[both].all()
    assert there[~both].mean() < 0.05
    (_, arm, sex), (_, arm_error, sex_error) = fitted_by_hand(values)
    one, other = arm / arm_error, sex / sex_error
    t = np.where(one * other > 0, np.sign(one) * np.minimum(np.abs(one), np.abs(other)), 0.0)
    np.testing.assert_allclose(found["conjunction_t"], t, rtol=1e-3, atol=1e-3)
    p = 2.0 * stats.t.sf(np.abs(t), 4 * GROUP - 3)
    np.testing.assert_allclose(found["conjunction_p_corrected"], benjamini_hochberg(p), rtol=5e-3, atol=1e-12)
    assert [test["name"] for test in record["further_tests"]] == ["conjunction"]


def test_without_these_keys_an_answer_has_neither(maps):
    folder, _ = maps
    found, record = answer(folder, BY_RATE)
    assert not [name for name in found if name.startswith(("equivalence", "conjunction"))]
    assert "further_tests" not in record


def test_a_study_file_with_these_keys_is_written_and_read_again(maps):
    folder, _ = maps
    (folder / "study.toml").write_text(STUDY + EQUIVALENCE + CONJUNCTION, encoding="utf-8")
    read = read_study_file(folder / "study.toml")
    (folder / "copy.toml").write_text(study_file_text(read), encoding="utf-8")
    assert read_study_file(folder / "copy.toml").analyses == read.analyses
    (analysis,) = read.analyses
    assert analysis.equivalence_margin_percent == 4.0
    assert analysis.conjunction == ("denosumab − placebo", "woman − man")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (EQUIVALENCE + 'correction = "TFCE"\n', "equivalence_margin_percent goes with a correction without"),
        (CONJUNCTION + 'correction = "permutation"\n', "conjunction goes with a correction without"),
        (EQUIVALENCE + 'outcome = "change"\n', "outcome = 'value' or 'percent-change'"),
        ("equivalence_margin_percent = 0\n", "does not lie between 0.01 and 100"),
        ('conjunction = ["denosumab − placebo"]\n', "name two or more"),
    ],
)
def test_what_does_not_go_together_is_refused_when_the_file_is_read(maps, settings, said):
    folder, _ = maps
    (folder / "wrong.toml").write_text(STUDY + settings, encoding="utf-8")
    with pytest.raises(SettingError, match=said):
        read_study_file(folder / "wrong.toml")


@pytest.mark.parametrize(
    ("contrast", "settings", "said"),
    [
        ("mean", EQUIVALENCE, "compares nothing with a reference"),
        (
            "denosumab − placebo",
            'conjunction = ["any difference in centre", "woman − man"]\n',
            "several effects",
        ),
        ("denosumab − placebo", 'conjunction = ["woman − man", "woman − child"]\n', "child"),
    ],
)
def test_an_unusable_contrast_is_named_before_any_map_is_read(maps, contrast, settings, said):
    folder, _ = maps
    text = STUDY.replace('contrast = "denosumab − placebo"', f'contrast = "{contrast}"') + settings
    text = text.replace('["arm", "sex"]', '["arm", "sex", "centre"]')
    (folder / "wrong.toml").write_text(text, encoding="utf-8")
    study = read_study_file(folder / "wrong.toml")
    ((where, sentence),) = faults_of_questions(study, read_study_table(study))
    assert where == "known"
    assert said in sentence

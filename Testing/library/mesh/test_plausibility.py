"""Plausibility is uniform over new people, and small for no usual femur, by coordinates or by residual."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy.stats import kstest, norm

from CorticalBoneMappingLib.atlas.cohort_shapes import shape_model_of, with_left_out
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.plausibility import LeftOut, Plausibility, excess
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel, similarity
from CorticalBoneMappingLib.mesh.shape_model_files import read_shape_model, write_shape_model
from CorticalBoneMappingLib.mesh.shape_modes import without_pose
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE, NECK_BASE, mean_shape
from CorticalBoneMappingLib.simulation.hip.population import draw_dimensions, individual_map

PEOPLE, NEW = 30, 3
COHORTS, FEW, NEW_TO_FEW = 8, 10, 8


@lru_cache(maxsize=1)
def _mean() -> Surface:
    return remesh(mean_shape(spacing_mm=2.0, end_z_mm=-105.0), n_points=400)


def _drawn(people: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.array([individual_map(draw_dimensions(random), random)(_mean().points) for _ in range(people)])


def _made_from(shapes: np.ndarray) -> ShapeModel:
    everywhere = np.ones(shapes.shape[:2], dtype=bool)
    return with_left_out(shape_model_of(shapes, everywhere, _mean()), shapes, everywhere)


@lru_cache(maxsize=1)
def _shapes() -> np.ndarray:
    return _drawn(PEOPLE + NEW, seed=11)


@lru_cache(maxsize=1)
def _model() -> ShapeModel:
    return _made_from(_shapes()[:PEOPLE])


@lru_cache(maxsize=1)
def _without() -> ShapeModel:
    return replace(_model(), left_out=None)


def test_over_people_that_a_model_was_not_made_from_plausibility_is_uniform():
    # What few people show of the population differs from cohort to cohort; over many cohorts all is uniform.
    found = []
    for cohort in range(COHORTS):
        people = _drawn(FEW + NEW_TO_FEW, seed=100 + cohort)
        model = _made_from(people[:FEW])
        found += [model.judge(person) for person in people[FEW:]]
    for name in ("share_beyond", "by_coordinates", "by_residual"):
        shares = [getattr(usual, name) for usual in found]
        assert kstest(shares, "uniform").pvalue > 0.01, name
    assert np.mean([usual.share_beyond < 0.05 for usual in found]) <= 0.1


def test_a_swelling_or_a_neck_too_thick_is_implausible_by_what_the_modes_leave():
    person = _shapes()[PEOPLE]
    along = (_mean().points - HEAD_CENTRE) @ (NECK_BASE - HEAD_CENTRE)
    along /= (NECK_BASE - HEAD_CENTRE) @ (NECK_BASE - HEAD_CENTRE)
    shares, normals = [], Surface(person, _mean().triangles).normals
    for at in (0.05, 0.5, 1.0):  # on the head, the neck and the trochanters
        point = np.abs(along - at).argmin()
        swelling = 8.0 * np.exp(-((person - person[point]) ** 2).sum(axis=1) / (2.0 * 6.0**2))
        shares.append(_model().judge(person + swelling[:, None] * normals[point]))
    neck = np.sin(np.pi * np.clip((along - 0.3) / 0.6, 0.0, 1.0))
    shares.append(_model().judge(person + 4.0 * neck[:, None] * normals))
    assert _model().judge(person).share_beyond > 0.05
    for usual in shares:
        assert usual.share_beyond < 0.01
        assert usual.by_residual < usual.by_coordinates
        assert usual.greatest_residual_mm > 2.0
    # By the coordinates alone, as a model judges that does not know what it leaves, the swellings are usual.
    assert np.median([usual.by_coordinates for usual in shares]) > 0.05


def test_a_shape_far_along_a_mode_is_implausible_by_its_coordinates():
    usual = _model().judge(_model().reconstruct([0.0, 7.0, 0.0]))
    assert usual.share_beyond < 0.01
    assert usual.by_coordinates < usual.by_residual


def test_a_shape_that_slides_along_its_surface_keeps_its_plausibility():
    person = _shapes()[PEOPLE + 1]
    surface = Surface(person, _mean().triangles)
    there = np.sin(person[:, [1, 2, 0]] / 15.0)
    slid = person + 1.5 * (there - (there * surface.normals).sum(axis=1)[:, None] * surface.normals)
    before, after = _model().judge(person), _model().judge(slid)
    assert np.linalg.norm(slid - person, axis=1).mean() > 1.0
    assert after.residual_mm < before.residual_mm + 0.25
    assert after.share_beyond > 0.1


def test_a_model_that_does_not_know_what_it_leaves_judges_by_the_coordinates_alone():
    person = _shapes()[PEOPLE]
    assert _without().judge(person) == Plausibility.of(_without().coordinates(person))
    assert _made_from(_shapes()[:5]).left_out is None


def test_both_femurs_of_a_person_are_left_out_together():
    shapes = np.concatenate([_shapes()[:10], _shapes()[:10] + np.array([0.0, 0.0, 30.0])])
    everywhere, persons = np.ones(shapes.shape[:2], dtype=bool), [str(row % 10) for row in range(20)]
    both = with_left_out(
        shape_model_of(shapes, everywhere, _mean(), persons=persons), shapes, everywhere, persons
    )
    single = _made_from(_shapes()[:10])
    assert both.left_out.people == 10
    assert both.left_out.residual_mm == pytest.approx(single.left_out.residual_mm, rel=0.02)
    np.testing.assert_allclose(both.left_out.explained, single.left_out.explained, atol=0.01)


def test_people_left_out_are_explained_less_than_the_people_themselves():
    assert _model().left_out.explained.sum() < _model().explained.sum() - 0.01
    assert _model().shares is _model().left_out.explained
    # So few modes are offered as covariates.
    count = _model().n_covariates
    assert 2 <= count <= 6
    assert _model().shares[count - 1] >= 0.05 > _model().shares[count:].max()
    none = replace(
        _model(), left_out=replace(_model().left_out, explained=np.full(len(_model().modes), 0.04))
    )
    assert none.n_covariates == 0


def test_each_modes_share_of_people_left_out_is_that_of_new_people():
    people = _drawn(COHORTS * FEW + 40, seed=13)
    new, said, true = people[COHORTS * FEW :], [], []
    for cohort in range(COHORTS):
        model = _made_from(people[cohort * FEW : (cohort + 1) * FEW])
        axes, _ = np.linalg.qr(model.modes[:3].reshape(3, -1).T)
        fits = [similarity(model.mean, person) for person in new]
        off = [(person - shift) @ turn / size - model.mean for person, (size, turn, shift) in zip(new, fits)]
        off = without_pose(np.array(off).reshape(len(new), -1), model.mean)
        true.append(((off @ axes) ** 2).sum(axis=0) / (off**2).sum())
        said.append(model.shares[:3])
    said, true = np.mean(said, axis=0), np.mean(true, axis=0)
    np.testing.assert_allclose(said, true, atol=0.1)
    assert said.sum() == pytest.approx(true.sum(), abs=0.06)


def test_the_smaller_of_two_correlated_shares_is_raised_to_its_own_share():
    random = np.random.default_rng(5)
    correlated = random.multivariate_normal([0.0, 0.0], [[1.0, 0.6], [0.6, 1.0]], size=3000)
    one = np.ones(3)
    known = LeftOut(10**6, one, 1.0, one, (0.3, 0.2), (0.1, 0.4), 0.6)
    found = np.array(
        [
            known.shares_beyond(np.array([np.exp(0.3 + 0.2 * first)]), np.exp(0.1 + 0.4 * second) * one, one)
            for first, second in correlated
        ]
    )
    np.testing.assert_allclose(found[:, :2], norm.sf(correlated), atol=1e-5)
    assert kstest(found[:, 2], "uniform").pvalue > 0.05
    independent = replace(known, correlation=0.0).shares_beyond(np.array([np.exp(0.7)]), one, one)
    assert independent[2] == pytest.approx(1.0 - (1.0 - min(independent[:2])) ** 2, rel=1e-6)


def test_what_is_known_from_few_people_makes_nothing_impossible():
    one = np.ones(3)
    few, many = (LeftOut(people, one, 1.0, one, (0.0, 0.2), (0.0, 0.2), 0.0) for people in (8, 1000))
    far = np.array([np.exp(0.8)])  # four standard deviations
    assert many.shares_beyond(far, one, one)[0] == pytest.approx(norm.sf(4.0), rel=0.2)
    assert few.shares_beyond(far, one, one)[0] > 0.002


def test_the_excess_of_an_ordinary_residual_is_the_same_whatever_part_is_known():
    residual = np.random.default_rng(6).standard_normal(40_000)
    areas, sd = np.ones(40_000), np.full(40_000, 2.0)
    assert excess(2.0 * residual, sd, areas) == pytest.approx(105.0 ** (1 / 8), rel=0.03)
    gaps = np.where(np.arange(40_000) < 20_000, 2.0 * residual, np.nan)
    assert excess(gaps, sd, areas) == pytest.approx(105.0 ** (1 / 8), rel=0.05)


def test_what_is_left_of_people_left_out_is_written_and_resampled_with_the_model(tmp_path):
    write_shape_model(tmp_path / "model.vtp", _model())
    back = read_shape_model(tmp_path / "model.vtp")
    person = _shapes()[PEOPLE + 2]
    assert back.judge(person).share_beyond == pytest.approx(_model().judge(person).share_beyond, abs=0.02)
    middles = _model().mean[_mean().edges[:300]].mean(axis=1)
    there = _model().resampled(Surface(middles, np.arange(300).reshape(-1, 3))).left_out
    np.testing.assert_allclose(
        there.sd_mm, _model().left_out.sd_mm[_mean().edges[:300]].mean(axis=1), atol=1e-9
    )
    write_shape_model(tmp_path / "older.vtp", _without())
    assert read_shape_model(tmp_path / "older.vtp").left_out is None

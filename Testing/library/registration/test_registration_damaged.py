"""Femurs as they come: cut, headless, worn, full of holes, meshed badly; truth is known for each of them."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.errors import RegistrationError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.plausibility import LeftOut, Plausibility
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel
from CorticalBoneMappingLib.pipeline.carry import shape_summary
from CorticalBoneMappingLib.registration import Registration, RegistrationSettings, register
from CorticalBoneMappingLib.registration.judging import warnings_on
from CorticalBoneMappingLib.registration.result import SurfaceDistances
from CorticalBoneMappingLib.registration.template import prepare

UNCHECKED = RegistrationSettings(check_side=False)
HEAD, LESSER = 1, 8


def _every_seventh(triangles: np.ndarray) -> np.ndarray:
    return np.arange(len(triangles))[:, None] % 7 == 0


@lru_cache(maxsize=1)
def _average() -> Surface:
    return load_average().surface


@lru_cache(maxsize=1)
def _model() -> ShapeModel:
    return load_average().shape_model


@lru_cache(maxsize=1)
def _person() -> Surface:
    """Somebody of the model's population with a smooth deformation of his own, on the average's mesh."""
    points = _model().reconstruct([1.0, -0.8, 1.2, 0.5, -0.7])
    own = np.sin(points[:, [1, 2, 0]] / [17.0, 23.0, 19.0])
    return Surface(1.05 * (points + own), _average().triangles)


def _registered(subject: Surface, **more: object) -> tuple[Registration, np.ndarray]:
    """Register a subject whose vertices are the person's, turned; give the error at covered vertices too."""
    turn = Rotation.random(random_state=7).as_matrix()
    turned = replace(subject, points=subject.points @ turn.T + 50.0)
    found = register(turned, _average(), "right", **({"shape_model": _model(), "settings": UNCHECKED} | more))
    error = np.linalg.norm(found.points - (_person().points @ turn.T + 50.0), axis=1)
    return found, error


@lru_cache(maxsize=1)
def _whole() -> tuple[Registration, np.ndarray]:
    return _registered(_person())


def _without(surface: Surface, gone: np.ndarray) -> Surface:
    """Without the triangles of some vertices."""
    return Surface(surface.points, surface.triangles[~gone[surface.triangles].any(axis=1)])


def test_with_a_shape_model_homologous_points_are_found_within_half_a_millimetre():
    found, error = _whole()
    assert error[found.covered].mean() < 0.5
    assert np.quantile(error[found.covered], 0.95) < 1.5
    assert found.folded == 0
    assert not found.look_at_it


def test_the_subjects_coordinates_are_those_that_it_was_made_from():
    found, _ = _whole()
    np.testing.assert_allclose(found.shape_coordinates[:3], [1.0, -0.8, 1.2], atol=0.5)
    usual = found.plausibility
    assert usual.mahalanobis == pytest.approx(np.linalg.norm(found.shape_coordinates))
    assert usual.expected == pytest.approx(np.sqrt(len(found.shape_coordinates)), rel=0.05)


def test_what_the_modes_leave_is_judged_and_changes_nothing_else():
    sd = np.full(len(_model().mean), 0.1)
    known = LeftOut(60, sd, 0.4, _model().explained, (1.0, 0.5), (0.6, 0.1), 0.3)
    judging = replace(_model(), left_out=known)
    found, _ = _registered(_person(), shape_model=judging)
    plain, _ = _whole()
    np.testing.assert_array_equal(found.points, plain.points)
    np.testing.assert_array_equal(found.shape_coordinates, plain.shape_coordinates)
    usual = found.plausibility
    assert usual.mahalanobis == plain.plausibility.mahalanobis
    # As of the person's true points, which registration does not know.
    true = judging.judge(_person().points, found.covered)
    assert usual.residual_mm == pytest.approx(true.residual_mm, abs=0.05)
    assert usual.residual_mm > 0.15
    assert usual.share_beyond < 0.01 < plain.plausibility.share_beyond
    summary = shape_summary(found, _model())
    assert summary["residual_mm"] == round(usual.residual_mm, 3)
    assert summary["plausibility"] == round(usual.share_beyond, 4)
    assert summary["explained"] == pytest.approx(_model().shares[: len(summary["explained"])], abs=1e-4)
    of_shipped = shape_summary(plain, _model())["residual_mm"]
    assert of_shipped == round(plain.plausibility.residual_mm, 3)


def test_an_unusual_shape_is_said_to_be_so_by_what_makes_it_unusual():
    near = SurfaceDistances(0.0, 0.0, 0.0, 0.0)
    by_residual = Plausibility(3.0, 3.8, 1e-4, 1.94, 7.6, 0.8, 0.3, 1e-5)
    by_coordinates = replace(by_residual, mahalanobis=9.0, by_coordinates=1e-5, by_residual=0.3)
    said = [warnings_on(1.0, 0.1, near, 0, 0.5, usual) for usual in (by_residual, by_coordinates)]
    assert said == [
        (
            "The shape is unusual: the modes of shape leave 1.9 mm of it, 7.6 mm at most, where 0.8 mm are "
            "common.",
        ),
        ("The shape is unusual: 9.0 standard deviations from the mean one, where 3.8 are common.",),
    ]
    assert warnings_on(1.0, 0.1, near, 0, 0.5, replace(by_residual, share_beyond=0.01)) == ()


def test_the_expected_error_is_large_where_the_error_is():
    found, error = _whole()
    expected, error = found.expected_error[found.covered], error[found.covered]
    assert np.all(np.isnan(found.expected_error[~found.covered]))
    sure = expected < np.quantile(expected, 0.25)
    unsure = expected > np.quantile(expected, 0.75)
    assert error[unsure].mean() > 1.5 * error[sure].mean()
    assert 0.3 < np.sqrt((error**2).mean() / (expected**2).mean()) < 2.0


def test_a_model_of_another_mesh_is_refused():
    other = replace(_model(), surface=Surface(_average().points[:-1], _average().triangles[:9]))
    with pytest.raises(RegistrationError, match="do not belong together"):
        register(_person(), _average(), "right", shape_model=other)


def test_an_open_headless_femur_is_registered_where_it_belongs_and_keeps_its_side():
    gone = _average().arrays["region"] == HEAD
    found, error = _registered(_without(_person(), gone), settings=RegistrationSettings())
    assert error[found.covered].mean() < 0.7
    assert not found.covered[gone].any()
    assert found.covered[~gone].mean() > 0.8


def test_an_osteophyte_does_not_turn_the_head():
    person = _person()
    seats = np.flatnonzero(_average().arrays["region"] == HEAD)[::150]
    points = person.points.copy()
    for seat in seats:
        near = np.exp(((person.points - person.points[seat]) ** 2).sum(axis=1) / (-2.0 * 3.0**2))
        points += 5.0 * near[:, None] * person.normals[seat]
    found, error = _registered(replace(person, points=points))
    away = np.linalg.norm(points - person.points, axis=1) < 0.2
    assert error[found.covered & away].mean() < 0.6
    assert np.quantile(error[found.covered & away], 0.95) < 2.0


def test_a_flattened_head_does_not_move_the_rest():
    person = _person()
    head = _average().arrays["region"] == HEAD
    top = person.points[head, 2].max()
    points = person.points.copy()
    points[head, 2] = np.minimum(points[head, 2], top - 6.0)
    found, error = _registered(replace(person, points=points))
    assert error[found.covered & ~head].mean() < 0.6


def test_where_a_surface_has_holes_the_average_has_no_counterpart():
    person = _person()
    seats = person.points[np.linspace(500, 5000, 3).astype(int)]
    gone = (np.linalg.norm(person.points[:, None] - seats, axis=2) < 6.0).any(axis=1)
    found, error = _registered(_without(person, gone))
    assert "3 holes" in found.warnings[0]
    assert error[found.covered].mean() < 0.6
    inside = (np.linalg.norm(person.points[:, None] - seats, axis=2) < 3.0).any(axis=1)
    assert not found.covered[inside].any()
    carried = found.to_average(np.ones(len(person.points)))
    np.testing.assert_array_equal(np.isfinite(carried), found.covered)


def test_an_open_end_of_the_shaft_is_not_a_hole():
    found = prepare(_without(_person(), _average().arrays["cut_end"] == 1))
    assert found.warnings == ()
    assert found.closed.is_closed()


def test_steps_of_voxels_hardly_matter():
    found, error = _registered(replace(_person(), points=np.round(_person().points)))
    assert error[found.covered].mean() < 0.9
    assert found.folded == 0


@pytest.mark.parametrize(
    ("damage", "warning"),
    [
        (lambda triangles: triangles[:, ::-1], "oriented inward"),
        (
            lambda triangles: np.where(np.arange(len(triangles))[:, None] % 7, triangles, triangles[:, ::-1]),
            "reversed",
        ),
    ],
)
def test_triangles_that_look_the_wrong_way_are_turned_round_with_a_warning(damage, warning):
    person = _person()
    found = prepare(replace(person, triangles=damage(person.triangles).copy()))
    assert warning in found.warnings[0]
    assert found.given.volume_mm3 == pytest.approx(person.volume_mm3)
    assert found.closed.is_closed()


def test_unjoined_triangles_and_separate_pieces_are_put_in_order():
    person = _person()
    loose = np.concatenate([person.points[person.triangles].reshape(-1, 3), person.points * 0.1])
    n = 3 * len(person.triangles)
    triangles = np.concatenate([np.arange(n).reshape(-1, 3), n + person.triangles])
    found = prepare(Surface(loose, triangles))
    assert "left out" in found.warnings[0]
    assert len(found.closed.points) == len(person.points)
    assert found.closed.is_closed()
    assert len(found.given.points) == len(loose)


def test_a_tangle_is_refused_in_words():
    person = _person()
    fins = person.triangles[:400].copy()
    fins[:, 2] = np.roll(fins[:, 2], 200)
    with pytest.raises(RegistrationError, match="more than two triangles meet"):
        prepare(replace(person, triangles=np.concatenate([person.triangles, fins])))


def _landmarks(points: np.ndarray) -> dict[str, np.ndarray]:
    region = _average().arrays["region"]
    return {
        "head_centre": points[region == HEAD].mean(axis=0),
        "lesser_trochanter": points[region == LESSER].mean(axis=0),
        "shaft_distal": points[region == 0].mean(axis=0),
    }


def test_landmarks_begin_the_search_on_a_left_femur_too():
    person = _person()
    turn = Rotation.random(random_state=3).as_matrix()
    points = (person.points * [-1.0, 1.0, 1.0]) @ turn.T
    left = Surface(points, person.triangles[:, ::-1])
    found = register(
        left,
        _average(),
        "left",
        landmarks=_landmarks(points),
        average_landmarks=_landmarks(_average().points),
        shape_model=_model(),
        settings=UNCHECKED,
    )
    assert np.linalg.norm(found.points - points, axis=1)[found.covered].mean() < 0.6


def test_landmarks_that_do_not_fit_a_femur_are_refused():
    person, names = _person(), ("head_centre", "lesser_trochanter", "shaft_distal")
    known = _landmarks(_average().points)

    def ask(landmarks: dict[str, np.ndarray]) -> None:
        register(person, _average(), "right", landmarks=landmarks, average_landmarks=known)

    with pytest.raises(RegistrationError, match="2 are known; three are needed"):
        ask({name: known[name] for name in names[:2]} | {"knee": np.zeros(3)})
    with pytest.raises(RegistrationError, match="lie in a line"):
        ask({name: np.array([0.0, 0.0, 30.0 * i]) for i, name in enumerate(names)})
    with pytest.raises(RegistrationError, match="Check their names"):
        ask(known | {"head_centre": known["head_centre"] + [0.0, 150.0, 0.0]})


def test_a_bone_like_its_own_mirror_image_gets_a_warning_about_its_side():
    average = _average()
    reflected = Surface(average.points * [1.0, -1.0, 1.0], average.triangles[:, ::-1])
    likeness = register(reflected, average, "right", settings=UNCHECKED)
    even = Surface(0.4 * average.points + 0.6 * likeness.points, average.triangles)
    found = register(even, average, "right")
    assert any("does not show its side" in warning for warning in found.warnings)
    assert found.look_at_it

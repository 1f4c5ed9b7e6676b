"""The truth that the registration benchmark judges by is true, and its errors count right."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.anatomy.frame import evenly_spread
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.simulation.hip.femur_shape import (
    HEAD_CENTRE,
    LESSER_TROCHANTER_TIP,
    mean_shape,
)
from CorticalBoneMappingLib.simulation.hip.variation import draw_variation, fields_covariance
from validation.registration import spot, subjects
from validation.registration.cutting import cut_off
from validation.registration.deformation import own_deformation
from validation.registration.errors import HEAD, MIDDLE, SHAFT, errors_of, part_of
from validation.registration.ours import Registered
from validation.registration.subjects import Subject, Template
from validation.registration.unseen import SEEN_TO_MM, gaussian, unseen_part


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """A mean shape of 2.5 mm, as dense as these tests need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subjects, "dense_mean", lambda: _MEAN)
        patch.setattr(subjects, "seen_mean", lambda: _MEAN)
        patch.setattr(spot, "dense_mean", lambda: _MEAN)
        yield


_MEAN = mean_shape(2.5)


def subject_of(side: str = "right") -> Subject:
    """A deformed, turned femur, its own mesh that of the mean shape, cut at 110 mm."""
    random = np.random.default_rng(5)
    mirror = np.array([-1.0 if side == "left" else 1.0, 1.0, 1.0])
    turn = Rotation.random(random_state=8).as_matrix()
    dense = (mirror * own_deformation(_MEAN, random)(_MEAN.points)) @ turn.T + [100.0, -50.0, 20.0]
    triangles = _MEAN.triangles if side == "right" else _MEAN.triangles[:, ::-1]
    point = (mirror * np.array([4.0, -4.0, -110.0])) @ turn.T + [100.0, -50.0, 20.0]
    cuts = np.array([[point, turn @ [0.0, 0.0, -1.0]]])
    return Subject("one", Surface(dense, triangles), side, False, dense, cuts, np.zeros_like(_MEAN.points))


def template() -> Template:
    return Template(_MEAN, _MEAN.points, np.zeros(len(_MEAN.points), dtype=bool))


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_template_at_its_true_place_has_no_error_and_no_fold(side):
    subject = subject_of(side)
    everything = np.ones(len(_MEAN.points), dtype=bool)
    found = errors_of(subject, template(), subject.surface, everything)
    assert found.distance.max() < 1e-6
    assert found.off_surface.max() < 1e-6
    assert found.folded == 0
    np.testing.assert_array_equal(found.expected, subject.exists(subject.dense_points))
    assert 0.5 < found.expected.mean() < 1.0


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_way_to_the_mean_shape_is_the_inverse_of_the_way_to_the_subject(side):
    subject = subject_of(side)
    random = np.random.default_rng(1)
    places = random.dirichlet(np.ones(3), 400)
    corners = _MEAN.points[_MEAN.triangles[random.integers(len(_MEAN.triangles), size=400)]]
    on_mean = np.einsum("nc,ncx->nx", places, corners)
    np.testing.assert_allclose(subject.on_mean(subject.truth(on_mean)), on_mean, atol=1e-6)


def test_an_error_is_the_distance_from_the_true_place_by_part_of_the_bone():
    subject = subject_of()
    part = part_of(_MEAN.points)
    shift = np.where(part == HEAD, 1.0, np.where(part == SHAFT, 3.0, 0.0))
    registered_template = replace(
        subject.surface, points=subject.surface.points + shift[:, None] * [0.6, 0.0, 0.8]
    )
    found = errors_of(subject, template(), registered_template, part != MIDDLE)
    assert found.mean(HEAD) == pytest.approx(1.0)
    assert found.mean(SHAFT) == pytest.approx(3.0)
    assert found.high() == pytest.approx(3.0)
    assert part_of(HEAD_CENTRE[None])[0] == HEAD
    assert part_of(LESSER_TROCHANTER_TIP[None])[0] == MIDDLE


def test_a_triangle_turned_inside_out_is_counted_as_folded():
    subject = subject_of()
    triangles = subject.surface.triangles.copy()
    triangles[[10, 500]] = triangles[[10, 500], ::-1]
    everything = np.ones(len(_MEAN.points), dtype=bool)
    assert (
        errors_of(subject, template(), replace(subject.surface, triangles=triangles), everything).folded == 2
    )


def test_a_cut_bone_is_closed_flat_and_ends_at_the_plane():
    tilted = np.array([0.3, 0.1, -1.0]) / np.linalg.norm([0.3, 0.1, -1.0])
    cut = cut_off(_MEAN, np.array([3.0, -3.0, -80.0]), tilted)
    height = (cut.points - [3.0, -3.0, -80.0]) @ tilted
    assert cut.is_closed()
    assert height.max() == pytest.approx(0.0, abs=0.01)
    kept = (_MEAN.points - [3.0, -3.0, -80.0]) @ tilted < -0.1
    assert closest_points(cut, _MEAN.points[kept]).distance.max() < 0.01
    straight = cut_off(_MEAN, np.array([0.0, 0.0, -80.0]), np.array([0.0, 0.0, -1.0]))
    assert straight.volume_mm3 == pytest.approx(mean_shape(2.5, end_z_mm=-80.0).volume_mm3, rel=0.01)


def test_the_own_deformation_folds_nothing_and_is_of_millimetres():
    for seed in range(3):
        moved = own_deformation(_MEAN, np.random.default_rng(seed))(_MEAN.points)
        before, after = _MEAN, replace(_MEAN, points=moved)
        assert after.volume_mm3 == pytest.approx(before.volume_mm3, rel=0.25)
        corners = np.stack([surface.points[surface.triangles] for surface in (before, after)])
        facing = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
        assert np.einsum("ij,ij->i", facing[0], facing[1]).min() > 0.0
        step = np.linalg.norm(moved - _MEAN.points, axis=1)
        assert 0.5 < step.mean() < 5.0


def test_a_translation_is_seen_and_a_turn_of_a_ball_is_not():
    ball = even_ball()
    alike = gaussian(1e4, 1.0)  # all points move alike
    shift = np.array([0.5, -0.3, 0.2])
    moved = unseen_part(lambda points: np.broadcast_to(shift, points.shape), alike, ball)
    assert np.linalg.norm(moved, axis=1).max() < 0.03

    def turns(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return 0.01 * one @ other.T  # of fields that are linear in the place

    angle = np.array([0.02, 0.01, -0.03])
    left = unseen_part(lambda points: np.cross(angle, points), turns, ball)
    np.testing.assert_allclose(left, np.cross(angle, ball.points), atol=1e-9)


def test_the_unseen_part_is_as_large_as_its_conditional_variance():
    rough = gaussian(6.0, 1.0)
    ball, random = even_ball(), np.random.default_rng(4)
    points, normals = ball.points, ball.normals
    alike = rough(points, points)
    root = np.linalg.cholesky(alike + 1e-9 * np.eye(len(points)))
    across = alike * (normals @ normals.T)
    expected = np.zeros(len(points))
    for axis in range(3):
        known = alike * normals[:, axis]
        weights = np.linalg.solve(across + SEEN_TO_MM**2 * np.eye(len(points)), known.T).T
        expected += 1.0 - 2.0 * (weights * known).sum(axis=1) + (weights @ across * weights).sum(axis=1)
    found = []
    for _ in range(150):
        drawn = root @ random.standard_normal(points.shape)
        found.append((unseen_part(lambda _, drawn=drawn: drawn, rough, ball) ** 2).sum(axis=1))
    assert np.mean(found) == pytest.approx(expected.mean(), rel=0.05)


def test_error_without_a_trace_and_the_rest_are_measured_from_the_seen_place():
    subject = subject_of()
    along = np.cross(_MEAN.normals, [0.3, 1.0, 0.2])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    slid = replace(subject, unseen=0.5 * along)
    everything = np.ones(len(_MEAN.points), dtype=bool)
    found = errors_of(slid, template(), subject.surface, everything)
    assert found.distance.max() < 1e-6
    assert np.median(found.unseen) == pytest.approx(0.5, abs=0.1)
    np.testing.assert_allclose(found.rest, found.unseen)
    at_seen = replace(subject.surface, points=slid.seen_truth(_MEAN.points))
    found = errors_of(slid, template(), at_seen, everything)
    assert found.rest.max() < 1e-6
    np.testing.assert_allclose(found.distance, found.unseen)
    back = slid.seen_on_mean(slid.seen_truth(_MEAN.points))
    assert np.median(np.linalg.norm(back - _MEAN.points, axis=1)) < 0.1


def test_the_covariance_of_the_simulated_fields_is_theirs():
    places = _MEAN.points[::700]
    drawn = np.array([draw_variation(np.random.default_rng(seed)).fields(places) for seed in range(400)])
    found = np.einsum("pix,pjx->ij", drawn, drawn) / (3 * len(drawn))
    expected = fields_covariance(places, places)
    np.testing.assert_allclose(found, expected, atol=0.12 * expected.max())


def even_ball() -> SimpleNamespace:
    """Points of a ball of 20 mm, evenly spread, and their exact normals."""
    normals = evenly_spread(300)
    return SimpleNamespace(points=20.0 * normals, normals=normals)


def test_a_spot_keeps_its_depth_if_all_agree_and_loses_what_sliding_apart_makes_it_lose():
    place, sigma = "greater trochanter, lateral", spot.FWHM_MM / np.sqrt(8.0 * np.log(2.0))
    subject = subject_of()
    seat = np.linalg.norm(
        subject.surface.points - subject.truth(np.array([spot.PLACES[place]])), axis=1
    ).argmin()
    along = np.cross(subject.surface.normals[seat], [0.3, 1.0, 0.2])
    along /= np.linalg.norm(along)
    depths = []
    for slide_mm in (0.0, 2.0):
        registered_template = [_registered(subject, step * along) for step in (slide_mm, -slide_mm)]
        depth, count = spot.kept_depths([subject, subject], registered_template, template())[place]
        assert count == 2
        depths.append(depth)
    assert depths[0] > 0.95  # the nearest vertex of this coarse mesh is 1 mm away
    assert depths[1] / depths[0] == pytest.approx(np.exp(-(2.0**2) / (2.0 * sigma**2)), abs=0.015)


def _registered(subject: Subject, shift: np.ndarray) -> Registered:
    """The template at its true place, and all of it a little aside."""
    surface = replace(subject.surface, points=subject.surface.points + shift)
    covered = np.ones(len(surface.points), dtype=bool)
    return Registered(surface, covered, np.eye(4), np.zeros(len(covered)), False, 0, 0.0, 0.0)

"""The truth that the registration benchmark judges by is true, and its errors count right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.simulation.hip.femur_shape import (
    HEAD_CENTRE,
    LESSER_TROCHANTER_TIP,
    mean_shape,
)
from validation.registration import spot, subjects
from validation.registration.cutting import cut_off
from validation.registration.deformation import own_deformation
from validation.registration.errors import HEAD, MIDDLE, SHAFT, errors_of, part_of
from validation.registration.ours import Registered
from validation.registration.subjects import Subject, Template


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """A mean shape of 2.5 mm, as dense as these tests need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subjects, "dense_mean", lambda: _MEAN)
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
    return Subject(
        "one", Surface(dense, triangles), side, False, dense, np.array([[point, turn @ [0.0, 0.0, -1.0]]])
    )


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

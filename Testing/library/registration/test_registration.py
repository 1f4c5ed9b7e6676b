"""A femur finds its place on the average femur, from any pose, cut or whole, left or right."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.errors import RegistrationError, SettingError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.registration import Registration, RegistrationSettings, register
from CorticalBoneMappingLib.registration.cut_ends import cut_end_of
from CorticalBoneMappingLib.registration.pose import find_pose
from CorticalBoneMappingLib.simulation.hip.femur import mean_shape
from CorticalBoneMappingLib.simulation.hip.population import draw_dimensions, individual_map

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "femur_surfaces"


@pytest.fixture(scope="module")
def average() -> Surface:
    return load_average().surface


def _without_arrays(surface: Surface) -> Surface:
    return Surface(surface.points, surface.triangles)


def _turned(surface: Surface, seed: int) -> tuple[Surface, np.ndarray, np.ndarray]:
    rotation = Rotation.random(random_state=seed).as_matrix()
    translation = np.random.default_rng(seed).normal(size=3) * 300.0
    return replace(surface, points=surface.points @ rotation.T + translation), rotation, translation


def _person(seed: int) -> tuple[Surface, Surface, np.ndarray]:
    """The mean shape, a person's femur meshed on its own, and where the mean's vertices are on it.

    Of the person's dimensions alone: random fields run along the surface, too, where no shape shows them.
    """
    random = np.random.default_rng(seed)
    dense = _without_arrays(mean_shape())
    person = individual_map(draw_dimensions(random))
    mean = remesh(dense, n_points=6000)
    return mean, remesh(replace(dense, points=person(dense.points)), n_points=7500), person(mean.points)


class _Case:
    """One simulated person in a random pose, registered once for many tests."""

    def __init__(self) -> None:
        self.mean, upright, truth = _person(seed=4)
        self.subject, rotation, translation = _turned(upright, seed=9)
        self.truth = truth @ rotation.T + translation
        self.registration: Registration = register(self.subject, self.mean, "right")


@pytest.fixture(scope="module")
def case() -> _Case:
    return _Case()


def test_homologous_points_are_found_within_a_millimetre(case):
    # Farther down, the shaft is a plain tube: its shape does not show where along it a point is.
    counted = case.registration.covered & (case.mean.points[:, 2] > -75.0)
    error = np.linalg.norm(case.registration.points - case.truth, axis=1)[counted]
    assert error.mean() < 1.0
    assert np.quantile(error, 0.95) < 3.0
    assert case.registration.covered.mean() > 0.9


def test_the_deformed_average_lies_on_the_subject_without_folds(case):
    found = case.registration
    assert found.distances.to_subject_mean < 0.02
    assert found.distances.to_average_mean < 0.1
    assert found.folded == 0
    assert found.deformed.volume_mm3 > 0
    assert not found.look_at_it


def test_the_similarity_never_flips_and_its_scale_is_that_of_the_size(case):
    linear = case.registration.matrix[:3, :3]
    assert np.linalg.det(linear) > 0
    np.testing.assert_allclose(linear.T @ linear, case.registration.scale**2 * np.eye(3), atol=1e-9)


def test_a_smooth_function_survives_the_way_to_the_average_and_back(case):
    points = case.subject.points - case.subject.points.mean(axis=0)
    waves = np.stack([np.sin(2.0 * np.pi * points[:, axis] / 40.0 + axis) for axis in range(3)], axis=1)
    there_and_back = case.registration.to_subject(case.registration.to_average(waves))
    known = np.isfinite(there_and_back).all(axis=1)
    assert known.mean() > 0.9
    error = np.sqrt(np.mean((there_and_back - waves)[known] ** 2, axis=0)) / waves[known].std(axis=0)
    assert np.all(error < 0.02)


def test_unknown_values_stay_unknown_and_do_not_touch_the_others(case):
    found = case.registration
    values = np.full(len(case.subject.points), 3.0)
    values[np.argsort(case.subject.points[:, 0])[:500]] = np.nan
    carried = found.to_average(values)
    np.testing.assert_allclose(carried[np.isfinite(carried)], 3.0, rtol=1e-12)
    assert np.all(np.isnan(carried[~found.covered]))
    lost = found.covered & np.isnan(carried)
    assert found.points[lost, 0].max() < np.sort(case.subject.points[:, 0])[500] + 4.0
    assert lost.sum() > 100


def test_labels_are_carried_as_labels(case):
    found = case.registration
    labels = np.where(case.subject.points[:, 2] > np.median(case.subject.points[:, 2]), 7, 2)
    carried = found.to_average(labels)
    assert set(np.unique(carried)) <= {-1, 2, 7}
    assert np.all((carried == -1) == ~found.covered)
    away = found.covered & (np.abs(found.points[:, 2] - np.median(case.subject.points[:, 2])) > 3.0)
    upper = found.points[away, 2] > np.median(case.subject.points[:, 2])
    np.testing.assert_array_equal(carried[away] == 7, upper)


def test_values_of_another_surface_are_refused(case):
    with pytest.raises(RegistrationError, match="belong to another surface"):
        case.registration.to_average(np.zeros(12))


def test_a_left_femur_gives_the_mirror_image_of_the_right_one_exactly(average):
    subject = _turned(_without_arrays(average), seed=2)[0]
    unchecked = RegistrationSettings(check_side=False)
    right = register(subject, average, "right", settings=unchecked)
    left = register(subject.mirrored(), average, "left", settings=unchecked)
    np.testing.assert_array_equal(left.points, right.points * [-1.0, 1.0, 1.0])
    np.testing.assert_array_equal(left.matrix, right.matrix)
    np.testing.assert_array_equal(left.covered, right.covered)
    assert left.deformed.volume_mm3 > 0


@pytest.mark.parametrize("seed", range(3))
def test_the_pose_of_another_persons_femur_does_not_depend_on_how_it_lies(average, case, seed):
    turned, rotation, _ = _turned(_without_arrays(case.subject), seed)
    first, second = find_pose(case.subject, average), find_pose(turned, average)
    difference = Rotation.from_matrix(rotation.T @ second.rotation @ first.rotation.T).magnitude()
    assert np.degrees(difference) < 1.0
    assert second.scale == pytest.approx(first.scale, rel=0.01)


def _cut_off(surface: Surface, height: float) -> Surface:
    """Everything above a height, closed with a flat end by pressing what lies below onto the plane."""
    points = surface.points.copy()
    shaft = points[:, 2] < height
    points[shaft, 2] = height
    return Surface(points, surface.triangles)


def test_a_shaft_cut_at_the_lesser_trochanter_is_registered_where_it_belongs(average):
    lesser = average.points[average.arrays["region"] == 8]
    height = lesser[:, 2].min() - 3.0
    short, rotation, translation = _turned(_cut_off(average, height), seed=5)
    found = register(short, average, "right")
    truth = average.points @ rotation.T + translation
    error = np.linalg.norm(found.points - truth, axis=1)[found.covered]
    assert error.mean() < 1.0
    assert np.quantile(error, 0.95) < 1.5
    assert not found.covered[average.points[:, 2] < height - 2.0 * average.mean_spacing_mm].any()
    assert found.covered[average.points[:, 2] > height + 6.0].mean() > 0.99


def test_flat_cut_ends_are_found_without_being_given(average):
    given = average.arrays["cut_end"] == 1
    found = cut_end_of(_without_arrays(average))
    rim = 3.0
    assert found[given].mean() > 0.9
    strays = average.points[found & ~given]
    assert np.all(strays[:, 2] < average.points[given, 2].max() + rim)


def test_a_femur_of_the_other_side_is_refused_by_name(case):
    with pytest.raises(RegistrationError, match="said to be a left one but looks like a right one"):
        register(case.subject, case.mean, "left")


def test_what_is_not_a_femur_is_refused(average):
    with pytest.raises(RegistrationError, match="holes or free borders make up"):
        register(_half_of(average), average, "right")
    with pytest.raises(RegistrationError, match="only 90 points"):
        register(Surface(average.points[:90], average.triangles[:9]), average, "right")
    with pytest.raises(RegistrationError, match="times the size"):
        register(Surface(2.0 * average.points, average.triangles), average, "right")
    with pytest.raises(SettingError, match="is 'left' or 'right', not"):
        register(average, average, "rechts")
    with pytest.raises(RegistrationError, match="not look like a proximal femur"):
        register(_ball(average), average, "right")
    with pytest.raises(SettingError, match=r"between 0\.2 and 5"):
        RegistrationSettings(flexibility=9.0)


def _half_of(surface: Surface) -> Surface:
    """Without the triangles of the front."""
    behind = surface.points[surface.triangles].mean(axis=1)[:, 1] < surface.points[:, 1].mean()
    return Surface(surface.points, surface.triangles[behind])


def _ball(average: Surface) -> Surface:
    """A long smooth thing: a femur's mesh relaxed until nothing of the femur is left."""
    middle = average.points.mean(axis=0)
    direction = average.points - middle
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return Surface(middle + direction * [25.0, 30.0, 70.0], average.triangles)


@pytest.mark.skipif(not DATA.is_dir(), reason="no real femurs: set CBM_TEST_DATA to the data folder")
@pytest.mark.parametrize("name", ["m3_r", "m4_l"])
def test_real_femurs_register_from_any_pose(average, name):
    bone = remesh(read_surface(DATA / f"{name}femur_mm.stl"), n_points=8000)
    turned, rotation, _ = _turned(bone, seed=1)
    found = register(turned, average, {"r": "right", "l": "left"}[name[-1]])
    assert found.distances.to_subject_mean < 0.1
    assert found.distances.to_average_mean < 0.1
    assert found.folded == 0
    assert not found.look_at_it
    # Scanned supine, the femur is within 30° of the average's axes: up is up, medial is medial.
    upright = (found.points - found.points.mean(axis=0)) @ rotation
    mirror = -1.0 if name.endswith("l") else 1.0
    head = average.arrays["region"] == 1
    shaft = average.points[:, 2] < -80.0
    assert upright[head, 2].mean() > upright[shaft, 2].mean() + 80.0
    assert mirror * (upright[head, 0].mean() - upright[shaft, 0].mean()) < -20.0

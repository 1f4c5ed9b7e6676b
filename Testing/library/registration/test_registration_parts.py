"""The parts of the registration, each against brute force: its equations, its samples, what it keeps."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.registration.cut_ends import principal_axes, thinned
from CorticalBoneMappingLib.registration.deformation import basis_normal_equations
from CorticalBoneMappingLib.registration.pose import Clouds, find_pose, pose_between
from CorticalBoneMappingLib.registration.template import template_of


def test_normal_equations_are_those_of_the_whole_design_written_out():
    random = np.random.default_rng(1)
    dense, local_basis = random.normal(size=(4, 50, 3)), random.normal(size=(50, 6)).astype(np.float32)
    normals = random.normal(size=(50, 3))
    precision = 9.0 * normals[:, :, None] * normals[:, None, :] + 0.01 * np.eye(3)
    weighted_displacement = random.normal(size=(50, 3))
    system, right = basis_normal_equations(dense, local_basis, precision, weighted_displacement)
    one_way = [np.zeros((6, 50, 3)) for _ in range(3)]
    for axis, design in enumerate(one_way):
        design[:, :, axis] = local_basis.T
    design = np.concatenate([dense, *one_way])
    expected = np.einsum("ani,nij,bnj->ab", design, precision, design)
    np.testing.assert_allclose(np.tril(system), np.tril(expected), atol=2e-6 * np.abs(expected).max())
    np.testing.assert_allclose(
        right, np.einsum("ani,ni->a", design, weighted_displacement), rtol=1e-5, atol=1e-4
    )


def test_thinning_keeps_the_first_point_of_every_cube_whatever_the_pose():
    points = np.random.default_rng(2).gamma(2.0, size=(4000, 3)) * [30.0, 12.0, 7.0]
    cells = np.floor((points - points.mean(axis=0)) @ principal_axes(points) / 9.0)
    seen, expected = set(), []
    for row, cell in enumerate(map(tuple, cells)):
        if cell not in seen:
            expected.append(row)
        seen.add(cell)
    np.testing.assert_array_equal(thinned(points, 9.0), expected)
    turn = Rotation.random(random_state=3).as_matrix()
    np.testing.assert_array_equal(thinned(points @ turn.T + [400.0, -90.0, 7.0], 9.0), expected)


def test_the_same_average_is_prepared_once_and_a_changed_one_anew():
    average = load_average()
    first = template_of(average.surface, average.shape_model, 1.0)
    copied = replace(average.surface, points=average.surface.points.copy())
    assert template_of(copied, average.shape_model, 1.0) is first
    copied.points[0, 0] += 1e-9
    assert template_of(copied, average.shape_model, 1.0) is not first
    assert template_of(average.surface, average.shape_model, 1.5) is not first
    assert template_of(average.surface, None, 1.0) is not first


def test_values_between_judged_vertices_stay_within_those_beside_them():
    average = load_average()
    template = template_of(average.surface, average.shape_model, 1.0)
    height = template.surface.points[template.error_vertices, 2]
    found = template.interpolate_errors(height)
    beside = height[template.near]
    assert np.all((found >= beside.min(axis=1) - 1e-9) & (found <= beside.max(axis=1) + 1e-9))
    assert np.abs(found - template.surface.points[:, 2]).mean() < 1.5


def test_the_pose_of_a_mirrored_cloud_is_that_of_the_mirrored_bone():
    average = load_average().surface
    turn = Rotation.random(random_state=11).as_matrix()
    bone = replace(average.mirrored(), points=average.mirrored().points @ turn.T + 50.0)
    pose = pose_between(Clouds.of(bone).mirrored(), Clouds.of(average))
    assert pose.misfit_mm == pytest.approx(find_pose(bone.mirrored(), average).misfit_mm, abs=0.05)
    apart = pose.apply(average.points) - bone.mirrored().points
    assert np.linalg.norm(apart, axis=1).mean() < 0.3

"""The digital femur is a femur: closed, smooth, unfolded, with the dimensions it was asked for."""

import numpy as np
import pytest

from CorticalBoneMappingLib.simulation.hip.femur import draw_femur, make_femur
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE, HEAD_RADIUS_MM, mean_shape
from CorticalBoneMappingLib.simulation.hip.population import (
    FemurDimensions,
    dimensions_of_mean_shape,
    draw_dimensions,
    individual_map,
)
from CorticalBoneMappingLib.simulation.hip.tissue import THICKNESS_RANGE_MM, Tissue


def fitted_sphere(points):
    """Least-squares sphere: centre and radius."""
    rows = np.c_[2 * points, np.ones(len(points))]
    solution = np.linalg.lstsq(rows, (points**2).sum(axis=1), rcond=None)[0]
    return solution[:3], np.sqrt(solution[3] + solution[:3] @ solution[:3])


def on_head(mean_points):
    """Points on the spherical part of the head, away from fovea and neck."""
    ray = mean_points - HEAD_CENTRE
    distance = np.linalg.norm(ray, axis=1)
    return (np.abs(distance - HEAD_RADIUS_MM) < 0.1) & (ray[:, 0] < 0)


def test_mean_shape_is_one_closed_surface_with_outward_normals():
    shape = mean_shape()
    assert shape.is_closed()
    assert len(shape.points) - len(shape.edges) + len(shape.triangles) == 2
    assert 150e3 < shape.volume_mm3 < 280e3


def test_mean_dimensions_leave_the_mean_shape_where_it_is():
    own = dimensions_of_mean_shape()
    points = mean_shape().points[::50]
    assert np.abs(individual_map(own)(points) - points).max() < 0.05


@pytest.mark.parametrize(("diameter", "offset", "angle"), [(42.0, 44.0, 118.0), (50.0, 52.0, 126.0)])
def test_femur_has_the_head_and_neck_that_were_asked_for(diameter, offset, angle):
    asked = FemurDimensions(diameter, offset, angle, anteversion_deg=0.0)
    femur = make_femur(asked, Tissue())
    surface = femur.bone.surface
    centre, radius = fitted_sphere(surface.points[on_head(surface.arrays["mean_shape_point"])])
    assert 2 * radius == pytest.approx(diameter, abs=0.4)
    assert np.linalg.norm(centre) < 0.4  # the head's centre is the origin

    level = surface.arrays["mean_shape_point"][:, 2]
    sections = [surface.points[np.abs(level - z) < 1.0] for z in (-95.0, -110.0, -125.0, -140.0)]
    middles = np.array([(s.max(axis=0) + s.min(axis=0)) / 2 for s in sections])
    axis = np.linalg.svd(middles - middles.mean(axis=0))[2][0]
    arm = centre - middles.mean(axis=0)
    assert np.linalg.norm(arm - arm @ axis * axis) == pytest.approx(offset, abs=2.0)


@pytest.mark.parametrize("seed", range(6))
def test_no_person_of_the_population_is_folded(seed):
    random = np.random.default_rng(seed)
    to_person = individual_map(draw_dimensions(random), random)
    points = mean_shape().points[::20]
    step = 0.01
    jacobian = np.stack(
        [(to_person(points + step * e) - to_person(points)) / step for e in np.eye(3)], axis=-1
    )
    determinant = np.linalg.det(jacobian)
    assert determinant.min() > 0.1


def test_population_has_the_published_means_spreads_and_correlations():
    random = np.random.default_rng(0)
    people = [draw_dimensions(random) for _ in range(4000)]
    diameter = np.array([p.head_diameter_mm for p in people])
    neck = np.array([p.neck_width for p in people])
    angle = np.array([p.neck_shaft_angle_deg for p in people])
    assert diameter.mean() == pytest.approx(46.1, abs=0.2)
    # Draws beyond two SD are drawn again: hold spread and correlation against a pair of normals cut likewise.
    pair = random.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=100_000)
    pair = pair[np.all(np.abs(pair) <= 2.0, axis=1)]
    assert diameter.std() == pytest.approx(3.5 * pair[:, 0].std(), rel=0.05)
    assert angle.mean() == pytest.approx(122.2, abs=0.4)
    assert np.corrcoef(diameter, neck)[0, 1] == pytest.approx(np.corrcoef(pair.T)[0, 1], abs=0.05)


def test_cortex_is_thin_at_the_head_and_thick_at_shaft_and_calcar():
    surface = make_femur(FemurDimensions(), Tissue(local_variation=0.0)).bone.surface
    place, thickness = surface.arrays["mean_shape_point"], surface.arrays["cortical_thickness"]
    assert thickness.min() >= THICKNESS_RANGE_MM[0]
    assert thickness.max() <= THICKNESS_RANGE_MM[1]
    assert thickness[on_head(place)].mean() < 0.9
    shaft = (place[:, 2] < -100) & (place[:, 2] > -140)
    assert thickness[shaft].mean() > 4.0
    calcar = np.linalg.norm(place - [-27, 3, -36], axis=1) < 5
    superior_neck = np.linalg.norm(place - [-24, 2, 2], axis=1) < 6
    assert thickness[calcar].mean() > 3 * thickness[superior_neck].mean()


def test_uniform_density_is_uniform():
    tissue = Tissue(cortical_density=1100.0, density_variation=0.0)
    density = make_femur(FemurDimensions(), tissue).bone.surface.arrays["cortical_density"]
    assert np.all(density == 1100.0)


def test_left_femur_is_the_mirror_image_with_the_same_tissue():
    right, left = draw_femur(3, "right").bone, draw_femur(3, "left").bone
    assert np.array_equal(left.surface.points, right.surface.points * [-1, 1, 1])
    assert left.surface.volume_mm3 == pytest.approx(right.surface.volume_mm3)
    inside = right.surface.points[::100] - right.surface.normals[::100] * 8
    depth = np.full(len(inside), 8.0)
    assert np.allclose(
        left.trabecular_density(inside * [-1, 1, 1], depth), right.trabecular_density(inside, depth)
    )


def test_same_seed_gives_the_same_person():
    first, second = draw_femur(5).bone.surface, draw_femur(5).bone.surface
    assert np.array_equal(first.points, second.points)
    assert np.array_equal(first.arrays["cortical_thickness"], second.arrays["cortical_thickness"])
    assert not np.array_equal(first.points, draw_femur(6).bone.surface.points)

"""The digital femur is a femur: closed, smooth, unfolded, with the dimensions it was asked for."""

from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.simulation.hip.femur import draw_femur, make_femur
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE, HEAD_RADIUS_MM, mean_shape
from CorticalBoneMappingLib.simulation.hip.measured import MEASURED, measured_dimensions
from CorticalBoneMappingLib.simulation.hip.population import (
    MAN,
    FemurDimensions,
    dimensions_of_mean_shape,
    draw_dimensions,
    individual_map,
)
from CorticalBoneMappingLib.simulation.hip.tissue import THICKNESS_RANGE_MM, Tissue


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


@pytest.mark.parametrize("seed", range(2))
def test_the_dimensions_that_are_drawn_are_those_that_are_measured(seed):
    drawn = draw_dimensions(np.random.default_rng([5, seed]))
    to_person = individual_map(drawn)
    mean = remesh(mean_shape(), spacing_mm=2.0)
    found = measured_dimensions(measure_anatomy(replace(mean, points=to_person(mean.points)), "right"))
    for name, value in found.items():
        limit = 0.3 if name in ("head_diameter_mm", "shaft_radius_mm") else 2.5
        assert value == pytest.approx(getattr(drawn, name), abs=limit), name


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


def test_population_has_the_means_spreads_and_correlations_of_real_people():
    random = np.random.default_rng(0)
    people = [draw_dimensions(random) for _ in range(4000)]
    table = {name: np.array([getattr(one, name) for one in people]) for name in MEASURED}
    # 39 real femurs: 45.0 ± 3.4, 124.3 ± 5.6, 10.4 ± 5.6, 31.9 ± 3.0 by 28.3 ± 2.6 mm.
    for name, mean, sd in (
        ("head_diameter_mm", 45.0, 3.4),
        ("neck_shaft_angle_deg", 124.3, 5.6),
        ("greater_mm", 10.4, 5.6),
        ("neck_height_mm", 31.9, 3.0),
        ("neck_depth_mm", 28.3, 2.6),
    ):
        assert table[name].mean() == pytest.approx(mean, abs=0.3 * sd), name
        assert table[name].std() == pytest.approx(sd, rel=0.15), name
    slope = np.polyfit(table["neck_shaft_angle_deg"], table["greater_mm"], 1)[0]
    assert slope == pytest.approx(-0.90, abs=0.1)
    assert np.corrcoef(table["neck_shaft_angle_deg"], table["offset_mm"])[0, 1] < -0.7
    men = np.array([one.sex == MAN for one in people])
    assert men.mean() == pytest.approx(0.5, abs=0.03)
    assert table["head_diameter_mm"][men].mean() - table["head_diameter_mm"][~men].mean() > 4.0


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


def test_a_persons_two_femurs_are_alike_and_not_mirror_images():
    right, left = draw_femur(3, "right").bone, draw_femur(3, "left").bone
    apart = np.linalg.norm(left.surface.mirrored().points - right.surface.points, axis=1)
    assert 0.3 < apart.mean() < 5.0


def test_left_femur_is_the_mirror_image_with_the_same_tissue():
    right, left = (make_femur(FemurDimensions(), Tissue(), side).bone for side in ("right", "left"))
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

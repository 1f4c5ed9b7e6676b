import os
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.meshing import isosurface, remesh
from CorticalBoneMappingLib.mesh.topology import defects, flip_to_delaunay, pieces, refine

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))


def euler_characteristic(surface):
    return len(surface.points) - len(surface.edges) + len(surface.triangles)


def smallest_angles(surface):
    """Smallest angle of each triangle in degrees, from its sides by the law of cosines."""
    corners = surface.points[surface.triangles]
    a, b, c = np.sort(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2), axis=1).T
    return np.degrees(np.arccos((b**2 + c**2 - a**2) / (2 * b * c)))


def edge_lengths(surface):
    return np.linalg.norm(np.diff(surface.points[surface.edges], axis=1)[:, 0], axis=1)


def field_of(function, half_size, step):
    """A field on a cube around the origin, and its matrix."""
    axis = np.arange(-half_size, half_size + step / 2, step)
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = -half_size
    return function(*np.meshgrid(axis, axis, axis, indexing="ij")).T, matrix


def assert_near_uniform(surface, spacing):
    lengths = edge_lengths(surface)
    assert lengths.mean() == pytest.approx(spacing, rel=0.05)
    assert lengths.std() <= 0.15 * lengths.mean()
    assert np.percentile(smallest_angles(surface), 5) >= 35


def assert_closed_manifold(surface, characteristic):
    assert surface.is_closed()
    assert len(defects(surface.triangles, len(surface.points))) == 0
    assert pieces(surface.triangles, len(surface.points)).max() == 0
    assert euler_characteristic(surface) == characteristic
    assert surface.volume_mm3 > 0


def ball_field(radius, handedness=1):
    """Depth below a sphere's surface on a grid that is not cubic; with its matrix and the centre."""
    matrix = np.diag([0.7 * handedness, 0.8, 1.0, 1.0])
    matrix[:3, 3] = [5, 6, 7]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (60, 50, 40)), indexing="ij"), axis=-1)
    points = index @ matrix[:3, :3].T + matrix[:3, 3]
    centre = np.array([30, 25, 20]) @ matrix[:3, :3].T + matrix[:3, 3]
    return (radius - np.linalg.norm(points - centre, axis=-1)).T, matrix, centre


@pytest.mark.parametrize("handedness", [1, -1])
def test_the_level_set_of_a_sphere_is_a_closed_outward_sphere(handedness):
    field, matrix, centre = ball_field(12, handedness)
    surface = isosurface(field, matrix, 0.0)
    assert surface.is_closed()
    assert euler_characteristic(surface) == 2
    assert surface.volume_mm3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.005)
    np.testing.assert_allclose(np.linalg.norm(surface.points - centre, axis=1), 12, atol=0.03)
    assert len(np.unique(surface.points, axis=0)) == len(surface.points)


def test_a_field_cut_by_the_border_is_closed_half_a_voxel_beyond_it():
    field, matrix, centre = ball_field(12)
    surface = isosurface(field[:21], matrix, 0.0)
    assert surface.is_closed()
    assert surface.points[:, 2].max() == pytest.approx(centre[2] + 0.5, abs=1e-5)


def test_values_that_hit_the_level_exactly_leave_the_surface_closed_and_its_vertices_apart():
    field = np.random.default_rng(0).integers(-1, 2, size=(20, 20, 20)).astype(float)
    surface = isosurface(field, np.eye(4), 0.0)
    assert surface.is_closed()
    assert len(np.unique(surface.points, axis=0)) == len(surface.points)


def test_a_field_without_a_surface_is_refused():
    with pytest.raises(SurfaceError, match="nothing in the volume is above 5"):
        isosurface(np.zeros((4, 4, 4)), np.eye(4), 5.0)
    with pytest.raises(SurfaceError, match="not finite"):
        isosurface(np.full((4, 4, 4), np.nan), np.eye(4), 0.0)


@pytest.mark.parametrize("spacing", [0.8, 1.5, 4.0])
def test_a_remeshed_sphere_is_near_uniform_closed_and_on_the_sphere(spacing):
    field, matrix, centre = ball_field(12)
    dense = isosurface(field, matrix, 0.0)
    surface = remesh(dense, spacing)
    assert_near_uniform(surface, spacing)
    assert_closed_manifold(surface, 2)
    radius = np.linalg.norm(surface.points - centre, axis=1)
    np.testing.assert_allclose(radius, 12, atol=0.03)
    outward = (surface.points - centre) / radius[:, None]
    assert np.einsum("ij,ij->i", surface.normals, outward).min() > 0.95


def test_a_coarse_input_is_covered_by_small_triangles_that_lie_on_it():
    corners = np.array([[x, y, z] for x in (0, 9.0) for y in (0, 9.0) for z in (0, 9.0)])
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    triangles = np.array([[f[a], f[b], f[c]] for f in faces for a, b, c in ((0, 1, 2), (0, 2, 3))])
    surface = remesh(Surface(corners, triangles), 1.0)
    assert_closed_manifold(surface, 2)
    assert edge_lengths(surface).mean() == pytest.approx(1.0, rel=0.05)
    to_face = np.minimum(surface.points, 9 - surface.points)
    np.testing.assert_allclose(to_face.min(axis=1), 0, atol=1e-9)
    # Sharp edges are cut off by triangles that reach across them, nowhere wider than a triangle.
    assert 0 < 729 - surface.volume_mm3 < 12 * 9 * 0.25 * 1.0**2


def test_handles_survive():
    torus = field_of(lambda x, y, z: 4 - np.hypot(np.hypot(x, y) - 12, z), 18, 0.6)
    surface = remesh(isosurface(*torus, 0.0), 1.5)
    assert_closed_manifold(surface, 0)
    assert_near_uniform(surface, 1.5)


def test_the_sides_of_a_plate_thinner_than_the_triangles_stay_apart():
    plate = field_of(lambda x, y, z: 1 - np.sqrt((x / 10) ** 2 + (y / 10) ** 2 + (z / 0.6) ** 2), 11, 0.2)
    surface = remesh(isosurface(*plate, 0.0), 1.2)
    assert_closed_manifold(surface, 2)
    centres = surface.points[surface.triangles].mean(axis=1)
    inner = np.hypot(centres[:, 0], centres[:, 1]) < 7
    expected = 0.6 * np.sqrt(1 - (centres[inner, 0] ** 2 + centres[inner, 1] ** 2) / 100)
    np.testing.assert_allclose(np.abs(centres[inner, 2]), expected, atol=0.1)


def test_the_number_of_points_can_be_asked_for():
    field, matrix, _ = ball_field(12)
    dense = isosurface(field, matrix, 0.0)
    assert len(remesh(dense, n_points=1500).points) == pytest.approx(1500, rel=0.02)


def test_the_same_input_gives_the_same_mesh_whatever_the_global_random_state():
    field, matrix, _ = ball_field(8)
    dense = isosurface(field, matrix, 0.0)
    # The global state is what must not matter.
    np.random.seed(1)  # noqa: NPY002
    first = remesh(dense, 1.0)
    np.random.seed(2)  # noqa: NPY002
    second = remesh(dense, 1.0)
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.triangles, second.triangles)


def test_surfaces_that_are_not_one_closed_piece_are_refused_in_words():
    field, matrix, _ = ball_field(8)
    ball = isosurface(field, matrix, 0.0)
    n = len(ball.points)
    two = Surface(
        np.concatenate([ball.points, ball.points + 50]), np.concatenate([ball.triangles, ball.triangles + n])
    )
    with pytest.raises(SurfaceError, match="2 separate pieces"):
        remesh(two, 1.0)
    with pytest.raises(SurfaceError, match="open"):
        remesh(Surface(ball.points, ball.triangles[1:]), 1.0)
    with pytest.raises(SurfaceError, match="too little"):
        remesh(ball, 30.0)
    with pytest.raises(SurfaceError, match="more than 0 mm"):
        remesh(ball, -1.0)


def test_defects_are_found_where_two_balls_share_one_vertex_and_where_a_triangle_is_missing():
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    second = np.where(tetrahedron == 0, 0, tetrahedron + 3)
    assert len(defects(tetrahedron, 4)) == 0
    np.testing.assert_array_equal(defects(np.concatenate([tetrahedron, second]), 7), [0])
    np.testing.assert_array_equal(defects(tetrahedron[1:], 4), [0, 1, 2])
    np.testing.assert_array_equal(defects(tetrahedron[:, [0, 1, 2]], 5), [4])


def test_refinement_keeps_the_area_and_halves_every_long_edge():
    field, matrix, _ = ball_field(5)
    ball = isosurface(field, matrix, 0.0)
    fine = Surface(*refine(ball.points, ball.triangles, 0.3))
    assert edge_lengths(fine).max() <= 0.3
    assert fine.triangle_areas.sum() == pytest.approx(ball.triangle_areas.sum(), rel=1e-9)
    assert fine.volume_mm3 == pytest.approx(ball.volume_mm3, rel=1e-9)
    assert_closed_manifold(fine, 2)


def test_flips_reach_the_delaunay_triangulation_of_a_convex_body_without_tearing_it():
    field, matrix, _ = ball_field(8)
    ball = isosurface(field, matrix, 0.0)
    triangles, n_flips = flip_to_delaunay(ball.points, ball.triangles)
    assert n_flips > 0
    for _ in range(50):
        assert_closed_manifold(Surface(ball.points, triangles), 2)
        triangles, n_flips = flip_to_delaunay(ball.points, triangles)
        if not n_flips:
            break
    before, after = smallest_angles(ball), smallest_angles(Surface(ball.points, triangles))
    assert np.percentile(after, 5) > np.percentile(before, 5)


@pytest.mark.skipif(not DATA.is_dir(), reason="no real femurs: set CBM_TEST_DATA to the data folder")
def test_real_femur_surfaces_are_remeshed_near_uniformly():
    surface = read_surface(DATA / "femur_surfaces" / "m3_lfemur_mm.stl")
    remeshed = remesh(surface, 2.0)
    assert_closed_manifold(remeshed, 2)
    assert_near_uniform(remeshed, 2.0)
    assert remeshed.volume_mm3 == pytest.approx(surface.volume_mm3, rel=0.005)


@pytest.mark.parametrize("spacing", [1.5, 2.0, 3.0])
def test_a_blocky_surface_with_many_equal_angles_stays_a_closed_manifold(spacing):
    # Steps of 3 mm, as of a coarse label map: equal angles everywhere, and slivers without area.
    k, j, i = np.meshgrid(*[np.arange(18)] * 3, indexing="ij")
    blocks = ((k - 9) ** 2 + (j - 9) ** 2 < 30) & (np.abs(i - 9) < 7) | (
        np.maximum(abs(k - 9), abs(j - 9)) < 4
    )
    blocks &= (i > 1) & (i < 16) & (k > 1) & (k < 16)
    coarse = isosurface(blocks.astype(float), np.diag([3.0, 3.0, 3.0, 1.0]), 0.5)
    mesh = remesh(coarse, spacing_mm=spacing)
    assert np.all(np.isfinite(mesh.points))
    assert mesh.is_closed()
    assert not len(defects(mesh.triangles, len(mesh.points)))

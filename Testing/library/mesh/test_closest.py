import numpy as np
import pytest
from scipy.spatial import ConvexHull

from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate


def bumpy_ball(n: int, seed: int = 0) -> Surface:
    """A closed star-shaped surface; the hull of sphere points gives its triangles."""
    directions = np.random.default_rng(seed).normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    triangles = ConvexHull(directions).simplices.astype(np.int64)
    corners = directions[triangles]
    inward = np.einsum("ij,ij->i", np.cross(corners[:, 0], corners[:, 1]), corners[:, 2]) < 0
    triangles[inward] = triangles[inward, ::-1]
    radius = 20 + 3 * np.sin(4 * directions[:, :1]) * np.cos(3 * directions[:, 1:2])
    return Surface(directions * radius, triangles)


def brute_force_distance(surface: Surface, points: np.ndarray) -> np.ndarray:
    """Distance to every triangle: its plane where the foot is inside, else its three sides."""
    corners = surface.points[surface.triangles]
    best = np.full(len(points), np.inf)
    for a, b, c in corners:
        for start, stop in ((a, b), (b, c), (c, a)):
            side = stop - start
            along = np.clip((points - start) @ side / (side @ side), 0, 1)
            best = np.minimum(best, np.linalg.norm(points - start - along[:, None] * side, axis=1))
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal)
        height = (points - a) @ normal
        foot = points - height[:, None] * normal
        inside = np.ones(len(points), dtype=bool)
        for start, stop in ((a, b), (b, c), (c, a)):
            inside &= (foot - start) @ np.cross(normal, stop - start) >= 0
        best = np.where(inside, np.minimum(best, np.abs(height)), best)
    return best


@pytest.mark.parametrize("scale", [0.2, 5.0, 60.0])
def test_the_closest_place_is_as_near_as_brute_force_over_all_triangles_finds(scale):
    surface = bumpy_ball(400)
    rng = np.random.default_rng(1)
    points = surface.points[rng.integers(400, size=200)] + rng.normal(size=(200, 3)) * scale
    found = closest_points(surface, points)
    np.testing.assert_allclose(found.distance, brute_force_distance(surface, points), rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.norm(found.points(surface) - points, axis=1), found.distance, rtol=0, atol=1e-9
    )
    assert found.weights.min() >= 0
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, atol=1e-12)


def test_vertices_find_themselves():
    surface = bumpy_ball(300)
    found = closest_points(surface, surface.points)
    assert found.distance.max() < 1e-9
    corner = surface.triangles[found.triangle, found.weights.argmax(axis=1)]
    np.testing.assert_array_equal(corner, np.arange(300))


def test_a_linear_function_is_interpolated_exactly():
    surface = bumpy_ball(300)
    rng = np.random.default_rng(2)
    found = closest_points(surface, rng.normal(size=(500, 3)) * 20)
    values = surface.points @ [[1.0, 0.5], [-2.0, 0.1], [0.3, 0.0]] + 7
    expected = found.points(surface) @ [[1.0, 0.5], [-2.0, 0.1], [0.3, 0.0]] + 7
    np.testing.assert_allclose(
        interpolate(surface, values, found.triangle, found.weights), expected, atol=1e-10
    )


def test_missing_corners_are_left_out_and_mostly_missing_places_stay_missing():
    surface = Surface(np.eye(3), np.array([[0, 1, 2]]), {"thickness": np.array([np.nan, 2.0, 4.0])})
    weights = np.array([[0.4, 0.3, 0.3], [0.6, 0.2, 0.2], [0.0, 0.5, 0.5]])
    values = interpolate(surface, "thickness", np.zeros(3, dtype=int), weights)
    np.testing.assert_allclose(values, [3.0, np.nan, 3.0])


def test_faults_are_named():
    surface = bumpy_ball(50)
    with pytest.raises(SurfaceError, match="not finite"):
        closest_points(surface, np.array([[0, 0, np.nan]]))
    with pytest.raises(SurfaceError, match="no triangles"):
        closest_points(Surface(np.zeros((0, 3)), np.zeros((0, 3), dtype=int)), np.zeros((1, 3)))
    with pytest.raises(SurfaceError, match="no array 'density'"):
        interpolate(surface, "density", np.array([0]), np.array([[1.0, 0, 0]]))
    with pytest.raises(SurfaceError, match="do not belong together"):
        interpolate(surface, np.zeros(3), np.array([0]), np.array([[1.0, 0, 0]]))

import numpy as np
import pytest
from CorticalBoneMappingLib.errors import SurfaceError
from CorticalBoneMappingLib.meshing import isosurface


def euler_characteristic(surface):
    return len(surface.points) - len(surface.edges) + len(surface.triangles)


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

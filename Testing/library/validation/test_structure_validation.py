"""The reference reader of HR-pQCT, and the morphometry of the network, on what is known."""

import numpy as np
import pytest

from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.simulation.hip.bone import Bone
from validation.structure.hrpqct import cortical_compartment, scan_slab, thickness_along
from validation.structure.morphometry import morphometry

RADIUS_MM, HALF_MM, STEP_MM = 6.0, 4.0, 0.4


def tube(thickness):
    """A solid cylinder along z: a shell of 1000 mg/cm³ around marrow of -50."""
    across = np.arange(-RADIUS_MM - 1.0, RADIUS_MM + 1.0, STEP_MM)
    along = np.arange(-HALF_MM - 1.0, HALF_MM + 1.0, STEP_MM)
    z, y, x = np.meshgrid(along, across, across, indexing="ij")
    level = np.minimum(RADIUS_MM - np.hypot(x, y), HALF_MM - np.abs(z))
    matrix = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    matrix[:3, 3] = across[0], across[0], along[0]
    surface = isosurface(level, matrix, 0.0)
    full = np.ones(len(surface.points))
    surface = surface.with_arrays(cortical_thickness=thickness * full, cortical_density=1000.0 * full)
    return Bone(surface, lambda points, depth: np.full(len(points), -50.0))


@pytest.mark.parametrize(("thickness", "voxel"), [(0.6, 0.082), (1.5, 0.061)])
def test_the_segmentation_finds_the_thickness_of_a_tube(thickness, voxel):
    slab = scan_slab(tube(thickness), -0.4, 0.4, voxel)
    turn = np.linspace(0.0, 2.0 * np.pi, 40)
    normals = np.stack([np.cos(turn), np.sin(turn), 0.0 * turn], axis=1)
    found = thickness_along(slab, cortical_compartment(slab), RADIUS_MM * normals, normals)
    assert np.isfinite(found).all()
    assert found.mean() == pytest.approx(thickness, abs=voxel)
    assert np.abs(found - thickness).max() < 3.0 * voxel


def test_the_network_of_the_head_is_as_thick_and_as_far_apart_as_published():
    # Hildebrand et al. 1999: a fraction of 0.26, struts of 0.19 mm, 0.64 mm between them.
    found = morphometry(250.0, range(3))
    assert found.fraction == pytest.approx(0.26, abs=0.03)
    assert found.thickness_mm == pytest.approx(0.19, abs=0.04)
    assert found.separation_mm == pytest.approx(0.64, abs=0.1)
    assert 1.2 < found.anisotropy < 1.8

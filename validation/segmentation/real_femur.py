"""Real femurs in a simulated hip: bones that no draw from the population has the shape of.

The surface is real, segmented from CT; thickness and densities are those of the mean simulated femur at the
nearest place, after a similarity registered the one to the other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.registration.pose import find_pose
from CorticalBoneMappingLib.simulation.hip.bone import Bone, Hip
from CorticalBoneMappingLib.simulation.hip.femur import make_femur
from CorticalBoneMappingLib.simulation.hip.population import FemurDimensions
from CorticalBoneMappingLib.simulation.hip.surroundings import with_pelvis
from CorticalBoneMappingLib.simulation.hip.tissue import Tissue

_ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("CBM_TEST_DATA", _ROOT.parent / "shared" / "data"))
_SPACING_MM = 0.8


def real_femur_file(name: str) -> Path:
    """Where a real femur is, by its name in the plan; it may be absent."""
    person, side = name.split(", ")
    return DATA / "femur_surfaces" / f"{person}_{side[0]}femur_mm.stl"


def real_hip(name: str, gap_mm: float) -> Hip:
    """Give a real femur in a simulated socket, upright, its head centre at the origin.

    Parameters
    ----------
    name : str
        As in the plan, "m3, left".
    gap_mm : float
        Between head and socket.

    Returns
    -------
    Hip
    """
    side = name.split(", ")[1]
    surface = remesh(read_surface(real_femur_file(name)), _SPACING_MM)
    right = surface if side == "right" else surface.mirrored()
    mean = make_femur(FemurDimensions(), Tissue()).bone
    pose = find_pose(right, mean.surface)
    upright = replace(right, points=pose.scale * pose.undo(right.points))
    head = measure_anatomy(upright, "right")
    centre = head.landmarks["head_centre"]
    place = closest_points(mean.surface, upright.points / pose.scale)
    arrays = {
        name: interpolate(mean.surface, name, place.triangle, place.weights)
        for name in ("cortical_thickness", "cortical_density")
    }
    upright = replace(upright, points=upright.points - centre).with_arrays(**arrays)
    inside = _Scaled(mean, pose.scale, centre, side)
    bone = Bone(upright if side == "right" else upright.mirrored(), inside)
    return with_pelvis(Hip(bone, side, np.zeros(3), head.head_radius_mm), gap_mm)


@dataclass(frozen=True)
class _Scaled:
    """Trabecular density of the mean femur in a bone of another size."""

    mean: Bone
    scale: float
    centre: np.ndarray
    side: str

    def __call__(self, points: np.ndarray, depth: np.ndarray) -> np.ndarray:
        right = points if self.side == "right" else points * [-1.0, 1.0, 1.0]
        return self.mean.trabecular_density((right + self.centre) / self.scale, depth / self.scale)

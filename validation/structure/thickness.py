"""Three truths of a structured bone against each other: mean thickness, local thickness, and HR-pQCT's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from CorticalBoneMappingLib.simulation import simulate_hip
from CorticalBoneMappingLib.simulation.hip.structure_truth import structure_truth
from CorticalBoneMappingLib.simulation.hip.structured import structured

from .hrpqct import cortical_compartment, scan_slab, thickness_along

BINS_MM = (0.35, 0.8, 1.2, 2.0, 3.0, 7.0)
AVERAGES_MM = (0.0, 2.0, 4.0)
_SLABS_MM = (8.0, -8.0, -22.0, -34.0, -55.0, -80.0)  # where slices begin, from the head's centre
_SLAB_MM = 1.4
_STEEPEST = 0.2  # of the normal to the slices, so that lines stay in the slab


class Compared(NamedTuple):
    """At the vertices of one bone.

    Attributes
    ----------
    mean : ndarray of shape (n,)
        The bone's own thickness, to which struts add local differences, mm.
    local : dict of float to ndarray of shape (n,)
        Thickness by the width of the average over the surface.
    mass, density : ndarray of shape (n,)
        Of the local truth at 2 mm; mass is above the trabecular level.
    scanned : dict of float to ndarray of shape (n,)
        Thickness in HR-pQCT by voxel size, not-a-number outside the slabs.
    compact : ndarray of shape (n,)
        Density of compact bone.
    """

    mean: np.ndarray
    local: dict[float, np.ndarray]
    mass: np.ndarray
    density: np.ndarray
    scanned: dict[float, np.ndarray]
    compact: np.ndarray


def compare(seed: int, voxels_mm: tuple[float, ...] = (0.082, 0.061)) -> Compared:
    """Compare the truths of one person's femur.

    Parameters
    ----------
    seed : int
        The person.
    voxels_mm : tuple of float
        Of the HR-pQCT scans.

    Returns
    -------
    Compared
    """
    bone = structured(simulate_hip(seed), seed).femur
    surface = bone.surface
    truths = {average: structure_truth(bone, average) for average in AVERAGES_MM}
    scanned = {}
    for voxel in voxels_mm:
        found = np.full(len(surface.points), np.nan)
        for low in _SLABS_MM:
            height = surface.points[:, 2] - low
            some = (np.abs(height - 0.5 * _SLAB_MM) < 0.15) & (np.abs(surface.normals[:, 2]) < _STEEPEST)
            rows = np.flatnonzero(some)
            slab = scan_slab(bone, low, low + _SLAB_MM, voxel, seed)
            cortex = cortical_compartment(slab)
            found[rows] = thickness_along(slab, cortex, surface.points[rows], surface.normals[rows])
        scanned[voxel] = found
    at_two = truths[2.0]
    return Compared(
        surface.arrays["cortical_thickness"],
        {average: truth.thickness for average, truth in truths.items()},
        at_two.mass_above_trabecular,
        at_two.cortical_density,
        scanned,
        surface.arrays["cortical_density"],
    )

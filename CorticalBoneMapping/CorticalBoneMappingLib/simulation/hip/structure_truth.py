"""The truth of a bone with microstructure at the points of its surface: thickness, mass and density.

Along the inward normal of each vertex the bone that a scan is made of is sampled as it is, struts, pores and
roughness. With microstructure a single line says little, so profiles are averaged over the surface around the
vertex by a Gaussian whose FWHM is stated, line by line at the same distance from where the cortex ends on
average: what is left is the cortex beneath the struts, not its slope.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ...core.surface import Surface
from ..structure.microstructure import Microstructure
from .bone import Bone

_STEP_MM = 0.05
_AROUND_MM = 1.5  # of the mean end of the cortex, within which the fraction falls through one half
_FWHM_PER_SD = 2.3548
_FACING = 0.5  # cosine between normals of points that are averaged


class StructureTruth(NamedTuple):
    """What is true at the vertices of the femur's surface.

    Attributes
    ----------
    thickness : ndarray of shape (n_points,)
        From the outer surface to where the averaged bone fraction falls through one half, mm.
    mass_above_trabecular : ndarray of shape (n_points,)
        Bone mass per area above the level of the cancellous bone beneath, mg/cm².
    cortical_mass : ndarray of shape (n_points,)
        Mass per area between the outer surface and that depth, mg/cm².
    cortical_density : ndarray of shape (n_points,)
        Mean density of that layer, mg/cm³.
    """

    thickness: np.ndarray
    mass_above_trabecular: np.ndarray
    cortical_mass: np.ndarray
    cortical_density: np.ndarray


def structure_truth(bone: Bone, average_mm: float = 2.0) -> StructureTruth:
    """Find the truth of a bone.

    Parameters
    ----------
    bone : Bone
        With or without a microstructure.
    average_mm : float
        Full width at half maximum of the average over the surface; 0 is the single line.

    Returns
    -------
    StructureTruth
        Along straight lines: the curvature of the surface is left out, as it is in a measured thickness. For
        what lies beneath the struts alone, ``cortical_thickness`` of the surface is the mean of `thickness`.
    """
    surface = bone.surface
    thickness, density = (
        np.asarray(surface.arrays[name], dtype=np.float64)
        for name in ("cortical_thickness", "cortical_density")
    )
    ends = surface.points - thickness[:, None] * surface.normals
    trabecular = bone.trabecular_density(ends, thickness)
    if bone.microstructure is None:
        return StructureTruth(
            thickness, thickness * (density - trabecular) / 10.0, thickness * density / 10.0, density
        )
    trabecular = bone.microstructure.bundled(ends, trabecular)
    lines = _lines(bone.microstructure, surface, thickness, density, trabecular)
    mean = _averaging(surface, average_mm)
    fraction, mass = mean @ lines.fraction, mean @ lines.density
    rough, above = mean @ lines.rough, (mean @ lines.above) / 10.0
    crossing = _falls_through_half(fraction, lines.places, thickness)
    until = np.clip((crossing[:, None] - lines.places) / _STEP_MM + 0.5, 0.0, 1.0)
    cortical_mass = (mass * until).sum(axis=1) * _STEP_MM / 10.0
    found = np.maximum(thickness + crossing - rough, _STEP_MM)
    return StructureTruth(found, above, cortical_mass, 10.0 * cortical_mass / found)


def with_local_truth(bone: Bone, average_mm: float = 2.0) -> Surface:
    """Return the bone's surface with its local truth too.

    Parameters
    ----------
    bone, average_mm
        As in `structure_truth`.

    Returns
    -------
    Surface
        With ``local_thickness`` (mm), ``local_mass`` (mg/cm², above the trabecular level) and
        ``local_density`` (mg/cm³, of the layer of that thickness).
    """
    truth = structure_truth(bone, average_mm)
    return bone.surface.with_arrays(
        units={"local_thickness": "mm", "local_mass": "mg/cm²", "local_density": "mg/cm³"},
        local_thickness=truth.thickness,
        local_mass=truth.mass_above_trabecular,
        local_density=truth.cortical_density,
    )


class _Lines(NamedTuple):
    """The bone along the normals, at `places` (n_places,) mm from where each line's cortex ends."""

    places: np.ndarray
    fraction: np.ndarray  # (n_points, n_places), as is
    density: np.ndarray  # the same; mg/cm³, 0 outside
    rough: np.ndarray  # (n_points,) mm that the surface lies deeper
    above: np.ndarray  # (n_points,) mass above the trabecular level, mg/cm³ mm


def _lines(
    structure: Microstructure,
    surface: Surface,
    thickness: np.ndarray,
    cortical: np.ndarray,
    trabecular: np.ndarray,
) -> _Lines:
    beyond = 4.5 * structure.structure.roughness_mm
    zone_mm = structure.zone_mm(surface.points)
    start, width = structure.zone_range(thickness, zone_mm, trabecular)
    first = -int(np.ceil((thickness.max() + beyond) / _STEP_MM))
    steps = np.arange(first, round(_AROUND_MM / _STEP_MM) + 1)
    places = steps * _STEP_MM
    depth = thickness[:, None] + places
    # A line is sampled from outside the roughest surface to the end of the zone or of the search.
    wanted = depth >= -beyond
    vertex, place = np.nonzero(wanted)
    depth = depth[wanted]
    points = surface.points[vertex] - depth[:, None] * surface.normals[vertex]
    rough_at = structure.structure.roughness_mm * structure.roughness.at(surface.points)
    rough = np.where(np.abs(depth) < beyond, np.nan, 0.0)
    close = np.flatnonzero(np.isnan(rough))
    rough[close] = structure.structure.roughness_mm * structure.roughness.at(points[close])
    inside = np.clip(0.5 + (depth - rough) / _STEP_MM, 0.0, 1.0)
    made = structure.expected(depth, thickness[vertex], zone_mm[vertex], cortical[vertex], trabecular[vertex])
    network = np.ones(len(depth))
    struts = np.flatnonzero((made.network < 1.0) & (inside > 0))
    network[struts] = structure.network.at(points[struts], made.network[struts])
    pores = structure.pores.at(points) if structure.structure.pore_variation else np.zeros(len(depth))
    fraction = structure.fraction(made, network, pores)
    density = structure.density(made, network, fraction)
    counted = inside * np.clip(((start + width)[vertex] - depth) / _STEP_MM + 0.5, 0.0, 1.0)
    above = np.bincount(vertex, counted * (density - trabecular[vertex]), len(thickness)) * _STEP_MM
    shape = (len(thickness), len(steps))
    fractions, densities = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    fractions[vertex, place], densities[vertex, place] = inside * fraction, inside * density
    return _Lines(places, fractions, densities, rough_at, above)


def _averaging(surface: Surface, fwhm_mm: float) -> sparse.csr_matrix:
    """Gaussian mean over vertices that face the same way, weighted by area; rows sum to 1."""
    count = len(surface.points)
    if fwhm_mm <= 0:
        return sparse.identity(count, dtype=np.float32, format="csr")
    sd = fwhm_mm / _FWHM_PER_SD
    tree = cKDTree(surface.points)
    near = tree.sparse_distance_matrix(tree, 2.5 * sd, output_type="coo_matrix")
    facing = np.einsum("ij,ij->i", surface.normals[near.row], surface.normals[near.col]) > _FACING
    weights = np.exp(-0.5 * (near.data / sd) ** 2) * surface.point_areas[near.col] * facing
    mean = sparse.csr_matrix((weights, (near.row, near.col)), shape=(count, count))
    return (sparse.diags(1.0 / np.asarray(mean.sum(axis=1)).ravel()) @ mean).astype(np.float32)


def _falls_through_half(fraction: np.ndarray, places: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """First place beyond the highest fraction of the cortex where it falls below one half."""
    inside = places <= 0.0
    highest = np.argmax(np.where(inside, fraction, -1.0), axis=1)
    below = (fraction < 0.5) & (np.arange(len(places)) > highest[:, None])
    after = np.argmax(below, axis=1)
    found = below.any(axis=1) & (after > 0)
    rows = np.arange(len(fraction))
    upper, lower = fraction[rows, after - 1], fraction[rows, after]
    share = np.clip((upper - 0.5) / np.maximum(upper - lower, 1e-6), 0.0, 1.0)
    crossing = places[np.maximum(after - 1, 0)] + share * _STEP_MM
    return np.where(found, crossing, np.where(fraction[rows, highest] < 0.5, -thickness, places[-1]))

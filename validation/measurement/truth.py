"""The truth at the points of a start surface, and the least error that physics allows there."""

from __future__ import annotations

from functools import cache as once
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.anatomy.regions import regions_of
from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.cortex.model.blur import Blur
from CorticalBoneMappingLib.cortex.model.profiles import sample_profiles
from CorticalBoneMappingLib.cortex.scan.noise import estimate_noise
from CorticalBoneMappingLib.cortex.settings import CortexSettings
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.simulation.hip import femur_shape

from . import cache, cramer_rao, line
from .scans import MadeScan, defect

_FROM_CUT_END_MM = 5.0
_BESIDE_MM, _HEAD_RADII = 6.0, 1.1
_BOUND_EVERY = 4  # points: the bound is smooth, and its covariances are large


def truth(made: MadeScan, surface: Surface) -> cache.Arrays:
    """Give the truth at each of n points, at the closest place of the true surface.

    Parameters
    ----------
    made : MadeScan
        The scan.
    surface : Surface
        Where the measurement starts.

    Returns
    -------
    dict of str to ndarray of shape (n,)
        ``thickness`` (mm), ``density``, ``trabecular`` (mg/cm³), ``mass`` (mg/cm²), ``edge`` (depth of the
        true periosteal edge below the point, mm), ``counted`` (farther than 5 mm from a cut end), ``beside``
        (on the head, other bone within 6 mm), ``region``, ``thinning`` (share, of the focal defect) and
        ``area`` (mm²).
    """
    femur = made.hip.femur
    true = femur.surface
    found = closest_points(true, surface.points)

    def at(values: np.ndarray) -> np.ndarray:
        return interpolate(true, values, found.triangle, found.weights)

    place, normal = at(true.points), at(true.normals)
    thickness, density = at(true.arrays["cortical_thickness"]), at(true.arrays["cortical_density"])
    inner = place - thickness[:, None] * normal / np.linalg.norm(normal, axis=1, keepdims=True)
    corner = true.triangles[found.triangle, np.argmax(found.weights, axis=1)]
    return {
        "thickness": thickness,
        "density": density,
        "mass": thickness * density / 10.0,
        "trabecular": femur.trabecular_density(inner, thickness),
        "edge": np.einsum("ij,ij->i", surface.points - place, surface.normals),
        "counted": _counted(surface),
        "beside": _beside(made, surface.points),
        "region": _regions()[corner],
        "thinning": at(defect(made.hip)[0]),
        "area": surface.point_areas,
    }


def bound(
    made: MadeScan,
    surface: Surface,
    true: cache.Arrays,
    calibration: Calibration,
    blur: Blur,
    folder: Path,
) -> cache.Arrays:
    """Give the Cramér–Rao bound of thickness and mass at every fourth point, and how askew its line runs.

    Parameters
    ----------
    made, surface, true
        As in `truth`.
    calibration : Calibration
        For the noise in mg/cm³.
    blur : Blur
        In the plane.
    folder : Path
        Of the cache.

    Returns
    -------
    dict of str to ndarray of shape (n,)
        ``thickness_given``, ``mass_given``, ``thickness_free``, ``mass_free``: with the cortical density
        known or fitted at each point. ``line``: error of thickness (mm) of a perfect measurement along the
        start surface's normal. Not-a-number at points where it was not asked for.
    """
    source = (
        cache.sources(Path(line.__file__))
        + cache.sources(Path(cramer_rao.__file__))
        + cache.sources(Path(estimate_noise.__code__.co_filename))
    )
    numbers = [blur.sigma_mm, blur.enhancement, calibration.slope]
    key = cache.digest(source, made.volume.array, surface.points, true["thickness"], numbers)
    return cache.kept(folder / "bounds", key, lambda: _bound(made, surface, true, calibration, blur))


def _bound(
    made: MadeScan, surface: Surface, true: cache.Arrays, calibration: Calibration, blur: Blur
) -> cache.Arrays:
    noise = estimate_noise(made.volume, surface.points)
    some = np.flatnonzero(true["counted"])[::_BOUND_EVERY]
    profiles = sample_profiles(surface.points[some], surface.normals[some], made.volume, CortexSettings())
    outside = np.full(len(some), calibration.density(np.array(40.0)))
    layers = cramer_rao.Layers(
        *(true[name][some] for name in ("edge", "thickness")),
        outside,
        *(true[name][some] for name in ("density", "trabecular")),
    )
    in_density = type(noise)(noise.sd * calibration.slope, noise.in_plane_mm, noise.across_mm)
    found = {"line": np.full(len(surface.points), np.nan)}
    along = line.thickness_along(made.hip.femur.surface, surface.points[some], surface.normals[some])
    found["line"][some] = along - true["thickness"][some]
    for name, known in (("given", True), ("free", False)):
        least = cramer_rao.cramer_rao_bound(profiles, layers, blur, in_density, density_known=known)
        for measure in ("thickness", "mass"):
            found[f"{measure}_{name}"] = np.full(len(surface.points), np.nan)
            found[f"{measure}_{name}"][some] = getattr(least, measure)
    return found


def _counted(surface: Surface) -> np.ndarray:
    cut = surface.arrays["cut_end"] > 0
    if not cut.any():
        return ~cut
    return cKDTree(surface.points[cut]).query(surface.points)[0] > _FROM_CUT_END_MM


def _beside(made: MadeScan, points: np.ndarray) -> np.ndarray:
    hip = made.hip
    others = np.concatenate([bone.surface.points for bone in hip.other_bones])
    near = cKDTree(others).query(points, distance_upper_bound=_BESIDE_MM)[0] < _BESIDE_MM
    return near & (np.linalg.norm(points - hip.head_centre, axis=1) < _HEAD_RADII * hip.head_radius_mm)


@once
def _regions() -> np.ndarray:
    """Region of each vertex of every digital femur: they correspond."""
    shape = femur_shape.mean_shape()
    return regions_of(shape, measure_anatomy(shape, "right"))

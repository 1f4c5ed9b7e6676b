"""From a CT and a surface to the cortex at every point.

A method is one small file with a function ``measure(scan: Scan) -> Estimates``, entered in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np

from ..calibration import Calibration
from ..core.errors import MeasurementError, SettingError
from ..core.measures import Quality
from ..core.progress import Progress
from ..core.surface import Surface
from ..core.volume import Volume
from ..mesh.smoothing import smooth
from .cortical_map import CorticalMap
from .methods import (
    constant_density,
    endocortical_ramp,
    half_maximum,
    independent,
    mass_conserving,
    surface_map,
)
from .model.profiles import Profiles, sample_profiles
from .scan.noise import estimate_noise
from .scan.scan import Estimates, Scan
from .scan.slice_thickness import SliceThickness, choose_slice_thickness
from .settings import CortexSettings

METHODS: dict[str, Callable[[Scan], Estimates]] = {
    "half-maximum": half_maximum.measure,
    "constant-density": constant_density.measure,
    "mass-conserving": mass_conserving.measure,
    "independent": independent.measure,
    "endocortical-ramp": endocortical_ramp.measure,
    "surface-map": surface_map.measure,
}
REFINED_METHODS = frozenset({"surface-map"})
"""Methods that measure along the normals of the outer edge itself; the published ones use the mask's."""

# The part of the line without which no cortex can be measured: depth in mm.
_NEEDED_MM = (-3.0, 3.0)
_FWHM_MM = (
    4.0  # of the refined surface: less lets the noise of thick slices in, more leaves what a mask has wrong
)
_BEYOND_INNER_EDGE_MM = 1.5
_METAL_FROM_MM = -3.0  # metal farther outside belongs to the acetabulum or a neighbour


def measure_cortex(
    surface: Surface,
    volume: Volume,
    calibration: Calibration,
    *,
    method: str = "surface-map",
    settings: CortexSettings | None = None,
    excluded: np.ndarray | None = None,
    compare_slices: bool = False,
    progress: Progress | None = None,
) -> CorticalMap:
    """Measure the cortex at every point of a periosteal surface.

    Parameters
    ----------
    surface : Surface
        n points, within about 1.5 mm of the periosteal edge; the outer edge itself is measured.
    volume : Volume
        CT in HU.
    calibration : Calibration
        From HU to density.
    method : str
        A name in `METHODS`.
    settings : CortexSettings, optional
        Densities among them are in the calibrated unit.
    excluded : ndarray of bool, shape (n,), optional
        Points not to measure (the caps of a truncated bone).
    compare_slices : bool
        Whether the slice thickness is compared with the image, which may overrule it; see
        `choose_slice_thickness`.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    CorticalMap

    Raises
    ------
    SettingError
        If there is no such method.
    MeasurementError
        If the surface lies outside the scan, or every point is excluded.
    """
    if method not in METHODS:
        raise SettingError(f"There is no method '{method}': choose one of {', '.join(METHODS)}.")
    settings, progress = settings or CortexSettings(), progress or Progress()
    excluded = np.zeros(len(surface.points), dtype=bool) if excluded is None else np.asarray(excluded, bool)
    if excluded.shape != (len(surface.points),):
        raise MeasurementError("The excluded points and the surface do not belong together: sizes differ.")
    points = np.flatnonzero(~excluded)
    if len(points) == 0:
        raise MeasurementError("Every point of the surface is excluded: nothing is left to measure.")
    progress.report(0.0, "Sampling the CT along the normals")
    noise = _tissue_noise(volume, surface, calibration)
    lines = _lines(surface, points, volume, calibration, settings, noise)
    slices = None
    if compare_slices and lines.scan.usable.any():
        slices = choose_slice_thickness(lines.scan, volume)
        if slices.used_mm != lines.scan.sampled.slice_thickness_mm:
            volume = replace(volume, slice_thickness_mm=slices.used_mm)
            lines = _lines(surface, points, volume, calibration, settings, noise)
    depth = np.zeros(len(surface.points))
    if method in REFINED_METHODS and lines.scan.usable.any():
        progress.report(0.1, "Finding the outer edge of the cortex")
        edge, depth = surface_at_outer_edge(lines.scan)
        lines = _lines(edge, points, volume, calibration, settings, noise)
    scan = lines.scan
    if not scan.usable.any():
        estimates = _nothing(len(points))
    else:
        progress.report(0.4, f"Measuring the cortex ({method})")
        estimates = METHODS[method](scan)
    innermost = estimates.outer_edge + estimates.thickness + _BEYOND_INNER_EDGE_MM
    outside = lines.outside | _leaves_scan(scan.sampled, innermost)
    estimates = replace(estimates, outer_edge=estimates.outer_edge + depth[points])
    quality = np.full(len(excluded), Quality.NOT_MEASURED, dtype=np.int8)
    quality[points] = _quality(estimates, lines.metal, outside)
    result = _as_map(scan, estimates, quality, method, slices)
    progress.report(1.0, "Cortex measured")
    return result


class _Lines(NamedTuple):
    """A scan sampled along its lines, and which lines (n,) meet metal or leave the CT."""

    scan: Scan
    metal: np.ndarray
    outside: np.ndarray


def _lines(
    surface: Surface,
    points: np.ndarray,
    volume: Volume,
    calibration: Calibration,
    settings: CortexSettings,
    noise: float | None,
) -> _Lines:
    profiles = sample_profiles(surface.points[points], surface.normals[points], volume, settings)
    metal, outside = _metal(profiles, settings), _leaves_scan(profiles, np.full(len(points), _NEEDED_MM[1]))
    density = np.where(profiles.valid, calibration.density(profiles.values), 0.0)
    scan = Scan(surface, points, replace(profiles, values=density), ~(metal | outside), settings, noise)
    return _Lines(scan, metal, outside)


def _tissue_noise(volume: Volume, surface: Surface, calibration: Calibration) -> float | None:
    noise = estimate_noise(volume, surface.points)
    density_per_hu = float(np.ptp(calibration.density(np.array([0.0, 1.0]))))
    return None if noise is None else noise.sd * density_per_hu


def _metal(profiles: Profiles, settings: CortexSettings) -> np.ndarray:
    above = (profiles.values > settings.metal_hu) & profiles.valid & (profiles.depth > _METAL_FROM_MM)
    return above.any(axis=1)


def _leaves_scan(profiles: Profiles, innermost: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        needed = (profiles.depth > _NEEDED_MM[0]) & (profiles.depth < innermost[:, None])
    return (needed & ~profiles.valid).any(axis=1)


def _nothing(count: int) -> Estimates:
    empty, none = np.full(count, np.nan), np.zeros(count, dtype=bool)
    return Estimates(empty, empty, empty, empty, empty, ~none, none, {})


def _quality(estimates: Estimates, metal: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Quality of each measured point; the physical obstacles come before what the fit says."""
    finite = np.isfinite(estimates.thickness) & np.isfinite(estimates.residual)
    finite &= np.isfinite(estimates.cortical_density) & np.isfinite(estimates.trabecular_density)
    return np.select(
        [outside, metal, estimates.no_cortex, estimates.failed | ~finite | ~(estimates.thickness > 0)],
        [Quality.OUTSIDE_SCAN, Quality.METAL, Quality.NO_CORTEX, Quality.FIT_FAILED],
        Quality.GOOD,
    )


def _as_map(
    scan: Scan, estimates: Estimates, quality: np.ndarray, method: str, slices: SliceThickness | None
) -> CorticalMap:
    good = quality[scan.points] == Quality.GOOD

    def over_surface(values: np.ndarray | None) -> np.ndarray | None:
        if values is None:
            return None
        whole = np.full(len(quality), np.nan)
        whole[scan.points[good]] = values[good]
        return whole

    result = CorticalMap(
        thickness=over_surface(estimates.thickness),
        density=over_surface(estimates.cortical_density),
        mass_surface_density=over_surface(estimates.thickness * estimates.cortical_density / 10.0),
        trabecular_density=over_surface(estimates.trabecular_density),
        residual=over_surface(estimates.residual),
        periosteal_offset=over_surface(estimates.outer_edge),
        quality=quality,
        used={},
        thickness_sd=over_surface(estimates.thickness_sd),
        density_sd=over_surface(estimates.cortical_density_sd),
        mass_sd=over_surface(estimates.mass_sd),
        periosteal_offset_sd=over_surface(estimates.outer_edge_sd),
    )
    used = {
        "method": method,
        "settings": asdict(scan.settings),
        "slice_thickness_mm": scan.sampled.slice_thickness_mm,
        "noise": scan.noise if scan.usable.any() else None,
        "counts": result.counts,
    }
    used |= slices.record if slices is not None else {}
    warnings = () if slices is None or slices.warning is None else (slices.warning,)
    return replace(result, used=used | estimates.used, warnings=warnings)


def surface_at_outer_edge(scan: Scan) -> tuple[Surface, np.ndarray]:
    """Move the surface to the outer edges that a fit with constant density finds.

    A mask is off by half a millimetre here and there, and its normals by some degrees; a line that is askew
    by the angle a passes through 1 / cos(a) of the cortex, and smears its edges. A first fit finds the outer
    edge on every line; a surface through those edges, smoothed so that noise does not tilt it, gives better
    lines.

    Parameters
    ----------
    scan : Scan
        Of n points of a surface.

    Returns
    -------
    surface : Surface
        The same triangles, moved along their normals.
    depth : ndarray of shape (n_surface_points,)
        How far inward each point moved, in mm; points without a fit move with their neighbours.
    """
    fit = scan.constant_density_fit
    found = scan.usable & fit.converged & ~fit.at_bound & (fit.thickness > 0)
    depth = np.full(len(scan.surface.points), np.nan)
    depth[scan.points[found]] = fit.outer_edge[found]
    if not found.any():
        return scan.surface, np.zeros(len(depth))
    depth = np.nan_to_num(smooth(scan.surface, depth, _FWHM_MM, fill=True))
    points = scan.surface.points - depth[:, None] * scan.surface.normals
    return replace(scan.surface, points=points), depth

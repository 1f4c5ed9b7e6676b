"""Measure the cortex at every point of a surface.

A method is a module with a function ``measure(scan: Scan) -> Estimates``, listed in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np

from ..calibration import Calibration
from ..core.errors import MeasurementError, SettingError
from ..core.measures import VertexStatus
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


@dataclass(frozen=True)
class LineSettings:
    """Numbers of the lines; depths in mm, inward; chosen by hand, not tuned."""

    needed_mm: tuple[float, float] = (-3.0, 3.0)  # without this part of the line no cortex can be measured
    # Full width at half maximum of the refined surface's smoothing: less lets the noise of thick slices in,
    # more leaves the errors of a mask.
    fwhm_mm: float = 4.0
    beyond_inner_edge_mm: float = 1.5
    metal_from_mm: float = -3.0  # metal farther outside belongs to the acetabulum or a neighbour


LINES = LineSettings()


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
        n points, within about 1.5 mm of the periosteal edge, which is measured, too.
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
        Whether the slice thickness is compared with the image, which may replace it; see
        `choose_slice_thickness`.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    CorticalMap

    Raises
    ------
    SettingError
        If the method does not exist.
    MeasurementError
        If the surface lies outside the scan, or every point is excluded.
    """
    if method not in METHODS:
        raise SettingError(f"The method '{method}' does not exist. Choose one of {', '.join(METHODS)}.")
    settings, progress = settings or CortexSettings(), progress or Progress()
    excluded = np.zeros(len(surface.points), dtype=bool) if excluded is None else np.asarray(excluded, bool)
    if excluded.shape != (len(surface.points),):
        raise MeasurementError("The excluded points and the surface differ in size.")
    points = np.flatnonzero(~excluded)
    if len(points) == 0:
        raise MeasurementError("Every point of the surface is excluded; nothing is left to measure.")
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
        estimates = _no_estimates(len(points))
    else:
        progress.report(0.4, f"Measuring the cortex ({method})")
        estimates = METHODS[method](scan)
    innermost = estimates.outer_edge + estimates.thickness + LINES.beyond_inner_edge_mm
    outside = lines.outside | _leaves_scan(scan.sampled, innermost)
    estimates = replace(estimates, outer_edge=estimates.outer_edge + depth[points])
    quality = np.full(len(excluded), VertexStatus.NOT_MEASURED, dtype=np.int8)
    quality[points] = _status(estimates, lines.metal, outside)
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
    metal, outside = (
        _metal(profiles, settings),
        _leaves_scan(profiles, np.full(len(points), LINES.needed_mm[1])),
    )
    density = np.where(profiles.valid, calibration.density(profiles.values), 0.0)
    scan = Scan(surface, points, replace(profiles, values=density), ~(metal | outside), settings, noise)
    return _Lines(scan, metal, outside)


def _tissue_noise(volume: Volume, surface: Surface, calibration: Calibration) -> float | None:
    noise = estimate_noise(volume, surface.points)
    density_per_hu = float(np.ptp(calibration.density(np.array([0.0, 1.0]))))
    return None if noise is None else noise.sd * density_per_hu


def _metal(profiles: Profiles, settings: CortexSettings) -> np.ndarray:
    metal = (profiles.values > settings.metal_hu) & (profiles.depth > LINES.metal_from_mm)
    return (metal & profiles.valid).any(axis=1)


def _leaves_scan(profiles: Profiles, innermost: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        needed = (profiles.depth > LINES.needed_mm[0]) & (profiles.depth < innermost[:, None])
    return (needed & ~profiles.valid).any(axis=1)


def _no_estimates(count: int) -> Estimates:
    empty, none = np.full(count, np.nan), np.zeros(count, dtype=bool)
    return Estimates(empty, empty, empty, empty, empty, ~none, none, {})


def _status(estimates: Estimates, metal: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Status of each measured point; physical obstacles come before failures of the fit."""
    finite = np.isfinite(estimates.thickness) & np.isfinite(estimates.residual)
    finite &= np.isfinite(estimates.cortical_density) & np.isfinite(estimates.trabecular_density)
    return np.select(
        [outside, metal, estimates.no_cortex, estimates.failed | ~finite | ~(estimates.thickness > 0)],
        [VertexStatus.OUTSIDE_SCAN, VertexStatus.METAL, VertexStatus.NO_CORTEX, VertexStatus.FIT_FAILED],
        VertexStatus.GOOD,
    )


def _as_map(
    scan: Scan, estimates: Estimates, quality: np.ndarray, method: str, slices: SliceThickness | None
) -> CorticalMap:
    good = quality[scan.points] == VertexStatus.GOOD

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
        local_thickness=over_surface(estimates.local_thickness),
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

    A mask is off by half a millimetre in places, and its normals by some degrees; a line tilted by the angle
    a passes through 1 / cos(a) of the cortex, and blurs its edges. A first fit finds the outer edge on every
    line; a surface through those edges, smoothed so that noise does not tilt it, gives better lines.

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
    depth = np.nan_to_num(smooth(scan.surface, depth, LINES.fwhm_mm, fill=True))
    points = scan.surface.points - depth[:, None] * scan.surface.normals
    return replace(scan.surface, points=points), depth

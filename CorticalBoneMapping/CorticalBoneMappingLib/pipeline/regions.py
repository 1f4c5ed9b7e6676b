"""Summarise measures by anatomical region: area-weighted means, and counts of points without a value."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..calibration import Calibration
from ..core.measures import MEASURES, VertexStatus
from ..core.surface import Surface

WHOLE_FEMUR = "whole femur"

REGION_COLUMNS: dict[str, type] = {
    "region": str,
    "measure": str,
    "unit": str,
    "mean": float,
    "sd": float,
    "calibration_sd": float,
    "coverage": float,
    "n_points": int,
    "area_mm2": float,
    "n_no_cortex": int,
    "n_fit_failed": int,
    "n_metal": int,
}
"""Columns of the region table and their types; `region_rows` explains them."""


def region_rows(
    surface: Surface,
    regions: np.ndarray,
    names: dict[int, str],
    calibration: Calibration | None = None,
    density_given: bool = False,
) -> list[dict[str, Any]]:
    """Summarise every measure in every region and in the whole femur.

    Each point weighs by its area, so that the density of the mesh does not matter. The cut ends of the bone
    (`Quality.NOT_MEASURED`) are not periosteal surface and belong to no region.

    Parameters
    ----------
    surface : Surface
        The subject's bone with measures and ``quality``; areas are the subject's own.
    regions : ndarray of int, shape (n_points,)
        Region of each point; a value that is not in `names` (-1 where the average femur does not reach)
        belongs to the whole femur only.
    names : dict of int to str
        Names of the regions.
    calibration : Calibration, optional
        Of the measures; its uncertainty gives ``calibration_sd``.
    density_given : bool
        Whether the density of the cortex was given in mg/cm³, so that the calibration changes thickness.

    Returns
    -------
    list of dict
        A row per region and measure with the keys of `REGION_COLUMNS`. ``mean`` and ``sd`` are
        area-weighted (not-a-number where nothing was measured). ``calibration_sd`` is the standard deviation
        of the mean by the uncertainty of the calibration; all regions shift together. It is 0 for thickness
        (for density instead, where that was given), and not-a-number where it is not known. ``coverage`` is
        the measured part of the area (0 to 1), ``n_points`` counts the points with a value, ``area_mm2`` is
        the area of the region, and ``n_no_cortex`` (a finding), ``n_fit_failed`` and ``n_metal`` count points
        without.
    """
    periosteal = surface.arrays["quality"] != VertexStatus.NOT_MEASURED
    groups = {WHOLE_FEMUR: periosteal} | {
        name: periosteal & (regions == number) for number, name in sorted(names.items())
    }
    calibration = calibration or Calibration.none()
    return [
        _row(surface, name, inside, measure, calibration, density_given)
        for name, inside in groups.items()
        for measure, kind in MEASURES.items()
        if measure in surface.arrays and not kind.is_uncertainty
    ]


def _row(
    surface: Surface,
    region: str,
    inside: np.ndarray,
    measure: str,
    calibration: Calibration,
    density_given: bool,
) -> dict[str, Any]:
    values, quality = surface.arrays[measure], surface.arrays["quality"][inside]
    measured = inside & np.isfinite(values)
    area = float(surface.point_areas[inside].sum())
    mean, sd = _weighted(values[measured].astype(np.float64), surface.point_areas[measured])
    return {
        "region": region,
        "measure": measure,
        "unit": surface.units.get(measure, MEASURES[measure].unit),
        "mean": mean,
        "sd": sd,
        "calibration_sd": _calibration_sd(surface, measured, measure, mean, calibration, density_given),
        "coverage": float(surface.point_areas[measured].sum() / area) if area > 0 else 0.0,
        "n_points": int(measured.sum()),
        "area_mm2": area,
        "n_no_cortex": int(np.sum(quality == VertexStatus.NO_CORTEX)),
        "n_fit_failed": int(np.sum(quality == VertexStatus.FIT_FAILED)),
        "n_metal": int(np.sum(quality == VertexStatus.METAL)),
    }


def _calibration_sd(
    surface: Surface,
    measured: np.ndarray,
    measure: str,
    mean: float,
    calibration: Calibration,
    density_given: bool,
) -> float:
    """Shift of a regional mean by the calibration, (∂mean/∂slope, ∂mean/∂intercept) through its covariance.

    Every measure is linear in slope and intercept: a density ρ = slope · HU + intercept; mass, which is
    ρ · thickness / 10; a residual, which is a difference of densities; thickness, which depends on neither.
    """
    if not np.isfinite(mean) or calibration.covariance is None:
        return float("nan")
    if measure == "cortical_density" and density_given:
        return 0.0
    if MEASURES[measure].unit == "mm":
        # Where the density was given, thickness moves, but by how much depends on what surrounds the cortex.
        return float("nan") if density_given else 0.0
    # A residual is a difference of densities, to which the intercept adds nothing.
    by_intercept = 0.0 if measure == "fit_residual" else 1.0
    if measure == "cortical_mass_surface_density":
        thickness = surface.arrays["cortical_thickness"][measured].astype(np.float64)
        by_intercept = _weighted(thickness, surface.point_areas[measured])[0] / 10.0
    by_slope = (mean - by_intercept * calibration.intercept) / calibration.slope
    return float(calibration.shift_sd(by_slope, by_intercept))


def _weighted(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    if len(values) == 0:
        return float("nan"), float("nan")
    mean = np.average(values, weights=weights)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))

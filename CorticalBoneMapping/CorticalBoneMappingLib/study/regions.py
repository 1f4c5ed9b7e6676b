"""Values by anatomical region: area-weighted means of every measure, and what could not be measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..measures import MEASURES, Quality
from ..surface import Surface

WHOLE_FEMUR = "whole femur"

REGION_COLUMNS: dict[str, type] = {
    "region": str,
    "measure": str,
    "unit": str,
    "mean": float,
    "sd": float,
    "coverage": float,
    "n_points": int,
    "area_mm2": float,
    "n_no_cortex": int,
    "n_fit_failed": int,
    "n_metal": int,
}
"""Columns of the region table and what they hold; `region_rows` explains them."""


def region_rows(surface: Surface, regions: np.ndarray, names: dict[int, str]) -> list[dict[str, Any]]:
    """Summarise every measure in every region and in the whole femur.

    Each point weighs by the area it stands for, so that the result does not depend on where the mesh is
    dense. The cut ends of the bone (`Quality.NOT_MEASURED`) are no periosteal surface and belong to no
    region.

    Parameters
    ----------
    surface : Surface
        The subject's bone with measures and ``quality``; areas are the subject's own.
    regions : ndarray of int, shape (n_points,)
        Region of each point; a value that `names` has not (-1 where the average
        femur does not reach) belongs to the whole femur only.
    names : dict of int to str
        Names of the regions.

    Returns
    -------
    list of dict
        A row per region and measure with the keys of `REGION_COLUMNS`. ``mean`` and ``sd`` are
        area-weighted (not-a-number where nothing was measured), ``coverage`` is the measured part of
        the area (0 to 1), ``n_points`` counts the points with a value, ``area_mm2`` is the area of the
        region, and ``n_no_cortex`` (a finding), ``n_fit_failed`` and ``n_metal`` count points without.
    """
    periosteal = surface.arrays["quality"] != Quality.NOT_MEASURED
    groups = {WHOLE_FEMUR: periosteal} | {
        name: periosteal & (regions == number) for number, name in sorted(names.items())
    }
    return [
        _row(surface, name, inside, measure)
        for name, inside in groups.items()
        for measure in MEASURES
        if measure in surface.arrays
    ]


def _row(surface: Surface, region: str, inside: np.ndarray, measure: str) -> dict[str, Any]:
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
        "coverage": float(surface.point_areas[measured].sum() / area) if area > 0 else 0.0,
        "n_points": int(measured.sum()),
        "area_mm2": area,
        "n_no_cortex": int(np.sum(quality == Quality.NO_CORTEX)),
        "n_fit_failed": int(np.sum(quality == Quality.FIT_FAILED)),
        "n_metal": int(np.sum(quality == Quality.METAL)),
    }


def _weighted(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    if len(values) == 0:
        return float("nan"), float("nan")
    mean = np.average(values, weights=weights)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))

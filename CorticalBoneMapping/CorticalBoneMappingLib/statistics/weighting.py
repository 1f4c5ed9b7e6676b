"""Weights from the measurement's own standard deviations."""

from __future__ import annotations

import numpy as np

from ..errors import StatisticsError
from .design import Design
from .least_squares import fit_least_squares
from .maps import Maps

_ITERATIONS = 25
_TOLERANCE = 1e-6


def measurement_weights(maps: Maps, design: Design) -> np.ndarray:
    """Weigh each value by the inverse of its whole variance: between people plus measurement.

    The variance between people τ² is that with which the weighted residual sum of squares is as large as its
    degrees of freedom (Paule and Mandel 1982, by the Newton steps of DerSimonian and Kacker 2007, eq. 13);
    where it is so without any, τ² is 0. Where people differ much more than the measurement errs, weights
    come out nearly equal, as they should.

    Parameters
    ----------
    maps : Maps
        With `sd`.
    design : Design
        Of its rows.

    Returns
    -------
    ndarray of shape (n, v)
        1 / (τ² + sd²), and 0 where there is no value.

    Raises
    ------
    StatisticsError
        If the maps have no standard deviations, or one is missing or not positive where there is a value.
    """
    if maps.sd is None:
        raise StatisticsError(
            "These maps have no standard deviations of their own, so they cannot weigh by them."
        )
    wrong = maps.measured & ~(maps.sd > 0)
    if wrong.any():
        rows = np.flatnonzero(wrong.any(axis=1))
        raise StatisticsError(
            f"The standard deviation is missing or not positive where there is a value, in "
            f"{maps.table.describe_rows(rows)}; map these again, or do not weigh."
        )
    squares = np.where(maps.measured, maps.sd, 1.0).astype(np.float64) ** 2
    between = np.zeros(squares.shape[1])
    moving = np.ones(len(between), dtype=bool)
    for _ in range(_ITERATIONS):
        step = _newton(maps.values[:, moving], design, squares[:, moving], between[moving])
        between[moving] += step
        moving[moving] = step > _TOLERANCE * (between[moving] + squares[:, moving].min(axis=0))
        if not moving.any():
            break
    return np.where(maps.measured, 1.0 / (between + squares), 0.0)


def _newton(values: np.ndarray, design: Design, squares: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Step towards the variance between people; from below, no step is too long."""
    weights = 1.0 / (between + squares)
    fit = fit_least_squares(values, design, weights)
    weighted = np.where(np.isfinite(fit.residuals), weights * fit.residuals, 0.0)
    too_much = (fit.variance - 1.0) * fit.dof
    step = too_much / np.maximum(np.sum(weighted**2, axis=0), np.finfo(float).tiny)
    return np.where(step > 0, step, 0.0)  # not where it is not-a-number

"""Weights from the measurement's own standard deviations."""

from __future__ import annotations

import numpy as np

from ..errors import StatisticsError
from .design import Design
from .least_squares import fit_least_squares
from .maps import Maps


def measurement_weights(maps: Maps, design: Design) -> np.ndarray:
    """Weigh each value by the inverse of its whole variance: between people plus measurement.

    The variance between people τ² is what the measurement's variance leaves of the residuals of least
    squares, by moments (DerSimonian and Kacker 2007, eq. 7, with equal weights); where nothing is left it is
    0. Where people differ much more than the measurement errs, weights come out nearly equal, as they should.

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
    squares = np.where(maps.measured, maps.sd, 0.0).astype(np.float64) ** 2
    fit = fit_least_squares(maps, design)
    # E(residual sum of squares) = τ² (n − p) + Σ (1 − leverage) sd²
    leverage = np.einsum(
        "np,...pq,nq->...n", design.matrix, fit.unscaled_covariance, design.matrix, optimize=True
    )
    expected = np.sum((1.0 - leverage.T.reshape(len(squares), -1)) * squares, axis=0)
    between = np.maximum(fit.variance - expected / fit.dof, 0.0)
    between = np.where(np.isfinite(between), between, 0.0)
    return np.divide(1.0, between + squares, out=np.zeros_like(squares), where=maps.measured)

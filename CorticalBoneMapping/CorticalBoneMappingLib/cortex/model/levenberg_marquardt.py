"""Solve many small least-squares problems at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Chosen by hand; not tuned. A step this much smaller than the natural scale of every parameter, or a cost
# lower by this share, ends a problem.
_STEP_TOLERANCE = 1e-4
_COST_TOLERANCE = 1e-6
_FIRST_DAMPING = 1e-2
_HIGHEST_DAMPING = 1e8

Model = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class BatchFit:
    """Solution of n problems with p parameters.

    Attributes
    ----------
    parameters : ndarray of shape (n, p)
    cost : ndarray of shape (n,)
        Sum of squared (weighted) residuals.
    normal_matrix : ndarray of shape (n, p, p)
        JᵀJ at the solution.
    converged : ndarray of bool, shape (n,)
    """

    parameters: np.ndarray
    cost: np.ndarray
    normal_matrix: np.ndarray
    converged: np.ndarray


def fit_batch(
    model: Model,
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    scale: np.ndarray,
    iterations: int = 40,
) -> BatchFit:
    """Minimise the sum of squares of every problem by Levenberg–Marquardt, within bounds.

    Parameters
    ----------
    model : callable
        ``model(which, parameters)`` gives the residuals, shape (k, m), and their Jacobian, shape
        (p, k, m), of the problems `which` (k indices) at `parameters` of shape (k, p).
    start : ndarray of shape (n, p)
        First guess; clipped to the bounds.
    lower, upper : ndarray of shape (n, p)
        Bounds. A parameter that presses against its bound is held there.
    scale : ndarray of shape (p,)
        Size of a change that matters, by parameter.
    iterations : int
        Greatest number of steps.

    Returns
    -------
    BatchFit
        Converged problems leave the batch, so the cost of a call falls with each step.
    """
    parameters = np.clip(start, lower, upper)
    count = len(parameters)
    residual, jacobian = model(np.arange(count), parameters)
    cost, gradient, matrix = normal_equations(residual, jacobian)
    damping = np.full(count, _FIRST_DAMPING)
    converged = np.zeros(count, dtype=bool)
    active = np.flatnonzero(np.isfinite(cost))
    for _ in range(iterations):
        if len(active) == 0:
            break
        step = _damped_step(
            matrix[active],
            gradient[active],
            damping[active],
            parameters[active],
            lower[active],
            upper[active],
        )
        trial = np.clip(parameters[active] + step, lower[active], upper[active])
        moved = np.max(np.abs(trial - parameters[active]) / scale, axis=1)
        residual, jacobian = model(active, trial)
        trial_cost, trial_gradient, trial_matrix = normal_equations(residual, jacobian)
        better = trial_cost <= cost[active]
        gain = cost[active] - trial_cost
        done = (moved < _STEP_TOLERANCE) | (better & (gain <= _COST_TOLERANCE * cost[active]))
        taken = active[better]
        parameters[taken], cost[taken] = trial[better], trial_cost[better]
        gradient[taken], matrix[taken] = trial_gradient[better], trial_matrix[better]
        damping[active] = np.where(better, damping[active] * 0.2, damping[active] * 5.0)
        converged[active[done]] = True
        active = active[~done & (damping[active] < _HIGHEST_DAMPING)]
    return BatchFit(parameters, cost, matrix, converged)


def normal_equations(residual: np.ndarray, jacobian: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the cost (k,), the gradient Jᵀr (k, p) and JᵀJ (k, p, p)."""
    size, count, _ = jacobian.shape
    gradient = np.empty((count, size))
    matrix = np.empty((count, size, size))
    for row in range(size):
        gradient[:, row] = np.einsum("km,km->k", jacobian[row], residual)
        for column in range(row, size):
            product = np.einsum("km,km->k", jacobian[row], jacobian[column])
            matrix[:, row, column] = matrix[:, column, row] = product
    return np.einsum("km,km->k", residual, residual), gradient, matrix


def _damped_step(
    matrix: np.ndarray,
    gradient: np.ndarray,
    damping: np.ndarray,
    parameters: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> np.ndarray:
    """Solve (JᵀJ + λ diag) step = −Jᵀr with the parameters that press on a bound held."""
    held = ((parameters <= lower) & (gradient > 0)) | ((parameters >= upper) & (gradient < 0))
    size = parameters.shape[1]
    diagonal = np.arange(size)
    free = ~held
    damped = matrix * (free[:, :, None] & free[:, None, :])
    own = matrix[:, diagonal, diagonal]
    floor = 1e-12 * own.max(axis=1, keepdims=True) + 1e-300  # a parameter without influence does not move
    damped[:, diagonal, diagonal] = np.where(held, 1.0, own * (1.0 + damping[:, None]) + floor)
    return np.linalg.solve(damped, -np.where(held, 0.0, gradient)[:, :, None])[:, :, 0]

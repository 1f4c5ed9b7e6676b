"""Derivatives of fits with a given cortical density: by that density, and by errors of the blur."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.levenberg_marquardt import normal_equations
from ..model.three_layers import LayerFit, ThreeLayers
from .scan import Scan

_CHUNK = 1024  # fits at once: bounds memory
_EDGES = 4  # x0, t, y0, y2; the density is the fifth
_BLUR_STEP = 0.01  # relative, of a difference quotient


class Sensitivity(NamedTuple):
    """Sensitivity of n fits to the cortical density y1; edges and backgrounds follow it.

    Attributes
    ----------
    density : ndarray of shape (n,)
        The density that the profile alone would move to (one Gauss–Newton step).
    precision : ndarray of shape (n,)
        Inverse of its variance; 0 where the profile does not depend on it.
    thickness_by_density : ndarray of shape (n,)
        How t changes with y1, mm per unit of density.
    thickness_variance : ndarray of shape (n,)
        Variance of t in mm² at the given density.
    density_by_blur, thickness_by_blur : ndarray of shape (n, 2)
        How `density`, and t at a given density, move with relative errors of the blur along the normal: of
        the Gaussian's σ, of the rectangle's width.
    """

    density: np.ndarray
    precision: np.ndarray
    thickness_by_density: np.ndarray
    thickness_variance: np.ndarray
    density_by_blur: np.ndarray
    thickness_by_blur: np.ndarray


def density_sensitivity(scan: Scan, fit: LayerFit) -> Sensitivity:
    """Differentiate fits by the cortical density.

    The other four parameters are eliminated from the normal equations (a Schur complement), so the result
    is the profile likelihood of y1 to second order.

    Parameters
    ----------
    scan : Scan
        Of n points.
    fit : LayerFit
        Their fits at given densities.

    Returns
    -------
    Sensitivity
        Noise enters as the greater of the scan's noise and the fit's residual.
    """
    parts = [
        _of_part(scan, fit, np.arange(first, min(first + _CHUNK, len(fit.thickness))))
        for first in range(0, len(fit.thickness), _CHUNK)
    ]
    slope, matrix, thickness_by, variance = (np.concatenate(column) for column in zip(*parts))
    noise = np.maximum(scan.noise, fit.residual) ** 2 * scan.profiles.samples_per_voxel
    curvature = matrix[:, 0]
    known = curvature > 0
    safe = np.where(known, curvature, 1.0)
    step = np.where(known, -slope / safe, 0.0)
    by_blur = np.where(known[:, None], -matrix[:, 1:] / safe[:, None], 0.0)
    return Sensitivity(
        fit.cortex + step,
        np.where(known, curvature, 0.0) / noise,
        thickness_by[:, 0],
        variance * noise,
        by_blur,
        thickness_by[:, 1:],
    )


def _of_part(scan: Scan, fit: LayerFit, part: np.ndarray) -> tuple[np.ndarray, ...]:
    """Slope of half the cost by y1; derivatives of it and of t by y1 and blur; variance of t over noise."""
    blur = scan.thick_cortex.blur
    model = ThreeLayers(scan.profiles.take(part), scan.features.outer_limit[part], blur, None, scan.noise)
    columns = (fit.outer_edge, fit.thickness, fit.outside, fit.inside, fit.cortex)
    parameters = np.stack([column[part] for column in columns], axis=1)
    model.follow(parameters[:, 0], parameters[:, 1])
    residual, jacobian = model(np.arange(len(part)), parameters)
    jacobian = np.concatenate([jacobian, _by_blur(model, parameters, residual)])
    _, gradient, matrix = normal_equations(residual, jacobian)
    slope, reduced, response, inverse = without_edges(gradient, matrix)
    return slope[:, 0], reduced[:, 0], -response[:, 1], inverse[:, 1, 1]


def without_edges(gradient: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, ...]:
    """Eliminate edges and backgrounds, the first four parameters, from normal equations.

    Parameters
    ----------
    gradient : ndarray of shape (k, 4 + q)
    matrix : ndarray of shape (k, 4 + q, 4 + q)

    Returns
    -------
    slope : ndarray of shape (k, q)
        Gradient by the q others, the four following them.
    reduced : ndarray of shape (k, q, q)
        The Schur complement.
    response : ndarray of shape (k, 4, q)
        How the four move against the q others.
    inverse : ndarray of shape (k, 4, 4)
        Of the matrix of the four.
    """
    edges = matrix[:, :_EDGES, :_EDGES].copy()
    own = np.einsum("kii->ki", edges)
    own += 1e-9 * own.max(axis=1, keepdims=True) + 1e-300  # a background off the line has no influence
    inverse = np.linalg.inv(edges)
    mixed = matrix[:, :_EDGES, _EDGES:]
    response = inverse @ mixed
    slope = gradient[:, _EDGES:] - np.einsum("kiq,ki->kq", response, gradient[:, :_EDGES])
    reduced = matrix[:, _EDGES:, _EDGES:] - np.einsum("kiq,kij->kqj", response, mixed)
    return slope, reduced, response, inverse


def _by_blur(model: ThreeLayers, parameters: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Derivatives of the residuals by relative changes of the blur, shape (2, k, m)."""
    blur, columns = model.blur, []
    for name in ("sigma", "half_width"):
        model.blur = blur._replace(**{name: getattr(blur, name) * (1.0 + _BLUR_STEP)})
        columns.append((model(np.arange(len(parameters)), parameters)[0] - residual) / _BLUR_STEP)
    model.blur = blur
    return np.stack(columns)

"""What a profile, fitted with a given cortical density, says about that density and about thickness."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._levenberg_marquardt import normal_equations
from .scan import Scan
from .three_layers import LayerFit, ThreeLayers

_CHUNK = 1024
_EDGES = 4  # x0, t, y0, y2; the density is the fifth


class Sensitivity(NamedTuple):
    """Of n fits to the cortical density y1, edges and backgrounds following it.

    Attributes
    ----------
    density : ndarray of shape (n,)
        The density that the profile alone would move to (one Gauss–Newton step).
    precision : ndarray of shape (n,)
        Inverse of its variance; 0 where the profile cannot tell.
    thickness_by_density : ndarray of shape (n,)
        How t changes with y1, mm per unit of density.
    thickness_variance : ndarray of shape (n,)
        Variance of t in mm² at the given density.
    """

    density: np.ndarray
    precision: np.ndarray
    thickness_by_density: np.ndarray
    thickness_variance: np.ndarray


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
    slope, curvature, by_density, variance = (np.concatenate(column) for column in zip(*parts))
    noise = np.maximum(scan.noise, fit.residual) ** 2 * scan.profiles.samples_per_voxel
    told = curvature > 0
    step = np.where(told, -slope / np.where(told, curvature, 1.0), 0.0)
    return Sensitivity(
        fit.cortex + step, np.where(told, curvature, 0.0) / noise, by_density, variance * noise
    )


def _of_part(scan: Scan, fit: LayerFit, part: np.ndarray) -> tuple[np.ndarray, ...]:
    """Slope and curvature of half the cost by y1, dt/dy1, and the (t, t) entry of the inverse."""
    blur = scan.thick_cortex.blur
    model = ThreeLayers(scan.profiles.take(part), scan.landmarks.outer_limit[part], blur, None, scan.noise)
    columns = (fit.outer_edge, fit.thickness, fit.outside, fit.inside, fit.cortex)
    parameters = np.stack([column[part] for column in columns], axis=1)
    model.follow(parameters[:, 0], parameters[:, 1])
    _, gradient, matrix = normal_equations(*model(np.arange(len(part)), parameters))
    edges = matrix[:, :_EDGES, :_EDGES].copy()
    own = np.einsum("kii->ki", edges)
    own += 1e-9 * own.max(axis=1, keepdims=True) + 1e-300  # a background off the line has no influence
    inverse = np.linalg.inv(edges)
    mixed = matrix[:, :_EDGES, _EDGES]
    response = np.einsum("kij,kj->ki", inverse, mixed)
    slope = gradient[:, _EDGES] - np.einsum("ki,ki->k", response, gradient[:, :_EDGES])
    curvature = matrix[:, _EDGES, _EDGES] - np.einsum("ki,ki->k", response, mixed)
    return slope, curvature, -response[:, 1], inverse[:, 1, 1]

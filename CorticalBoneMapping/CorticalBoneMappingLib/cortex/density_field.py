"""Cortical density as a smooth field over the bone, learnt from the places that can tell it.

The density at a point is a level of the bone, plus a trend with thickness that all bones share in sign, plus
a Gaussian process in space:

    y1(p) = level + trend · exp(−t / 2 mm) + field(p)

Level, trend and field have prior distributions; every profile adds what it knows. A low-rank basis (the
Nyström form of a Matérn-3/2 process; Rasmussen and Williams 2006, Gaussian Processes, ch. 8) keeps the whole
bone one small linear system, whose inverse is the posterior covariance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.distance import cdist

CORRELATION_MM = 12.0  # remodelling and load change over about a centimetre; shorter, noise would be believed
_KNOT_SPACING = 0.6  # of the correlation length: the basis then loses less than the noise hides
_MOST_KNOTS = 400
_FIELD_SD = 0.04  # of the level: from place to place, at equal thickness
_TREND_MEAN, _TREND_SD = -0.10, 0.05  # of the level: thin cortex is more porous, so its material is lighter
_TREND_MM = 2.0


class Field(NamedTuple):
    """Posterior of the density.

    Attributes
    ----------
    mean, sd : ndarray of shape (n,)
        Posterior mean and standard deviation at each point, in the unit of the profiles.
    """

    mean: np.ndarray
    sd: np.ndarray


class DensityField:
    """The prior over one bone, to be joined with what its profiles know.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        RAS mm.
    level : float
        Expected density of thick cortex, in the unit of the profiles.
    level_sd : float
        Its standard deviation, as a fraction.
    """

    def __init__(self, points: np.ndarray, level: float, level_sd: float) -> None:
        knots = _spread_out(points)
        covariance = _matern(cdist(knots, knots)) + 1e-6 * np.eye(len(knots))
        across = _matern(cdist(knots, points))
        self._basis = solve_triangular(np.linalg.cholesky(covariance), across, lower=True).T
        self._mean = np.r_[level, _TREND_MEAN * level, np.zeros(len(knots))]
        sd = level * np.r_[level_sd, _TREND_SD, np.full(len(knots), _FIELD_SD)]
        self._precision = sd**-2.0

    def prior(self, thickness: np.ndarray) -> np.ndarray:
        """Give the prior mean at points of a given thickness (mm), shape (n,)."""
        return self._mean[0] + self._mean[1] * _trend(thickness)

    def posterior(self, thickness: np.ndarray, density: np.ndarray, precision: np.ndarray) -> Field:
        """Join the prior with measured densities.

        Parameters
        ----------
        thickness : ndarray of shape (n,)
            Cortical thickness in mm, for the trend.
        density, precision : ndarray of shape (n,)
            What each profile says, and the inverse of its variance; 0 where it says nothing.

        Returns
        -------
        Field
        """
        design = np.c_[np.ones(len(thickness)), _trend(thickness), self._basis]
        matrix = (design * precision[:, None]).T @ design
        matrix[np.diag_indices_from(matrix)] += self._precision
        factor = cho_factor(matrix)
        mean = design @ cho_solve(factor, design.T @ (precision * density) + self._precision * self._mean)
        root = solve_triangular(factor[0], design.T, trans="T", lower=factor[1])
        return Field(mean, np.sqrt(np.einsum("kn,kn->n", root, root)))


def _trend(thickness: np.ndarray) -> np.ndarray:
    return np.exp(-thickness / _TREND_MM)


def _matern(distance: np.ndarray) -> np.ndarray:
    scaled = np.sqrt(3.0) * distance / CORRELATION_MM
    return (1.0 + scaled) * np.exp(-scaled)


def _spread_out(points: np.ndarray) -> np.ndarray:
    """Choose points that lie apart, each the farthest from those before, shape (k, 3)."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while distance.max() > _KNOT_SPACING * CORRELATION_MM and len(chosen) < _MOST_KNOTS:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen]

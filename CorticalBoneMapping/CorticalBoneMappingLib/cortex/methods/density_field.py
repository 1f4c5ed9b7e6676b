"""Cortical density as a smooth field over the bone, learnt from the places that show it.

The density at a point is a level of the bone, plus a trend with thickness, plus a Gaussian process in space:

    y1(p) = level + trend · exp(−t / 2 mm) + field(p)

The CT shows a density with an error: where much bone hardens the beam, cortex along the rays reads darker
than cortex across them, so the error depends on the direction of the surface in the plane of the rays, in the
same way all over the bone:

    apparent(p) = y1(p) + a · (n_x, n_y, n_x² − n_y², 2 n_x n_y)

Level, trend, field and a have prior distributions, which the profiles update. How much the field and a vary
is learnt from the scan (`learn`). A low-rank basis (the Nyström form of a Matérn-3/2 process;
Rasmussen and Williams 2006, Gaussian Processes, ch. 8) keeps the whole bone one small linear system, whose
inverse is the posterior covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist


@dataclass(frozen=True)
class DensityFieldSettings:
    """Priors of the density field; chosen by hand, not tuned, unless a line says more."""

    correlation_mm: float = 12.0  # remodelling and load change over about a centimetre; shorter fits noise
    knot_spacing: float = 0.6  # of the correlation length: the basis then loses less than the noise hides
    most_knots: int = 400
    # Share of the level, as exp(-t / trend_mm): thin cortex may be lighter (more porous) or denser (more
    # mineral) than thick; neither is assumed. Docs/validation/measurement.md has bones of both kinds.
    trend_sd: float = 0.10
    trend_mm: float = 2.0
    # Learnt from the scan: values tried, median of the prior and standard deviation of its logarithm.
    fields: tuple[float, ...] = (0.01, 0.02, 0.04)
    field_median: float = 0.02
    field_log_sd: float = 0.7
    directions: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.05)
    direction_median: float = 0.006
    direction_log_sd: float = 1.0


FIELD = DensityFieldSettings()


class Spread(NamedTuple):
    """How much the density varies, as fractions of the level.

    Attributes
    ----------
    field : float
        Standard deviation from place to place, at equal thickness.
    direction : float
        Standard deviation of the coefficients a of the error by direction.
    """

    field: float
    direction: float


ASSUMED_SPREAD = Spread(0.04, 0.005)
"""Until it is learnt from the scan; chosen by hand."""


class MeasuredDensity(NamedTuple):
    """Density that n profiles show.

    Attributes
    ----------
    density, precision : ndarray of shape (n,)
        In the unit of the profiles, and the inverse of its variance by noise; 0 where a profile shows none.
    error : ndarray of shape (n,)
        Standard deviation by the model's own error, which neighbours share.
    sharing : float
        Number of points that share it.
    by_blur : ndarray of shape (n, 2)
        Change of `density` with relative errors of the blur.
    """

    density: np.ndarray
    precision: np.ndarray
    error: np.ndarray
    sharing: float
    by_blur: np.ndarray


class Field(NamedTuple):
    """Posterior of the density at n points.

    Attributes
    ----------
    apparent, density : ndarray of shape (n,)
        Posterior mean as the CT shows it, and of the bone.
    apparent_variance, density_variance, covariance : ndarray of shape (n,)
        Their posterior covariance.
    apparent_by_blur, density_by_blur : ndarray of shape (n, 2)
        Their change with relative errors of the blur, which are not in the variances.
    """

    apparent: np.ndarray
    density: np.ndarray
    apparent_variance: np.ndarray
    density_variance: np.ndarray
    covariance: np.ndarray
    apparent_by_blur: np.ndarray
    density_by_blur: np.ndarray


class DensityField:
    """Prior of the density over one bone, updated by its profiles.

    Parameters
    ----------
    points, normals : ndarray of shape (n, 3)
        RAS mm, slices axial; unit normals.
    level : float
        Expected density of thick cortex, in the unit of the profiles.
    level_sd : float
        Its standard deviation, as a fraction.
    """

    def __init__(self, points: np.ndarray, normals: np.ndarray, level: float, level_sd: float) -> None:
        knots = _spread_out(points)
        covariance = _matern(cdist(knots, knots)) + 1e-6 * np.eye(len(knots))
        across = _matern(cdist(knots, points))
        self._basis = solve_triangular(np.linalg.cholesky(covariance), across, lower=True).T
        x, y = normals[:, 0], normals[:, 1]
        self._directions = np.stack([x, y, x * x - y * y, 2.0 * x * y], axis=1)
        self._patch, self._patches = cKDTree(knots).query(points)[1], len(knots)
        self._level, self._level_sd = level, level_sd

    def learn(self, thickness: np.ndarray, measured: MeasuredDensity) -> Spread:
        """Estimate how much the density varies: the most probable spread, given the profiles.

        The marginal likelihood of the means of patches a knot wide, whose errors are noise and, independent
        from patch to patch, the model's own (Rasmussen and Williams 2006, eq. 2.30), over a small grid.

        Parameters
        ----------
        thickness : ndarray of shape (n,)
            In mm.
        measured : MeasuredDensity

        Returns
        -------
        Spread
        """
        weight = measured.precision / (1.0 + measured.precision * measured.error**2)
        total = np.bincount(self._patch, weight, self._patches)
        used = total > 1e-9 * max(total.max(), 1e-30)
        if used.sum() < 3:
            return ASSUMED_SPREAD

        def mean(values: np.ndarray) -> np.ndarray:
            return np.bincount(self._patch, weight * values, self._patches)[used] / total[used]

        by_noise = mean(weight / np.maximum(measured.precision, 1e-30)) / total[used]
        design = np.stack([mean(column) for column in self._design(thickness).T], axis=1)
        left = mean(measured.density - self._level)
        common = [self._sd(Spread(0.0, 0.0)), self._sd(Spread(1.0, 0.0)), self._sd(Spread(0.0, 1.0))]
        fixed, field, direction = ((design * sd) @ (design * sd).T for sd in common)
        error = np.diag(by_noise + mean(measured.error) ** 2)
        grid = [Spread(a, b) for a in FIELD.fields for b in FIELD.directions]

        def log_posterior(spread: Spread) -> float:
            changed = spread.field**2 * (field - fixed) + spread.direction**2 * (direction - fixed)
            return _log_density(left, fixed + changed + error) + _log_prior(spread)

        return max(grid, key=log_posterior)

    def posterior(self, thickness: np.ndarray, measured: MeasuredDensity, spread: Spread) -> Field:
        """Update the prior with measured densities.

        Parameters
        ----------
        thickness : ndarray of shape (n,)
            Cortical thickness in mm, for the trend.
        measured : MeasuredDensity
        spread : Spread

        Returns
        -------
        Field
        """
        design, precision = self._design(thickness), self._sd(spread) ** -2.0
        weight = measured.precision / (1.0 + measured.precision * measured.sharing * measured.error**2)
        matrix = (design * weight[:, None]).T @ design
        matrix[np.diag_indices_from(matrix)] += precision
        factor = cho_factor(matrix, lower=True)
        weighed = (design * weight[:, None]).T
        mean = cho_solve(factor, weighed @ measured.density + precision * self._mean())
        by_blur = cho_solve(factor, weighed @ measured.by_blur)
        bone = design.copy()
        bone[:, -self._directions.shape[1] :] = 0.0
        roots = [solve_triangular(factor[0], rows.T, lower=True) for rows in (design, bone)]
        variances = (np.einsum("kn,kn->n", roots[a], roots[b]) for a, b in ((0, 0), (1, 1), (0, 1)))
        return Field(design @ mean, bone @ mean, *variances, design @ by_blur, bone @ by_blur)

    def _design(self, thickness: np.ndarray) -> np.ndarray:
        return np.c_[np.ones(len(thickness)), _trend(thickness), self._basis, self._directions]

    def _mean(self) -> np.ndarray:
        others = 1 + self._basis.shape[1] + self._directions.shape[1]
        return self._level * np.r_[1.0, np.zeros(others)]

    def _sd(self, spread: Spread) -> np.ndarray:
        """Prior standard deviation of every column of the design."""
        field = np.full(self._basis.shape[1], spread.field)
        direction = np.full(self._directions.shape[1], spread.direction)
        return self._level * np.r_[self._level_sd, FIELD.trend_sd, field, direction]


def _log_density(left: np.ndarray, covariance: np.ndarray) -> float:
    """Logarithm of a normal density at `left`, but for a constant."""
    try:
        root = np.linalg.cholesky(covariance)
    except LinAlgError:
        return -np.inf
    whitened = solve_triangular(root, left, lower=True)
    return float(-0.5 * whitened @ whitened - np.log(np.diag(root)).sum())


def _log_prior(spread: Spread) -> float:
    field = np.log(spread.field / FIELD.field_median) / FIELD.field_log_sd
    direction = np.log(spread.direction / FIELD.direction_median) / FIELD.direction_log_sd
    return -0.5 * float(field**2 + direction**2)


def _trend(thickness: np.ndarray) -> np.ndarray:
    return np.exp(-thickness / FIELD.trend_mm)


def _matern(distance: np.ndarray) -> np.ndarray:
    scaled = np.sqrt(3.0) * distance / FIELD.correlation_mm
    return (1.0 + scaled) * np.exp(-scaled)


def _spread_out(points: np.ndarray) -> np.ndarray:
    """Choose distant points, each the farthest from those before, shape (k, 3)."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while distance.max() > FIELD.knot_spacing * FIELD.correlation_mm and len(chosen) < FIELD.most_knots:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen]

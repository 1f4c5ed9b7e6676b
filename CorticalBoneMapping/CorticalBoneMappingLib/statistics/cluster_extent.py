"""How large a cluster chance makes in a smooth map whose smoothness differs from place to place."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, loggamma

from ..errors import StatisticsError
from .euler_density import densities
from .statistic_map import upper_tail

_SMALLEST_P = 1e-12  # the numerical inversion below is no more exact than that
_FREQUENCIES = (np.arange(800) + 0.5) * (2.0 * np.pi / 120.0)
FEWEST_DOF = 4.0


def cluster_p(
    extent_resels: np.ndarray,
    threshold: float,
    resels: np.ndarray,
    dof: float,
    *,
    numerator_dof: int = 1,
    is_t: bool = True,
) -> np.ndarray:
    """Give the chance of a cluster of at least that extent anywhere in a null map, one tail.

    The number of clusters is Poisson; the extent of one, in resels that were themselves estimated from
    the residuals, is a product of independent powers of one beta and six χ² variables (Cao and Worsley
    1999, in *Spatial Statistics*; Hayasaka et al. 2004, NeuroImage 22:676; as SurfStat has it). The
    characteristic function of its logarithm is one of gamma functions, and is inverted numerically.

    Parameters
    ----------
    extent_resels : ndarray of shape (n,)
        Extents of the clusters; each vertex counts with its own resels.
    threshold : float
        Of the t or F that made the clusters.
    resels : ndarray of shape (3,)
        Of all that was tested, in 0, 1 and 2 dimensions.
    dof : float
        Degrees of freedom of t, or of F's denominator, and of the residuals.
    numerator_dof : int
        1 for t.
    is_t : bool
        Else F.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    StatisticsError
        If there are too few degrees of freedom for the law to have a mean.
    """
    if dof <= FEWEST_DOF:
        raise StatisticsError(
            f"With {dof:g} degrees of freedom the extent of clusters cannot be judged; it takes more than "
            f"{FEWEST_DOF:g}."
        )
    extent = np.asarray(extent_resels, dtype=np.float64)
    density = float(densities(np.array([threshold]), dof, numerator_dof, is_t)[2, 0])
    mean = float(upper_tail(np.array(threshold), dof, numerator_dof, is_t)) / density
    one = _survival(np.maximum(extent, 1e-12) / mean, dof, numerator_dof)
    return np.clip(-np.expm1(-one * resels[2] * density), _SMALLEST_P, 1.0)


def _survival(relative: np.ndarray, dof: float, numerator_dof: int) -> np.ndarray:
    """P(S > relative · E S), by inversion of the characteristic function (Gil-Pelaez 1951)."""
    mean = _log_moment(np.array(1.0 + 0.0j), dof, numerator_dof).real
    height = np.log(relative) + mean
    step = _FREQUENCIES[1] - _FREQUENCIES[0]
    characteristic = np.exp(_log_moment(1j * _FREQUENCIES, dof, numerator_dof))
    turned = np.exp(-1j * np.multiply.outer(height, _FREQUENCIES)) * characteristic
    return 0.5 + (turned.imag / _FREQUENCIES).sum(axis=-1) * step / np.pi


def _log_moment(power: np.ndarray, dof: float, numerator_dof: int) -> np.ndarray:
    """Logarithm of E S^power of the extent, up to the scale that its mean fixes."""
    rest = 0.5 * (dof - 2.0)
    total = power * np.log(0.5 * dof) + loggamma(1.0 + power) + gammaln(1.0 + rest)
    total = total - loggamma(1.0 + rest + power)
    chi_squares = (
        (dof + numerator_dof - 2.0, 1.0),
        (dof + 1.0, -0.5),
        (dof, -0.5),
        # From here: the noise of the resels, which come from as many residuals.
        (dof - 1.0, 0.5),
        (dof - 2.0, 0.5),
        (dof, -1.0),
    )
    for n, exponent in chi_squares:
        scaled = exponent * power
        total = total + scaled * np.log(2.0 / n) + loggamma(0.5 * n + scaled) - gammaln(0.5 * n)
    return total

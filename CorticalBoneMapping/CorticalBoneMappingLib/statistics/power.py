"""What a trial of a given size could find, and what size it needs, from a study's own spread."""

from __future__ import annotations

import numpy as np
from scipy import optimize, special

from ..core.errors import SettingError, StatisticsError
from .model.contrast_map import ContrastMap, check_alternative, t_p_value, t_quantile
from .model.contrasts import Contrast
from .model.design import Design

LARGEST_ARM = 100_000
_PROBABILITY, _SHARE = np.polynomial.legendre.leggauss(256)
_PROBABILITY, _SHARE = (1.0 + _PROBABILITY) / 2.0, _SHARE / 2.0


def effective_sd(answered: ContrastMap, group_sizes: tuple[int, int]) -> np.ndarray:
    """Give the standard deviation per participant behind the standard error of a comparison.

    SE = sd √(1/n₁ + 1/n₂): what the trial achieved with its visits, covariates and hips, as the spread
    of one number per participant. A trial of the same design and n per arm has the standard error
    sd √(2/n).

    Parameters
    ----------
    answered : ContrastMap
        Of a comparison of two groups.
    group_sizes : tuple of int
        Participants in each (see `group_sizes`).

    Returns
    -------
    ndarray of shape (v,)
        In the unit of the maps.
    """
    if not answered.is_t:
        raise StatisticsError("Power is given for one comparison of two groups, not for several at once.")
    return answered.standard_error / np.sqrt(sum(1.0 / size for size in group_sizes))


def group_sizes(design: Design, contrast: Contrast) -> tuple[int, int]:
    """Count the participants of the two groups that a contrast compares.

    Raises
    ------
    StatisticsError
        If it compares no two levels of a column, or a participant has both of them, such as two visits.
    """
    if contrast.compared is None:
        raise StatisticsError(f"'{contrast.name}' compares no two groups, so their size is not planned.")
    column, *levels = contrast.compared
    labels = design.table.labels(column)
    first, second = (np.unique(design.participants[labels == level]) for level in levels)
    if len(np.intersect1d(first, second)):
        raise StatisticsError(
            f"'{contrast.name}' compares participants with themselves; power is given for groups of "
            "different participants, such as the arms of a trial."
        )
    return len(first), len(second)


def detectable_difference(
    sd: np.ndarray,
    n_per_arm: int,
    power: float = 0.8,
    alpha: float = 0.05,
    alternative: str = "two-sided",
    covariates: int = 0,
) -> np.ndarray:
    """Give the difference that n participants per arm find with the given power.

    Parameters
    ----------
    sd : ndarray of shape (v,)
        Per participant (`effective_sd`).
    n_per_arm : int
        Participants in each of two arms, at least 2.
    power : float
        Probability of finding it.
    alpha : float
        Significance at each vertex. For a threshold that is corrected for many vertices, give what it is at
        one vertex (`alpha_of_threshold`).
    alternative : str
        ``two-sided``, ``greater`` or ``less`` (as large for both).
    covariates : int
        Columns of the design beside the two arms; each costs a degree of freedom.

    Returns
    -------
    ndarray of shape (v,)
        In the unit of `sd`; from the noncentral t distribution.
    """
    _check(power, alpha, alternative)
    dof = 2 * n_per_arm - 2 - covariates
    if n_per_arm < 2 or dof < 1:
        raise SettingError(f"{n_per_arm} participants per arm leave no degree of freedom; take more.")
    return np.asarray(sd) * np.sqrt(2.0 / n_per_arm) * _shift(dof, power, alpha, alternative)


def needed_per_arm(
    sd: np.ndarray,
    difference: np.ndarray | float,
    power: float = 0.8,
    alpha: float = 0.05,
    alternative: str = "two-sided",
    covariates: int = 0,
) -> np.ndarray:
    """Give the participants per arm that find a difference with the given power.

    Parameters
    ----------
    sd : ndarray of shape (v,)
        Per participant (`effective_sd`).
    difference : float or ndarray of shape (v,)
        Its size counts, not its sign.
    power, alpha, alternative, covariates
        As in `detectable_difference`.

    Returns
    -------
    ndarray of shape (v,)
        Whole numbers as float; infinite above `LARGEST_ARM`, not-a-number where `sd` is.
    """
    _check(power, alpha, alternative)
    ratio = np.abs(difference) / np.asarray(sd, dtype=np.float64)
    sizes = _sizes(covariates)
    # The smallest standardised difference found falls steadily with n.
    found = np.array(
        [np.sqrt(2.0 / n) * _shift(2 * n - 2 - covariates, power, alpha, alternative) for n in sizes]
    )
    needed = np.interp(-np.log(ratio), -np.log(found), np.log(sizes), left=np.log(sizes[0]), right=np.inf)
    return np.where(np.isnan(ratio), np.nan, np.ceil(np.exp(needed) - 1e-6))


def alpha_of_threshold(threshold: float, dof: float, alternative: str = "two-sided") -> float:
    """Significance at one vertex of a threshold of t, such as one corrected for many vertices."""
    return float(t_p_value(np.float64(threshold), dof, alternative))


def _shift(dof: float, power: float, alpha: float, alternative: str) -> float:
    """Noncentrality at which a t-test has the power."""
    level = 1.0 - alpha
    critical = float(t_quantile(dof, level, "two-sided" if alternative == "two-sided" else "greater"))

    # T = (z + shift) / √(u/ν): the mean over u of what the normal z gives. Gauss's rule in the probability
    # of u keeps the tails in which the library's own noncentral t is not-a-number.
    spread = np.sqrt(special.chdtri(dof, 1.0 - _PROBABILITY) / dof)

    def lacking(shift: float) -> float:
        beyond = special.ndtr(shift - critical * spread)
        if alternative == "two-sided":
            beyond = beyond + special.ndtr(-shift - critical * spread)
        return float(beyond @ _SHARE) - power

    return float(optimize.brentq(lacking, 0.0, 10.0 * (critical + 10.0), xtol=1e-10))


def _sizes(covariates: int) -> np.ndarray:
    """Every small size, then steps fine enough that the logarithm is straight between them."""
    start = 2 + (covariates + 1) // 2
    dense = np.arange(start, start + 100)
    return np.unique(np.concatenate([dense, np.geomspace(dense[-1], LARGEST_ARM, 100).round()]))


def _check(power: float, alpha: float, alternative: str) -> None:
    check_alternative(alternative)
    if not 0.0 < alpha < power < 1.0:
        raise SettingError(f"Power {power} and alpha {alpha} must lie between 0 and 1, power above alpha.")

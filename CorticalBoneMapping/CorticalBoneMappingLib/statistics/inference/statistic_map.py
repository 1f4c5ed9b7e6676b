"""What inference needs to know of a statistic at every vertex, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from ...core.errors import StatisticsError
from ..model.contrast_map import check_alternative, t_p_value


class StatisticMap(Protocol):
    """A t or F at every vertex and how it is to be read; a `ContrastMap` is one.

    Attributes
    ----------
    statistic : ndarray of shape (v,)
        Not-a-number where it was not tested.
    dof : ndarray of shape (v,)
        Of t, or of F's denominator.
    alternative : str
        ``two-sided``, ``greater`` or ``less``; ``two-sided`` for F.
    """

    statistic: np.ndarray
    dof: np.ndarray
    alternative: str

    @property
    def numerator_dof(self) -> int:
        """1 for t."""

    @property
    def is_t(self) -> bool:
        """Else F."""

    @property
    def p(self) -> np.ndarray:
        """At each vertex for itself."""


@dataclass(frozen=True)
class TMap:
    """A t at every vertex that is not a plain contrast, such as the smallest of several.

    Attributes
    ----------
    statistic, dof : ndarray of shape (v,)
    alternative : str
        ``two-sided``, ``greater`` or ``less``.
    """

    statistic: np.ndarray
    dof: np.ndarray
    alternative: str = "two-sided"

    def __post_init__(self) -> None:
        check_alternative(self.alternative)

    @property
    def numerator_dof(self) -> int:
        """Always 1."""
        return 1

    @property
    def is_t(self) -> bool:
        """Always."""
        return True

    @property
    def p(self) -> np.ndarray:
        """p-value without correction for many vertices, by `alternative`, shape (v,)."""
        return t_p_value(self.statistic, self.dof, self.alternative)


def towards(statistic: np.ndarray, alternative: str) -> np.ndarray:
    """Turn a statistic so that large values speak for the alternative."""
    if alternative == "two-sided":
        return np.abs(statistic)
    return statistic if alternative == "greater" else -statistic


def n_tails(tested: StatisticMap) -> int:
    """How many tails of the distribution are looked at: two for a two-sided t."""
    return 2 if tested.is_t and tested.alternative == "two-sided" else 1


def upper_tail(statistic: np.ndarray, dof: np.ndarray | float, numerator_dof: int, is_t: bool) -> np.ndarray:
    """P(T > t), or P(F > f), at one vertex."""
    if is_t:
        return special.stdtr(dof, -np.asarray(statistic))
    return special.fdtrc(numerator_dof, dof, np.maximum(statistic, 0.0))


def upper_threshold(p: float, dof: float, numerator_dof: int, is_t: bool) -> float:
    """Give the t or F that is exceeded with probability `p` at one vertex."""
    if is_t:
        return float(-special.stdtrit(dof, p))
    # By the beta law of the lower tail: 1 − p would lose the digits of a small p.
    share = special.betaincinv(0.5 * dof, 0.5 * numerator_dof, p)
    return float(dof * (1.0 - share) / (numerator_dof * share))


def common_dof(tested: StatisticMap) -> float:
    """Mean degrees of freedom of the vertices that were tested.

    Raises
    ------
    StatisticsError
        If no vertex was tested.
    """
    known = np.isfinite(tested.statistic)
    if not known.any():
        raise StatisticsError(
            "No vertex could be tested: the model has no fit anywhere. Are there enough maps for the "
            "columns of the design?"
        )
    return float(np.mean(np.broadcast_to(tested.dof, known.shape)[known]))


def at_common_dof(tested: StatisticMap) -> tuple[np.ndarray, float]:
    """Turn the statistic to one number of degrees of freedom for all vertices, keeping each one's p.

    Where maps are missing, or the degrees of freedom are estimated, they differ between vertices; a
    field of one kind has one.

    Returns
    -------
    statistic : ndarray of shape (v,)
        The same values where the degrees of freedom are the mean already.
    dof : float
        Mean over the vertices that were tested.
    """
    dof = common_dof(tested)
    statistic = np.array(tested.statistic, dtype=np.float64)
    other = np.isfinite(statistic) & (np.abs(tested.dof - dof) > 1e-9 * dof)
    values, own = statistic[other], np.broadcast_to(tested.dof, statistic.shape)[other]
    if tested.is_t:
        tail = special.stdtr(own, -np.abs(values))
        statistic[other] = -np.sign(values) * special.stdtrit(dof, tail)
    else:
        statistic[other] = special.fdtri(
            tested.numerator_dof, dof, special.fdtr(tested.numerator_dof, own, values)
        )
    return statistic, dof

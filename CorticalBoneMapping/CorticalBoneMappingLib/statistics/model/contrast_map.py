"""A contrast at every vertex: effect, standard error, statistic, confidence bounds, p."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from ...core.errors import SettingError
from .contrasts import Contrast

ALTERNATIVES = ("two-sided", "greater", "less")


def check_direction(contrast: Contrast, alternative: str) -> None:
    """Refuse an alternative that is none, or one-sided for several effects at once."""
    check_alternative(alternative)
    if not contrast.is_single and alternative != "two-sided":
        raise SettingError("An F asks for differences in any direction; it has no one-sided test.")


@dataclass(frozen=True)
class ContrastMap:
    """What a model answers to a contrast, at every vertex.

    Attributes
    ----------
    contrast : Contrast
        The question.
    alternative : str
        ``two-sided``, ``greater`` (one-sided, effect > 0) or ``less``; an F is ``two-sided``.
    effect : ndarray of shape (v,) or (q, v)
        In the unit of the maps; one row per row of the contrast when there are several.
    standard_error : ndarray of shape (v,) or (q, v)
        Of the effect.
    statistic : ndarray of shape (v,)
        t for one row, F for several; not-a-number where the model could not be fitted.
    dof : ndarray of shape (v,)
        Degrees of freedom of t, or of F's denominator.
    dof_method : str
        Where they come from: ``residual``, or ``Satterthwaite`` and perhaps more, in words.
    """

    contrast: Contrast
    alternative: str
    effect: np.ndarray
    standard_error: np.ndarray
    statistic: np.ndarray
    dof: np.ndarray
    dof_method: str = "residual"

    def __post_init__(self) -> None:
        check_direction(self.contrast, self.alternative)

    @property
    def is_t(self) -> bool:
        """Whether the statistic is t (else F)."""
        return self.contrast.is_single

    @property
    def numerator_dof(self) -> int:
        """Degrees of freedom of F's numerator; 1 for t."""
        return len(self.contrast.matrix)

    @property
    def p(self) -> np.ndarray:
        """p-value without correction for many vertices, by `alternative`, shape (v,)."""
        if self.is_t:
            return t_p_value(self.statistic, self.dof, self.alternative)
        return special.fdtrc(self.numerator_dof, self.dof, self.statistic)

    def confidence_interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Give lower and upper bounds of the effect at every vertex, each for itself.

        Parameters
        ----------
        level : float
            Probability with which the interval holds the effect. One-sided alternatives give one bound, the
            other is infinite.

        Returns
        -------
        tuple of ndarray of shape (v,) or (q, v)
        """
        reach = t_quantile(self.dof, level, self.alternative) * self.standard_error
        unbounded = np.full_like(reach, np.inf)
        lower = -unbounded if self.alternative == "less" else self.effect - reach
        upper = unbounded if self.alternative == "greater" else self.effect + reach
        known = np.isfinite(self.effect)
        return np.where(known, lower, np.nan), np.where(known, upper, np.nan)


def check_alternative(alternative: str) -> None:
    """Refuse an alternative that is none of `ALTERNATIVES`."""
    if alternative not in ALTERNATIVES:
        raise SettingError(f"Unknown alternative '{alternative}'; choose {', '.join(ALTERNATIVES)}.")


def t_p_value(t: np.ndarray, dof: np.ndarray | float, alternative: str) -> np.ndarray:
    """p-value of t; the far tail keeps its digits.

    Parameters
    ----------
    t : ndarray of shape (v,)
        The statistic.
    dof : ndarray of shape (v,) or float
        Its degrees of freedom.
    alternative : str
        One of `ALTERNATIVES`.
    """
    check_alternative(alternative)
    if alternative == "two-sided":
        return 2.0 * special.stdtr(dof, -np.abs(t))
    return special.stdtr(dof, -t if alternative == "greater" else t)


def t_quantile(dof: np.ndarray | float, level: float, alternative: str = "two-sided") -> np.ndarray:
    """Half width, in standard errors, of a confidence interval (one-sided: distance of the bound)."""
    if not 0.0 < level < 1.0:
        raise SettingError(f"A confidence level lies between 0 and 1, not at {level}.")
    return special.stdtrit(dof, (1.0 + level) / 2.0 if alternative == "two-sided" else level)

"""Changes from baseline, and effects in percent of the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...core.errors import SettingError, StatisticsError
from ..maps import Maps
from ..table import PARTICIPANT, SIDE, VISIT
from .contrast_map import ContrastMap, t_quantile
from .contrasts import Contrast, read_contrast
from .design import Design

CHANGES = ("absolute", "percent", "log")


class Model(Protocol):
    """What least squares and the mixed model have in common."""

    design: Design
    coefficients: np.ndarray
    variance: np.ndarray

    @property
    def fitted(self) -> np.ndarray:
        """Whether it could be fitted at a vertex."""

    def test(self, contrast: Contrast | str, alternative: str = "two-sided") -> ContrastMap:
        """Answer a contrast."""

    def covariance_of(self, rows: np.ndarray) -> np.ndarray:
        """Covariance of estimates."""

    def standardised_residuals(self) -> np.ndarray:
        """Whitened residuals of unit length."""


@dataclass(frozen=True)
class PercentEffect:
    """An effect in percent of the reference, at every vertex.

    Attributes
    ----------
    percent : ndarray of shape (v,)
        100 · effect / reference; not-a-number where the reference, or what it becomes, is not positive.
    lower, upper : ndarray of shape (v,)
        Confidence bounds; they hold 0 exactly where those of the effect do, up to the approximation.
    reference : ndarray of shape (v,)
        Expected value of the reference, in the unit of the maps.
    """

    percent: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    reference: np.ndarray


def change_from_baseline(maps: Maps, baseline: str, kind: str = "percent") -> Maps:
    """Give each visit's change from the same participant's (and side's) baseline.

    Parameters
    ----------
    maps : Maps
        Its table has ``participant`` and ``visit``, and ``side`` if there are two.
    baseline : str
        The visit that is the baseline, e.g. ``"0"``.
    kind : str
        ``absolute``; ``percent`` of the baseline; ``log``: 100 · ln(value / baseline), which adds up over
        visits and is as large for a halving as for a doubling.

    Returns
    -------
    Maps
        Of the rows that are not the baseline. Without a value where either has none, or, unless
        ``absolute``, where the baseline (for ``log``: either) is not positive.

    Raises
    ------
    StatisticsError
        If no row is the baseline, or one participant and side has it twice.
    """
    if kind not in CHANGES:
        raise SettingError(f"Unknown kind of change '{kind}'; choose {', '.join(CHANGES)}.")
    table = maps.table
    table.refuse_duplicates()
    is_baseline = table.labels(VISIT) == str(baseline)
    if not is_baseline.any():
        visits = ", ".join(sorted(set(table.labels(VISIT))))
        raise StatisticsError(f"No row is of visit '{baseline}'; the visits are {visits}.")
    names = [name for name in (PARTICIPANT, SIDE) if name in table]
    keys = list(zip(*(table.labels(name) for name in names)))
    place = {keys[row]: row for row in np.flatnonzero(is_baseline)}
    rows = np.flatnonzero(~is_baseline)
    start = np.full((len(rows), maps.values.shape[1]), np.nan)
    for index, row in enumerate(rows):
        if keys[row] in place:
            start[index] = maps.values[place[keys[row]]]
    later = maps.values[rows].astype(np.float64)
    unit = maps.unit if kind == "absolute" else "%"
    return Maps(
        _change(later, start, kind), table.take(rows), maps.measure, unit, maps.surface, None, maps.labels
    )


def percent_effect(
    model: Model, contrast: Contrast | str, alternative: str = "two-sided", level: float = 0.95
) -> PercentEffect:
    """Give an effect in percent of its reference, with confidence bounds.

    The bounds come from the delta method on the logarithm of (reference + effect) / reference, so that
    they stay above −100 %; their degrees of freedom are those of the effect.

    Parameters
    ----------
    model : Fit or MixedFit
        Of values that are positive, such as thickness or density.
    contrast : Contrast or str
        A comparison, which knows its reference.
    alternative : str
        ``two-sided``: two bounds; ``greater`` or ``less``: one, the other is infinite (or −100 %).
    level : float
        Of confidence.

    Returns
    -------
    PercentEffect

    Raises
    ------
    StatisticsError
        If the contrast has no reference.
    """
    contrast = read_contrast(model.design, contrast) if isinstance(contrast, str) else contrast
    if contrast.reference is None or not contrast.is_single:
        raise StatisticsError(
            f"'{contrast.name}' compares nothing with a reference, so it has no percentage."
        )
    answered = model.test(contrast, alternative)
    rows = np.stack([contrast.reference + contrast.matrix[0], contrast.reference])
    means = rows @ model.coefficients
    means = np.where((means > 0).all(axis=0), means, np.nan)
    slopes = np.stack([1.0 / means[0], -1.0 / means[1]], axis=1)
    error = np.sqrt(np.einsum("va,vab,vb->v", slopes, model.covariance_of(rows), slopes, optimize=True))
    middle = np.log(means[0] / means[1])
    reach = t_quantile(answered.dof, level, alternative) * error
    lower = np.where(np.isnan(reach), np.nan, -100.0) if alternative == "less" else _percent(middle - reach)
    upper = (
        np.where(np.isnan(reach), np.nan, np.inf) if alternative == "greater" else _percent(middle + reach)
    )
    return PercentEffect(_percent(middle), lower, upper, means[1])


def _change(later: np.ndarray, start: np.ndarray, kind: str) -> np.ndarray:
    if kind == "absolute":
        return later - start
    start = np.where(start > 0, start, np.nan)
    if kind == "percent":
        return 100.0 * (later - start) / start
    return 100.0 * np.log(np.where(later > 0, later, np.nan) / start)


def _percent(log_ratio: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # few people: a bound may lie beyond all numbers, that is, there is none
        return 100.0 * np.expm1(log_ratio)

"""False discovery rate: of what is called significant, how much is expected to be false."""

from __future__ import annotations

import numpy as np

from ...core.errors import StatisticsError
from .clusters import CorrectedTest
from .statistic_map import StatisticMap


def q_values(p: np.ndarray) -> np.ndarray:
    """Turn p-values into the smallest false discovery rate at which each would be significant.

    Benjamini and Hochberg 1995, J R Stat Soc B 57:289; right for independent and for positively
    dependent tests, as those of a smooth map are.

    Parameters
    ----------
    p : ndarray
        Of any shape; not-a-number where nothing was tested, which does not count as a test.

    Returns
    -------
    ndarray
        Of the same shape; not-a-number stays.

    Raises
    ------
    StatisticsError
        If a p-value is not between 0 and 1.

    Examples
    --------
    >>> q_values(np.array([0.01, 0.02, 0.9])).round(3).tolist()
    [0.03, 0.03, 0.9]
    """
    p = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(p)
    values = p[tested]
    if np.any((values < 0) | (values > 1)):
        raise StatisticsError("A p-value is not between 0 and 1, so no false discovery rate can be given.")
    order = np.argsort(values, kind="stable")
    raised = values[order] * len(values) / np.arange(1, len(values) + 1)
    q = np.full(p.shape, np.nan)
    ranked = np.empty(len(values))
    ranked[order] = np.minimum.accumulate(raised[::-1])[::-1]
    q[tested] = np.minimum(ranked, 1.0)
    return q


def false_discovery_test(tested: StatisticMap, *, alpha: float = 0.05) -> CorrectedTest:
    """Test a map so that, of what is called significant, at most `alpha` is expected to be false.

    Parameters
    ----------
    tested : StatisticMap
        Such as a `ContrastMap`; it carries its alternative.
    alpha : float
        False discovery rate.

    Returns
    -------
    CorrectedTest
        Its `p` are q-values.
    """
    q = q_values(tested.p)
    significant = np.nan_to_num(q, nan=1.0) <= alpha
    return CorrectedTest(
        statistic=tested.statistic,
        statistic_name="t" if tested.is_t else "F",
        p=q,
        threshold=float(np.abs(tested.statistic[significant]).min()) if significant.any() else np.inf,
        alpha=alpha,
        alternative=tested.alternative,
        controls="false discovery rate",
        method=(
            f"{tested.alternative} tests at {int(np.isfinite(q).sum())} vertices, false discovery rate "
            f"{alpha:g} (Benjamini and Hochberg 1995)"
        ),
    )

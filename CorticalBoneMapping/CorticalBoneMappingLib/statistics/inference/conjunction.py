"""Conjunction: an effect in every one of several contrasts, at the same place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from ...core.errors import StatisticsError
from .statistic_map import StatisticMap, TMap, common_dof


def conjunction(tested: Sequence[StatisticMap]) -> TMap:
    """Give the smallest t of several contrasts, to be corrected like one t.

    Compared with the distribution of one t, the smallest tests against "at least one of them has no
    effect" (Nichols et al. 2005, NeuroImage 25:653): significant only where every one of them is. For
    two-sided contrasts all have to be on the same side.

    Parameters
    ----------
    tested : sequence of StatisticMap
        Two or more t maps of the same alternative.

    Returns
    -------
    TMap
        Hand it to `false_discovery_test`, `random_field_peaks` or `random_field_clusters`; not-a-number
        where one of them is.

    Raises
    ------
    StatisticsError
        If there are fewer than two, one is an F, the alternatives differ, or no vertex is in all.
    """
    if len(tested) < 2:
        raise StatisticsError("A conjunction needs two contrasts or more.")
    if not all(one.is_t for one in tested):
        raise StatisticsError("An F has no direction, so a conjunction does not take it.")
    alternatives = sorted({one.alternative for one in tested})
    if len(alternatives) > 1:
        raise StatisticsError(
            f"The contrasts of a conjunction look at different sides ({' and '.join(alternatives)}); test "
            "all of them the same way."
        )
    dof = min(common_dof(one) for one in tested)
    every = np.stack([_at_dof(one, dof) for one in tested])
    smallest = np.min(every, axis=0)
    if alternatives[0] == "less":
        smallest = np.max(every, axis=0)
    elif alternatives[0] == "two-sided":
        smallest = np.where(smallest > 0, smallest, np.minimum(np.max(every, axis=0), 0.0))
    if not np.isfinite(smallest).any():
        raise StatisticsError("No vertex was tested in all the contrasts of the conjunction.")
    return TMap(smallest, np.full(smallest.shape, dof), alternatives[0])


def _at_dof(tested: StatisticMap, dof: float) -> np.ndarray:
    """The t of `dof` degrees of freedom with the same p."""
    t, own = np.broadcast_arrays(tested.statistic, tested.dof)
    same = np.abs(own - dof) <= 1e-9 * dof
    return np.where(same, t, -np.sign(t) * special.stdtrit(dof, special.stdtr(own, -np.abs(t))))

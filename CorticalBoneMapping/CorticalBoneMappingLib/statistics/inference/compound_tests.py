"""Tests made of several: equivalence (two one-sided tests) and conjunction (an effect in each contrast).

Equivalence asks whether an effect is smaller than what would matter; a test that finds no effect does not
show that. Conjunction asks for an effect in every one of several contrasts at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from ...core.errors import StatisticsError
from ..model.contrast_map import ContrastMap
from .statistic_map import StatisticMap, TMap, common_dof


def equivalence(tested: ContrastMap, margin: float | tuple[float, float] | np.ndarray) -> TMap:
    """Test that an effect lies within a margin, by two one-sided tests.

    Schuirmann 1987, J Pharmacokinet Biopharm 15:657: one test that the effect is above the lower margin,
    one that it is below the upper; the weaker of the two decides. Its t, compared with the distribution of
    one t, keeps its level at every vertex and, corrected like one t, over the surface.

    Parameters
    ----------
    tested : ContrastMap
        One effect a vertex; its own alternative plays no part.
    margin : float, pair of float, or ndarray of shape (v,)
        Largest effect that does not matter, in the unit of the effect: ±margin, (lower, upper), or one
        ±margin a vertex (such as 2 % of the reference). To be stated before the data are seen.

    Returns
    -------
    TMap
        One-sided; hand it to `false_discovery_test`, `random_field_peaks` or `random_field_clusters`. What
        is significant is equivalent.

    Raises
    ------
    StatisticsError
        If the contrast has several effects, or the margin does not enclose 0.
    """
    if not tested.is_t:
        raise StatisticsError("Equivalence is tested for one effect at a time, not for an F.")
    lower, upper = margin if isinstance(margin, tuple) else (-np.asarray(margin), np.asarray(margin))
    if np.any(lower >= 0) or np.any(upper <= 0):  # not-a-number where the margin is unknown, and so is t
        raise StatisticsError(f"A margin of equivalence encloses 0; {margin} does not.")
    above = (tested.effect - lower) / tested.standard_error
    below = (upper - tested.effect) / tested.standard_error
    return TMap(np.minimum(above, below), np.broadcast_to(tested.dof, above.shape), "greater")


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

"""Equivalence: is the effect smaller than what would matter? The absence of proof is none of absence."""

from __future__ import annotations

import numpy as np

from ...core.errors import StatisticsError
from ..model.contrast_map import ContrastMap
from .statistic_map import TMap


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

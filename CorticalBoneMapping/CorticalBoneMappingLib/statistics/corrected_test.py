"""What every test of a whole map gives: one type, whichever method corrected for the many vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .clusters import Clusters


@dataclass(frozen=True)
class CorrectedTest:
    """One contrast tested at every vertex, corrected for the many vertices.

    Attributes
    ----------
    statistic : ndarray of shape (n_points,)
        What was compared with the threshold, with its sign; not-a-number where it was not tested.
    statistic_name : str
        ``"t"``, ``"F"`` or ``"TFCE"``.
    p : ndarray of shape (n_points,)
        Corrected p-value (for a false discovery rate: q); not-a-number where it was not tested.
    threshold : float
        The statistic that is significant at `alpha` when it is beyond this, in size for a two-sided
        test; infinite when none can be.
    alpha : float
        Level of the whole map.
    alternative : str
        ``two-sided``, ``greater`` or ``less``: what spoke against the null.
    controls : str
        ``"family-wise error"`` or ``"false discovery rate"``.
    method : str
        One sentence for the methods section.
    warnings : tuple of str
        Sentences; empty when there is nothing to be wary of.
    clusters : Clusters, optional
        Where the method finds clusters: each with its own p. `p` then holds the p of the cluster of
        each vertex, 1 outside.
    """

    statistic: np.ndarray
    statistic_name: str
    p: np.ndarray
    threshold: float
    alpha: float
    alternative: str
    controls: str
    method: str
    warnings: tuple[str, ...] = ()
    clusters: Clusters | None = None

    @property
    def tested(self) -> np.ndarray:
        """Which vertices were tested, shape (n_points,)."""
        return np.isfinite(self.p)

    @property
    def significant(self) -> np.ndarray:
        """Which vertices are significant at `alpha`, shape (n_points,); not-tested ones are not."""
        return self.tested & (np.nan_to_num(self.p, nan=1.0) <= self.alpha)

"""How much a value scatters about its neighbours, against what the noise of its own profile explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ...core.surface import Surface
from ...mesh.smoothing import smooth
from ...mesh.topology import adjacency
from ..scan.scan import Scan


@dataclass(frozen=True)
class ScatterSettings:
    """Numbers of the estimation; chosen by hand, not tuned."""

    enough_points: int = 100
    around_mm: float = 12.0  # full width at half maximum of the neighbourhood in which it is estimated
    local_share: float = 0.8  # of the neighbourhood, against the whole bone
    most: float = 12.0  # times the median: one outlier must not decide for all around


SCATTER = ScatterSettings()


def scatter(
    scan: Scan, values: np.ndarray, expected: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the scatter about the neighbours over `expected`, around each point and of the whole bone.

    Struts and pores beside the line, correlated noise, normals, curvature and other bone near by make it more
    than the profile's own noise, and more in some places than in others. On an even mesh the neighbours one
    edge away lie at squared distance 1, those two edges away at 3.5 on average, so this combination of their
    means is exact for any quadratic surface, and what is left is error.

    Parameters
    ----------
    scan : Scan
        Of n points.
    values, expected : ndarray of shape (n,)
        And the standard deviations that their own profiles explain.
    valid : ndarray of bool, shape (n,)
        Values to judge by.

    Returns
    -------
    around : ndarray of shape (n,)
        Of the neighbourhood.
    usual : float
        The median of the bone, at least 1.
    """
    whole = np.full(len(scan.surface.points), np.nan)
    whole[scan.points] = np.where(valid, values, np.nan)
    near, far = (_mean_over(whole, ring) for ring in _rings(scan.surface))
    left = (whole - (3.5 * near - far) / 2.5)[scan.points]
    judged = np.isfinite(left) & (expected > 0)
    if judged.sum() < SCATTER.enough_points:
        return np.ones(len(values)), 1.0
    own = 1.0 + (3.5 / 2.5) ** 2 / 6.0 + (1.0 / 2.5) ** 2 / 12.0  # variance of `left` in units of a point's
    ratio = np.abs(left[judged]) / (expected[judged] * np.sqrt(own))
    usual = max(1.0, 1.4826 * float(np.median(ratio)))
    whole[:] = np.nan
    whole[scan.points[judged]] = np.minimum(ratio, SCATTER.most * usual) ** 2
    around = smooth(scan.surface, whole, SCATTER.around_mm, fill=True)[scan.points]
    around = np.where(np.isfinite(around), around, usual**2)
    return np.sqrt(
        SCATTER.local_share * np.maximum(around, 0.0) + (1.0 - SCATTER.local_share) * usual**2
    ), usual


def _rings(surface: Surface) -> tuple[csr_array, csr_array]:
    """Neighbours one edge away, and two, as matrices of ones."""
    one = adjacency(surface.edges, len(surface.points))
    within_two = (one @ one + one).tocsr()
    within_two.setdiag(0.0)
    within_two.eliminate_zeros()
    within_two.data[:] = 1.0
    two = (within_two - one).tocsr()
    two.eliminate_zeros()
    return one, two


def _mean_over(values: np.ndarray, ring: csr_array) -> np.ndarray:
    """Mean of each point's ring, not-a-number where the ring has a gap."""
    there = np.isfinite(values)
    count = np.asarray(ring.sum(axis=1)).ravel()
    whole = np.isclose(ring @ there.astype(float), count) & (count > 0)
    return np.where(whole, (ring @ np.where(there, values, 0.0)) / np.maximum(count, 1.0), np.nan)

"""Clusters: connected pieces of the surface where a statistic is beyond a threshold.

What every test of a whole map gives: one type, whichever method corrected for the many vertices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import StatisticsError
from ...core.surface import Surface
from ...mesh.topology import connected, edges_of
from ..model.contrast_map import check_alternative


@dataclass(frozen=True)
class Clusters:
    """The clusters of one map, largest first; positive and negative ones never touch.

    Attributes
    ----------
    label : ndarray of shape (n_points,)
        Cluster of each vertex, counted from 1; 0 outside, int64.
    threshold : float
        Size of the statistic beyond which a vertex belongs to a cluster.
    sign : ndarray of shape (n_clusters,)
        1 or −1: the side of zero.
    n_vertices : ndarray of shape (n_clusters,)
    area_mm2 : ndarray of shape (n_clusters,)
    mass : ndarray of shape (n_clusters,)
        Integral over the cluster's area of how far the statistic is beyond the threshold, mm².
    peak_vertex : ndarray of shape (n_clusters,)
        Where the statistic is largest in size.
    peak_statistic : ndarray of shape (n_clusters,)
        With its sign.
    resels : ndarray of shape (n_clusters,), optional
        Extent in units of the local smoothness, where random field theory measured it.
    p : ndarray of shape (n_clusters,), optional
        Corrected, by the method that found them.
    """

    label: np.ndarray
    threshold: float
    sign: np.ndarray
    n_vertices: np.ndarray
    area_mm2: np.ndarray
    mass: np.ndarray
    peak_vertex: np.ndarray
    peak_statistic: np.ndarray
    resels: np.ndarray | None = None
    p: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.sign)

    def total(self, per_vertex: np.ndarray) -> np.ndarray:
        """Sum values over each cluster, shape (n_clusters,)."""
        return np.bincount(self.label, weights=per_vertex, minlength=len(self) + 1)[1:]

    def spread(self, per_cluster: np.ndarray, outside: float) -> np.ndarray:
        """Give each vertex the value of its cluster, shape (n_points,)."""
        return np.concatenate([[outside], per_cluster])[self.label]

    def with_values(self, **values: np.ndarray) -> Clusters:
        """Give the same clusters with `resels` or `p`."""
        return replace(self, **values)


def find_clusters(
    surface: Surface, statistic: np.ndarray, threshold: float, alternative: str = "two-sided"
) -> Clusters:
    """Find the connected pieces of the surface where a statistic is beyond a threshold.

    Vertices are neighbours when an edge joins them. The two tails are looked at apart.

    Parameters
    ----------
    surface : Surface
        The average femur.
    statistic : ndarray of shape (n_points,)
        t or F; not-a-number where it was not tested.
    threshold : float
        Positive; for ``"less"`` too.
    alternative : str
        ``two-sided``, ``greater`` or ``less``: which tails.

    Returns
    -------
    Clusters
        Sorted by area, largest first.

    Raises
    ------
    SettingError
        If the alternative is unknown.
    StatisticsError
        If there is not one value a vertex.
    """
    check_alternative(alternative)
    statistic = np.asarray(statistic, dtype=np.float64)
    if statistic.shape != (len(surface.points),):
        raise StatisticsError(
            f"A statistic of shape {statistic.shape} does not belong to a surface of "
            f"{len(surface.points)} points."
        )
    side = side_of(statistic, threshold, alternative)
    label, count = connected_pieces(edges_of(surface.triangles), side)
    area = np.bincount(label, weights=surface.point_areas, minlength=count + 1)[1:]
    rank = np.empty(count + 1, dtype=np.int64)
    rank[0], rank[1:][np.argsort(-area, kind="stable")] = 0, np.arange(1, count + 1)
    return _described(surface, statistic, threshold, rank[label], count)


def side_of(statistic: np.ndarray, threshold: float, alternative: str) -> np.ndarray:
    """Mark vertices above the threshold with 1, below its negative with −1 (if that side is tested)."""
    side = np.zeros(len(statistic), dtype=np.int8)
    if alternative != "less":
        side[statistic > threshold] = 1
    if alternative != "greater":
        side[statistic < -threshold] = -1
    return side


def connected_pieces(edges: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the connected pieces of vertices with the same side.

    Parameters
    ----------
    edges : ndarray of shape (n_edges, 2)
        Each edge once.
    side : ndarray of shape (n_points,)
        1, −1, or 0 for a vertex that belongs to no piece.

    Returns
    -------
    label : ndarray of shape (n_points,)
        Counted from 1; 0 where `side` is 0.
    count : int
    """
    inside = np.flatnonzero(side)
    place = np.zeros(len(side), dtype=np.int64)
    place[inside] = np.arange(len(inside))
    first, second = edges[:, 0], edges[:, 1]
    joined = side[first] * side[second] > 0
    ends = place[first[joined]], place[second[joined]]
    found = connected(*ends, len(inside))
    label = np.zeros(len(side), dtype=np.int64)
    label[inside] = found + 1
    return label, int(found.max()) + 1 if len(inside) else 0


def _described(
    surface: Surface, statistic: np.ndarray, threshold: float, label: np.ndarray, count: int
) -> Clusters:
    inside = np.flatnonzero(label)
    order = inside[np.lexsort((-np.abs(statistic[inside]), label[inside]))]
    peak = order[np.searchsorted(label[order], np.arange(1, count + 1))] if count else order
    beyond = np.where(label > 0, np.abs(statistic) - threshold, 0.0)
    area = surface.point_areas

    def total(values: np.ndarray | None) -> np.ndarray:
        return np.bincount(label, weights=values, minlength=count + 1)[1:]

    return Clusters(
        label=label,
        threshold=float(threshold),
        sign=np.sign(statistic[peak]).astype(np.int64),
        n_vertices=total(None),
        area_mm2=total(area),
        mass=total(beyond * area),
        peak_vertex=peak,
        peak_statistic=statistic[peak],
    )


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

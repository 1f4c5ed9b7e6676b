"""Threshold-free cluster enhancement (TFCE), exact: an integral over all thresholds, not a sum over steps.

A vertex of height h is worth ∫₀ʰ a(t)^E t^H dt, where a(t) is the area of the piece above t that it lies in
(Smith and Nichols 2009, NeuroImage 44:83). As t falls, the piece grows by one vertex at a time, so the
integral is a sum over the vertices of the piece. Which vertices those are is read from the tree of peaks:
every vertex climbs to a peak; two peaks are one piece below the highest pass between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.surface import Surface
from ...mesh.topology import edges_of

EXTENT_POWER = 1.0
HEIGHT_POWER = 2.0
"""E = 1 and H = 2: what random field theory suggests in two dimensions (Smith and Nichols 2009, appendix)."""


@dataclass(frozen=True)
class Neighbourhood:
    """The neighbours of each vertex of a surface, arranged for many maps.

    Attributes
    ----------
    edges : ndarray of shape (2, n_edges)
        Each edge once, int32.
    neighbours : ndarray of shape (most, v)
        Neighbours of each vertex; a vertex with fewer than the most has itself instead, int32.
    areas : ndarray of shape (v,)
        Of the vertices, mm².
    """

    edges: np.ndarray
    neighbours: np.ndarray
    areas: np.ndarray

    @staticmethod
    def of(surface: Surface) -> Neighbourhood:
        """Give the neighbourhood of a surface."""
        edges = edges_of(surface.triangles)
        start = np.concatenate([edges[:, 0], edges[:, 1]])
        stop = np.concatenate([edges[:, 1], edges[:, 0]])
        order = np.argsort(start, kind="stable")
        start, stop = start[order], stop[order]
        count = np.bincount(start, minlength=len(surface.points))
        place = np.arange(len(start)) - np.repeat(np.cumsum(count) - count, count)
        neighbours = np.tile(np.arange(len(count), dtype=np.int32), (count.max(), 1))
        neighbours[place, start] = stop
        return Neighbourhood(edges.T.astype(np.int32), neighbours, surface.point_areas)


def enhance(
    statistic: np.ndarray,
    neighbourhood: Neighbourhood,
    extent_power: float = EXTENT_POWER,
    height_power: float = HEIGHT_POWER,
) -> np.ndarray:
    """Enhance a map by the support of its surroundings; the two signs are enhanced apart.

    Parameters
    ----------
    statistic : ndarray of shape (v,)
        Finite; 0 where nothing is tested, or where a side is not of interest.
    neighbourhood : Neighbourhood
        Of the surface.
    extent_power, height_power : float
        E and H; the height power at least 0.

    Returns
    -------
    ndarray of shape (v,)
        With the sign of the statistic.
    """
    height = np.abs(statistic)
    order = np.argsort(height, kind="stable")
    rank = np.empty(len(height), dtype=np.int32)
    rank[order] = np.arange(len(height), dtype=np.int32)
    sign = np.sign(statistic).astype(np.int32)
    peak = _peaks(rank, sign, order, neighbourhood.neighbours)
    tree = _Tree.of(peak, rank, sign, neighbourhood.edges)
    node = tree.piece_of(peak, rank)
    powered = height ** (height_power + 1.0) / (height_power + 1.0)
    worth = tree.integrated(node, order[::-1], neighbourhood.areas, powered, extent_power)
    return worth * sign


def _peaks(rank: np.ndarray, sign: np.ndarray, order: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Peak that each vertex reaches by always stepping to its highest neighbour of the same sign."""
    signed = sign * (rank + 1)  # 1 and more: neighbours of the other sign come out negative below
    highest = rank + 1
    for column in neighbours:
        np.maximum(highest, signed[column] * sign, out=highest)
    step = order[highest - 1]
    while True:
        further = step[step]
        if np.array_equal(further, step):
            return step
        step = further


@dataclass(frozen=True)
class _Tree:
    """How the pieces above a falling threshold begin at peaks (the first nodes) and join (the others).

    The last node represents the whole surface, at threshold 0: it has rank −1 and no vertices.
    """

    peaks: np.ndarray  # vertex of each of the first nodes
    parent: np.ndarray  # of each node; the last one's is itself
    joined_at: np.ndarray  # rank of the vertex at which a node began to exist
    pass_vertex: np.ndarray  # that vertex; −1 for the last node

    @staticmethod
    def of(peak: np.ndarray, rank: np.ndarray, sign: np.ndarray, edges: np.ndarray) -> _Tree:
        is_peak = peak == np.arange(len(peak))
        peaks = np.flatnonzero(is_peak & (sign != 0))
        number = np.full(len(peak), -1, dtype=np.int64)
        number[peaks] = np.arange(len(peaks))
        passes = _passes(number[peak], rank, sign, edges)
        parent, joined_at = _joined(len(peaks), *(part.tolist() for part in passes))
        joined_at = np.concatenate([rank[peaks], joined_at, [-1]]).astype(np.int32)
        # One place more than there are ranks: rank −1, of the whole surface, finds no vertex there.
        by_rank = np.empty(len(rank) + 1, dtype=np.int64)
        by_rank[rank], by_rank[-1] = np.arange(len(rank)), -1
        return _Tree(peaks, np.array(parent, dtype=np.int64), joined_at, by_rank[joined_at])

    def piece_of(self, peak: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """Node of each vertex at the threshold of its own height; the last for vertices of height 0."""
        last = len(self.parent) - 1
        number = np.full(len(peak), last, dtype=np.int32)
        number[self.peaks] = np.arange(len(self.peaks), dtype=np.int32)
        node = number[peak]
        ancestors = [self.parent.astype(np.int32)]
        while np.any(ancestors[-1] != last):
            ancestors.append(ancestors[-1][ancestors[-1]])
        # Ancestors exist from ever lower ranks, so the longest jump that does not go too far is right.
        for jump in ancestors[::-1]:
            there = jump[node]
            node = np.where(self.joined_at[there] >= rank, there, node)
        return node

    def integrated(
        self,
        node: np.ndarray,
        falling: np.ndarray,
        areas: np.ndarray,
        powered: np.ndarray,
        extent_power: float,
    ) -> np.ndarray:
        """Integral of each vertex; `falling` are the vertices by falling height."""
        n_nodes = len(self.parent)
        kind = np.uint16 if n_nodes < 2**16 else np.int64  # numpy sorts 16 bits by counting
        rows = falling[np.argsort(node[falling].astype(kind), kind="stable")]
        sorted_node = node[rows]
        size = np.bincount(node, minlength=n_nodes)
        start = np.cumsum(size) - size
        below = self._carried_up(np.bincount(node, weights=areas, minlength=n_nodes))
        running = np.cumsum(areas[rows])
        before = np.concatenate([[0.0], running])[start]
        area = running - before[sorted_node] + below[sorted_node]
        # Down to the next vertex of the same node, or to where the node joins its parent.
        floor = np.append(powered[rows[1:]], 0.0)
        last_rows = start + size - 1
        used = size > 0
        joins = self.pass_vertex[self.parent[used]]
        floor[last_rows[used]] = np.where(joins >= 0, powered[joins], 0.0)
        slab = area**extent_power * (powered[rows] - floor)
        total = np.bincount(sorted_node, weights=slab, minlength=n_nodes)
        passed = np.cumsum(slab) - slab
        within = total[sorted_node] - (passed - passed[np.minimum(start, len(rows) - 1)][sorted_node])
        worth = np.empty(len(node))
        worth[rows] = within + self._carried_down(total)[sorted_node]
        return worth

    def _carried_up(self, own: np.ndarray) -> np.ndarray:
        """Sum of everything in the descendants of each node, without its own."""
        whole, below, parent = own.tolist(), [0.0] * len(own), self.parent.tolist()
        for node in range(len(own) - 1):  # children come before their parents
            below[parent[node]] += whole[node]
            whole[parent[node]] += whole[node]
        return np.array(below)

    def _carried_down(self, own: np.ndarray) -> np.ndarray:
        """Sum over the ancestors of each node."""
        above, own, parent = [0.0] * len(own), own.tolist(), self.parent.tolist()
        for node in range(len(own) - 2, -1, -1):
            above[node] = above[parent[node]] + own[parent[node]]
        return np.array(above)


def _passes(
    basin: np.ndarray, rank: np.ndarray, sign: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Highest pass between each two neighbouring basins: its rank and the basins, highest first."""
    first, second = edges
    crossing = np.flatnonzero((basin[first] != basin[second]) & (sign[first] * sign[second] > 0))
    first, second = first[crossing], second[crossing]
    height = np.minimum(rank[first], rank[second]).astype(np.int64)
    one, other = basin[first], basin[second]
    low, high = np.minimum(one, other), np.maximum(one, other)
    key = (low << 32) | high
    order = np.lexsort((-height, key))
    key, height = key[order], height[order]
    is_first = np.ones(len(key), dtype=bool)
    is_first[1:] = key[1:] != key[:-1]
    key, height = key[is_first], height[is_first]
    order = np.lexsort((key, -height))
    return height[order], key[order] >> 32, key[order] & 0xFFFFFFFF


def _joined(
    n_peaks: int, heights: list[int], first: list[int], second: list[int]
) -> tuple[list[int], list[int]]:
    """Join pieces at the passes, highest first (Kruskal 1956); a loop over peaks, not over vertices.

    Returns the parent of each node (the last is the whole surface) and the rank of each join.
    """
    parent, joined_at = list(range(n_peaks)), []
    root = list(range(n_peaks))  # a shortened way to the topmost piece, for the search only

    def top(node: int) -> int:
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for height, one, other in zip(heights, first, second):
        one, other = top(one), top(other)
        if one != other:
            new = len(parent)
            parent.append(new)
            root.append(new)
            parent[one] = parent[other] = root[one] = root[other] = new
            joined_at.append(height)
    whole = len(parent)
    parent = [whole if above == node else above for node, above in enumerate(parent)]
    return [*parent, whole], joined_at

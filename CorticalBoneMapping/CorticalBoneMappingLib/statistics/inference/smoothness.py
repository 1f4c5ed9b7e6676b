"""How smooth the maps of a study are, from their residuals: resels and width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import StatisticsError
from ...core.surface import Surface

_FOUR_LOG_2 = 4.0 * np.log(2.0)
_CHUNK = 8192  # edges worked on together; bounds the memory


@dataclass(frozen=True)
class Smoothness:
    """What random field theory needs to know of the tested part of a surface.

    Attributes
    ----------
    resels : ndarray of shape (3,)
        Resolution elements in 0 (Euler characteristic), 1 and 2 dimensions.
    resels_per_vertex : ndarray of shape (v,)
        Share of each vertex in those of 2 dimensions.
    tested : ndarray of shape (v,)
        Which vertices belong to it.
    fwhm_mm : float
        Mean full width at half maximum of the noise: √(area / resels).
    spacing_mm : float
        Mean length of the edges.
    """

    resels: np.ndarray
    resels_per_vertex: np.ndarray
    tested: np.ndarray
    fwhm_mm: float
    spacing_mm: float

    @property
    def cell(self) -> float:
        """Mean area of one vertex where residuals have unit sum of squares: L2 / vertices."""
        return float(self.resels[2] * _FOUR_LOG_2 / self.tested.sum())


def estimate_smoothness(
    surface: Surface, residuals: np.ndarray, tested: np.ndarray | None = None
) -> Smoothness:
    """Measure how smooth the residuals of a model are, wherever they are how smooth.

    Residuals u of unit sum of squares differ along an edge by l = Σ(Δu)²; √l is the edge's length in a
    space in which the smoothness is the same everywhere. Its Lipschitz–Killing curvatures L0, L1, L2 give
    resels_d = L_d / (4 ln 2)^(d/2) (Worsley et al. 1999, Hum Brain Mapp 8:98).

    Parameters
    ----------
    surface : Surface
        The average femur.
    residuals : ndarray of shape (n, v)
        Of the model, of any scale; zero or not-a-number without a value.
    tested : ndarray of bool, shape (v,), optional
        Vertices that are tested; others (the cut end) do not count, nor vertices whose residuals are all
        zero or missing.

    Returns
    -------
    Smoothness

    Raises
    ------
    StatisticsError
        If the residuals are not one row of vertices a map, or no triangle can be tested.
    """
    n_points = len(surface.points)
    if residuals.ndim != 2 or residuals.shape[1] != n_points:
        raise StatisticsError(
            f"Residuals of shape {residuals.shape} do not belong to a surface of {n_points} vertices."
        )
    scale = np.sqrt(np.nansum(residuals**2, axis=0))
    tested = (scale > 0) & (np.ones(n_points, dtype=bool) if tested is None else tested)
    triangles = surface.triangles[tested[surface.triangles].all(axis=1)]
    if not len(triangles):
        raise StatisticsError(
            "No triangle of the surface could be tested, so nothing is known of smoothness."
        )
    edges, sides = _edges_and_sides(surface, tested)
    unit = np.ascontiguousarray((residuals / np.where(scale > 0, scale, 1.0)).T)
    known = np.isfinite(unit) & (unit != 0.0)
    if known[tested].all():
        squared = _squared_lengths(unit, edges)
    else:
        squared = _squared_lengths_with_gaps(np.where(known, unit, 0.0), known.astype(np.float64), edges)
    area = _areas(*squared[sides].T)
    roots = np.sqrt(squared)
    curvatures = np.array(
        [
            tested.sum() - len(edges) + len(triangles),
            roots.sum() - 0.5 * roots[sides].sum(),
            area.sum(),
        ]
    )
    per_vertex = np.bincount(triangles.ravel(), weights=np.repeat(area / 3.0, 3), minlength=n_points)
    return Smoothness(
        resels=curvatures / _FOUR_LOG_2 ** (0.5 * np.arange(3)),
        resels_per_vertex=per_vertex / _FOUR_LOG_2,
        tested=tested,
        fwhm_mm=_width(surface, tested, area.sum() / _FOUR_LOG_2),
        spacing_mm=surface.mean_spacing_mm,
    )


def _edges_and_sides(surface: Surface, tested: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges between tested vertices, and which three of them bound each tested triangle."""
    corners = surface.triangles
    ends = np.sort(corners[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    keys, which = np.unique((ends[:, 0] << 32) | ends[:, 1], return_inverse=True)
    edges = np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1)
    kept = tested[edges].all(axis=1)
    number = np.cumsum(kept) - 1
    sides = number[which.reshape(-1, 3)[tested[corners].all(axis=1)]]
    return edges[kept], sides


def _squared_lengths(unit: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Σ(Δu)² along each edge, shape (n_edges,)."""
    squared = np.empty(len(edges))
    for start in range(0, len(edges), _CHUNK):
        first, second = edges[start : start + _CHUNK].T
        difference = unit[first] - unit[second]
        squared[start : start + _CHUNK] = np.einsum("en,en->e", difference, difference)
    return squared


def _squared_lengths_with_gaps(unit: np.ndarray, known: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The same from the maps that have a value at both ends, made up for those that have not."""
    squared, count = np.empty(len(edges)), known.sum(axis=1)
    for start in range(0, len(edges), _CHUNK):
        first, second = edges[start : start + _CHUNK].T
        both = known[first] * known[second]
        difference = both * (unit[first] - unit[second])
        expected = np.sqrt(count[first] * count[second]) / np.maximum(both.sum(axis=1), 1.0)
        squared[start : start + _CHUNK] = expected * np.einsum("en,en->e", difference, difference)
    return squared


def _areas(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Areas of triangles from their squared sides; 0 where noise broke the triangle's inequality."""
    return 0.25 * np.sqrt(np.maximum(4.0 * a * b - (a + b - c) ** 2, 0.0))


def _width(surface: Surface, tested: np.ndarray, resels: float) -> float:
    area = surface.triangle_areas[tested[surface.triangles].all(axis=1)].sum()
    return float(np.sqrt(area / resels)) if resels > 0 else np.inf

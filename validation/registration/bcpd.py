"""Bayesian coherent point drift, written for this benchmark from its equations: no package on PyPI has it.

Hirose 2021 (IEEE TPAMI 43:2269, fig. 2) with a kernel of low rank and, if asked for, distances along the
surface (Hirose 2023, IEEE TPAMI 45:5816). On a sample of each bone; the kernel then moves all vertices.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

_RANK, _ITERATIONS, _SETTLED = 200, 120, 1e-4
_START = 0.1  # γ of the program: the bones are roughly aligned


def bcpd(source, target, source_triangles, sampled, fixed, *, width, stiffness, geodesic_share):
    """Register points to others.

    Parameters
    ----------
    source, target : ndarray of shape (n, 3), (m, 3)
        Of unit variance, roughly aligned.
    source_triangles : ndarray of shape (k, 3)
        For distances along the surface.
    sampled, fixed : ndarray
        Indices into source and target of the points that are used.
    width, stiffness : float
        Kernel width β and λ of the paper.
    geodesic_share : float
        Share τ of the kernel along the surface in the whole.

    Returns
    -------
    ndarray of shape (n, 3)
    """
    kernel = _kernel(source, source_triangles, sampled, width, geodesic_share)
    values, vectors = eigh(
        kernel[sampled], subset_by_index=[len(sampled) - _RANK, len(sampled) - 1], driver="evr"
    )
    kept = values > 1e-6 * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    y, x = source[sampled], target[fixed]
    v, scale, rotation, shift = _drift(y, x, values, vectors, stiffness)
    moved = source + kernel @ (vectors @ ((vectors.T @ v) / values[:, None]))
    return scale * moved @ rotation.T + shift


def _drift(y, x, values, vectors, stiffness):
    """Displacements of the sample and the similarity after them."""
    basis = vectors * np.sqrt(values)
    v, scale, rotation, shift = np.zeros_like(y), 1.0, np.eye(3), np.zeros(3)
    own_variance = np.zeros(len(y))
    moved, variance = y.copy(), _START**2 * _squared(y, x).mean() / 3.0
    for _ in range(_ITERATIONS):
        before = variance
        p = np.exp(_squared(moved, x) / (-2.0 * variance))
        p *= np.exp(-1.5 * scale**2 / variance * own_variance)[:, None]
        p /= np.maximum(p.sum(axis=0), 1e-300)
        nu, total = p.sum(axis=1), p.sum()
        means = (p @ x) / np.maximum(nu, 1e-12)[:, None]
        # Posterior of the displacements, (λ G⁻¹ + s²/σ² diag(ν))⁻¹, in the basis of the kernel.
        ratio = scale**2 / variance
        inner = np.linalg.inv(stiffness * np.eye(basis.shape[1]) + ratio * (basis * nu[:, None]).T @ basis)
        residual = (means - shift) @ rotation / scale - y
        v = basis @ (inner @ (basis.T @ (ratio * nu[:, None] * residual)))
        own_variance = np.einsum("mi,ij,mj->m", basis, inner, basis)
        u = y + v
        x_mean, u_mean = nu @ means / total, nu @ u / total
        weighted = nu[:, None] * (u - u_mean) / total
        cross, spread = (means - x_mean).T @ weighted, (u - u_mean).T @ weighted
        spread = spread + np.eye(3) * (nu @ own_variance) / total
        left, _, right = np.linalg.svd(cross)
        rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
        scale = float(np.trace(rotation.T @ cross) / np.trace(spread))
        shift = x_mean - scale * rotation @ u_mean
        moved = scale * u @ rotation.T + shift
        fit = (p.sum(axis=0) @ (x**2).sum(axis=1)) - 2.0 * np.sum((p @ x) * moved)
        fit += nu @ (moved**2).sum(axis=1)
        variance = max(fit / (3.0 * total) + scale**2 * (nu @ own_variance) / total, 1e-6)
        if abs(before - variance) < _SETTLED * before:
            break
    return v, scale, rotation, shift


def _kernel(points, triangles, sampled, width, geodesic_share):
    """Kernel between all points and the sampled ones."""
    kernel = (1.0 - geodesic_share) * np.exp(_squared(points, points[sampled]) / (-2.0 * width**2))
    if geodesic_share:
        ends = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        length = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
        graph = coo_array((length, (ends[:, 0], ends[:, 1])), shape=(len(points), len(points))).tocsr()
        # Each edge occurs in both directions, once from either triangle, except on the border.
        away = dijkstra(graph, directed=False, indices=sampled).T
        kernel += geodesic_share * np.exp(away**2 / (-2.0 * width**2))
    return kernel


def _squared(a, b):
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    return np.maximum(squared, 0.0)

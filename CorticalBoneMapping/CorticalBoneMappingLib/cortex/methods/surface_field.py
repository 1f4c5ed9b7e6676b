"""What neighbours share: a value at every point as a smooth field over the surface, plus local structure.

The thickness that one line sees is that of the cortex there, and more: struts and pores beside the line,
which change within a millimetre or two, and noise. The cortex beneath changes over a centimetre. Both are
separated by their extent over the surface:

    value(p) = level(p) · (1 + u(p)) + e(p)

u is a Gaussian field with a Matérn covariance (as a stochastic partial differential equation on the surface;
Lindgren, Rue, Lindström 2011, J R Stat Soc B 73:423), e the local part, whose variance the scatter between
neighbours shows, and whose extent their correlation. The posterior mean of level · (1 + u) is a smoothing
whose width follows the scatter: where neighbours agree it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

from ...core.surface import Surface
from ...mesh.smoothing import cotangent_laplacian, smooth
from ...mesh.topology import adjacency


@dataclass(frozen=True)
class SurfaceFieldSettings:
    """Prior of the field; chosen by hand, not tuned, unless a line says more."""

    # Together they say how fast thickness may change: a thinning by a third, 6 mm wide (full width at half
    # maximum), then keeps about four fifths of its depth in structured bone at 0.6 × 0.6 × 1 mm, all of it
    # in smooth bone, and one of 14 mm keeps it in both.
    range_mm: float = 20.0  # where the correlation has fallen to 0.14
    amplitude: float = 0.2  # SD of u
    level_fwhm_mm: float = 12.0
    variance_fwhm_mm: float = 8.0  # the local variance is smoothed so, else low values would count more
    freedom: float = 8.0  # of Student's t: a line that contradicts its neighbours by far has less weight
    passes: int = 3


FIELD = SurfaceFieldSettings()


class SharedField(NamedTuple):
    """Posterior of a field at n points.

    Attributes
    ----------
    values, variance : ndarray of shape (n,)
        Posterior mean, and its variance by the local part.
    extent_mm2 : float
        Area over which the local part is alike: the integral of its correlation.
    """

    values: np.ndarray
    variance: np.ndarray
    extent_mm2: float


def shared_field(
    surface: Surface, points: np.ndarray, values: np.ndarray, variance: np.ndarray, known: np.ndarray
) -> SharedField:
    """Separate a field over the surface from what is local.

    Parameters
    ----------
    surface : Surface
        Of m points.
    points : ndarray of int, shape (n,)
        Those that the values belong to.
    values : ndarray of shape (n,)
        Not negative.
    variance : ndarray of shape (n,)
        Of the local part; not-a-number where it is not known, which is then filled from around.
    known : ndarray of bool, shape (n,)
        Values that count.

    Returns
    -------
    SharedField
        Also where nothing is known, from the neighbours.
    """
    there = np.zeros(len(surface.points), dtype=bool)
    there[points[known]] = True
    whole, spread = np.full((2, len(surface.points)), np.nan)
    whole[points[known]] = values[known]
    spread[points] = np.log(np.maximum(variance, 1e-12))
    level = smooth(surface, whole, FIELD.level_fwhm_mm, fill=True)
    level = np.where(np.isfinite(level), level, np.median(values[known]))
    level = np.maximum(level, 1e-3 * np.median(values[known]))
    spread = smooth(surface, spread, FIELD.variance_fwhm_mm, fill=True)
    local = np.exp(np.where(np.isfinite(spread), spread, np.nanmedian(spread))) / level**2
    left = np.where(there, np.where(there, whole, 0.0) / level - 1.0, 0.0)
    prior = _Prior(surface)
    weight, extent = there / local, 1.0
    for step in range(FIELD.passes):
        factor = prior.posterior(weight / extent)
        field = factor.solve(weight / extent * left)
        if step < FIELD.passes - 1:
            extent = _extent(surface, factor, weight / extent, left - field, there)
        far = (left - field) ** 2 / local
        weight = there / local * np.minimum((FIELD.freedom + 1.0) / (FIELD.freedom + far), 1.0)
    noise = np.where(there, local, np.inf) * extent * prior.areas
    found = level * (1.0 + field), level**2 * prior.posterior_variance(noise)
    return SharedField(found[0][points], found[1][points], float(extent * prior.areas.mean()))


class _Prior:
    """The Matérn field (ν = 1) on a surface: precision (κ² C + G) C⁻¹ (κ² C + G) / density."""

    def __init__(self, surface: Surface) -> None:
        self.areas = np.maximum(surface.point_areas, 1e-9 * surface.point_areas.mean())
        self._kappa = np.sqrt(8.0) / FIELD.range_mm
        self._density = 4.0 * np.pi * self._kappa**2 * FIELD.amplitude**2  # of the driving noise
        operator = sparse.diags(self._kappa**2 * self.areas) + cotangent_laplacian(surface)
        self._precision = (operator @ sparse.diags(1.0 / self.areas) @ operator) / self._density

    def posterior(self, weight: np.ndarray) -> SuperLU:
        """Factor of the posterior precision, given weights (n,) of the values."""
        matrix = (self._precision + sparse.diags(weight)).tocsc()
        return splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})

    def posterior_variance(self, noise: np.ndarray) -> np.ndarray:
        """Posterior variance (n,) where white noise of a spectral density (n,) is the same all around.

        ∫ S N / (S + N) d²k / (2π)² with the field's spectrum S = density / (κ² + k²)².
        """
        k = np.linspace(0.0, 60.0 * self._kappa, 6001)
        spectrum = self._density / (self._kappa**2 + k**2) ** 2
        tried = spectrum[0] * np.geomspace(1e-8, 1e4, 100)
        weight = k * (k[1] - k[0]) / (2.0 * np.pi)
        found = np.array([(weight * spectrum * n / (spectrum + n)).sum() for n in tried])
        return np.interp(np.log(np.clip(noise, tried[0], tried[-1])), np.log(tried), found)


def _extent(
    surface: Surface, factor: SuperLU, weight: np.ndarray, left: np.ndarray, there: np.ndarray
) -> float:
    """How many points' areas the local part is alike over, at least 1.

    Smoothing takes a part of it away, more of one that is alike over a larger area. So noise of known extents
    is smoothed in the same way, and the extent is that of the noise whose neighbours are left as alike.
    """
    ring, root = adjacency(surface.edges, len(left)), np.sqrt(weight)
    white = np.random.default_rng(0).standard_normal(len(left))
    noise, extents = [], []
    for share in _SHARES:
        kernel = sparse.eye_array(len(left)) + share * ring
        kernel = (kernel @ kernel).tocsr()
        squares = np.asarray(kernel.multiply(kernel).sum(axis=1)).ravel()
        noise.append(kernel @ white / np.sqrt(squares))
        extents.append(float(np.mean(np.asarray(kernel.sum(axis=1)).ravel() ** 2 / squares)))
    tried = np.where(there, np.stack(noise) / np.where(there, root, 1.0), 0.0).T
    tried = (tried - factor.solve(weight[:, None] * tried)) * root[:, None]
    alike = [_correlation(column, ring) for column in tried.T]
    return float(np.interp(_correlation(left * root, ring), alike, extents))


_SHARES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0)
"""Of a neighbour in a point's noise; correlation and extent grow with it."""


def _correlation(values: np.ndarray, ring: sparse.csr_array) -> float:
    """Correlation between values (n,) and those of their neighbours; 0 is not known."""
    values = np.clip(values, -3.0, 3.0)
    there = (values != 0).astype(float)
    pairs = float(there @ (ring @ there))
    return float(values @ (ring @ values)) / pairs / (float(values @ values) / there.sum()) if pairs else 0.0

"""Standard deviations of thickness, density and mass at every point of a `surface-map`.

Four parts join: noise, as it really scatters round a point; the density field's posterior; errors of the blur
that the whole scan shares; and what holds for all of a scan. The calibration is not in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array

from ...core.surface import Surface
from ...mesh.smoothing import smooth
from ..model.three_layers import LayerFit
from ..scan.scan import Scan
from ..scan.sensitivity import Sensitivity
from .density_field import Field

_BLUR_ERROR = np.array([0.02, 0.05])  # relative: of σ as estimated from thick cortex, of the slice's width
_TILT_ERROR = 0.008  # of t: a normal 7° off lengthens the way through the cortex by so much
_SCALE_ERROR = 0.007  # of density: what is left of scatter and beam hardening, alike in the whole scan
# Of mass, times the slices' share of the blur: what lies in a slice beside the line is not what lies on it.
_SLICE_MASS_ERROR = 0.06
_ENOUGH_POINTS = 100  # to judge the scatter
_AROUND_MM = 12.0  # full width at half maximum of the neighbourhood in which it is judged
_LOCAL_SHARE = 0.8  # of what the neighbourhood says, against the whole bone
_MOST_SCATTER = 12.0  # times the median: one outlier must not speak for all around


class PosteriorSpread(NamedTuple):
    """Standard deviations at n points.

    Attributes
    ----------
    thickness, density, mass : ndarray of shape (n,)
        In mm, the unit of the profiles, and that of thickness × density / 10.
    scatter : float
        How many times more thickness scatters than the noise says, the median.
    """

    thickness: np.ndarray
    density: np.ndarray
    mass: np.ndarray
    scatter: float


def posterior_spread(
    scan: Scan, fit: LayerFit, density: np.ndarray, field: Field, sensitivity: Sensitivity, valid: np.ndarray
) -> PosteriorSpread:
    """Join everything that makes a point uncertain.

    Parameters
    ----------
    scan : Scan
        Of n points.
    fit : LayerFit
        With the apparent density.
    density : ndarray of shape (n,)
        Of the bone.
    field : Field
        Posterior of both.
    sensitivity : Sensitivity
        Of the fit.
    valid : ndarray of bool, shape (n,)
        Points that can judge the scatter.

    Returns
    -------
    PosteriorSpread
    """
    t, by_density = fit.thickness, sensitivity.thickness_by_density
    noise = np.sqrt(sensitivity.thickness_variance)
    scatter, usual = _scatter(scan, t, noise, valid)
    mass_scatter, _ = _scatter(scan, t * density, density * noise, valid)
    tilt = (_TILT_ERROR * t) ** 2
    # Blur acts on thickness at a given density, and through the density.
    by_blur = by_density[:, None] * field.apparent_by_blur + sensitivity.thickness_by_blur
    mass_by_blur = density[:, None] * by_blur + t[:, None] * field.density_by_blur
    thickness = (noise * scatter) ** 2 + tilt + by_density**2 * field.apparent_variance + _blurred(by_blur)
    own = field.density_variance + _blurred(field.density_by_blur) + (_SCALE_ERROR * density) ** 2
    mass = density**2 * ((noise * mass_scatter) ** 2 + tilt) + _blurred(mass_by_blur)
    mass += t**2 * field.density_variance + (density * by_density) ** 2 * field.apparent_variance
    mass += 2.0 * t * density * by_density * field.covariance
    mass += (_SCALE_ERROR**2 + (_SLICE_MASS_ERROR * _slices_share(scan)) ** 2) * (t * density) ** 2
    return PosteriorSpread(np.sqrt(thickness), np.sqrt(own), np.sqrt(np.maximum(mass, 0.0)) / 10.0, usual)


def _blurred(by_blur: np.ndarray) -> np.ndarray:
    """Variance (n,) by the errors of the blur."""
    return ((by_blur * _BLUR_ERROR) ** 2).sum(axis=1)


def _slices_share(scan: Scan) -> np.ndarray:
    """Share (n,) of the slice profile in the variance of the blur."""
    gaussian, profile = scan.line_blur.sigma**2, scan.line_blur.half_width**2 / 3.0
    return profile / np.maximum(gaussian + profile, 1e-12)


def _scatter(
    scan: Scan, values: np.ndarray, expected: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, float]:
    """How many times more a point differs from what its neighbours say than `expected`: round it, and at all.

    Correlated noise, normals, curvature and other bone near by make it more than the profile's own noise
    says, and more in some places than in others. On an even mesh the neighbours one edge away lie at squared
    distance 1, those two edges away at 3.5 on average, so this combination of their means is exact for any
    quadratic surface, and what is left is error.
    """
    whole = np.full(len(scan.surface.points), np.nan)
    whole[scan.points] = np.where(valid, values, np.nan)
    near, far = (_mean_over(whole, ring) for ring in _rings(scan.surface))
    left = (whole - (3.5 * near - far) / 2.5)[scan.points]
    judged = np.isfinite(left) & (expected > 0)
    if judged.sum() < _ENOUGH_POINTS:
        return np.ones(len(values)), 1.0
    own = 1.0 + (3.5 / 2.5) ** 2 / 6.0 + (1.0 / 2.5) ** 2 / 12.0  # variance of `left` in units of a point's
    ratio = np.abs(left[judged]) / (expected[judged] * np.sqrt(own))
    usual = max(1.0, 1.4826 * float(np.median(ratio)))
    whole[:] = np.nan
    whole[scan.points[judged]] = np.minimum(ratio, _MOST_SCATTER * usual) ** 2
    around = smooth(scan.surface, whole, _AROUND_MM, fill=True)[scan.points]
    around = np.where(np.isfinite(around), around, usual**2)
    return np.sqrt(_LOCAL_SHARE * np.maximum(around, 0.0) + (1.0 - _LOCAL_SHARE) * usual**2), usual


def _rings(surface: Surface) -> tuple[csr_array, csr_array]:
    """Who is one edge away, and who two, as matrices of ones."""
    total = len(surface.points)
    ends = np.concatenate([surface.edges, surface.edges[:, ::-1]])
    one = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(total, total)).tocsr()
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

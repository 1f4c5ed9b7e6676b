"""Standard deviations of thickness, density and mass at every point of a `surface-map`.

Four parts add up: noise, as it scatters around a point; the posterior of the density field; errors of the
blur, which the whole scan shares; and errors of the scale of a scan. The calibration is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array

from ...core.surface import Surface
from ...mesh.smoothing import smooth
from ..model.three_layers import LayerFit
from ..scan.scan import Scan
from ..scan.sensitivity import Sensitivity
from .density_field import Field


@dataclass(frozen=True)
class SpreadSettings:
    """Errors besides noise; chosen by hand, not tuned, unless a line says more. See Docs/methods.md."""

    # Relative: of σ as estimated from thick cortex, of the slice's width.
    blur_error: tuple[float, float] = (0.02, 0.05)
    tilt_error: float = 0.008  # of t: a normal 7° off lengthens the path through the cortex so (1 / cos)
    scale_error: float = 0.007  # of density: rest of scatter and beam hardening, the same in the whole scan
    # Of mass, times the slices' share of the blur: bone beside the line in a slice differs from that on it.
    slice_mass_error: float = 0.06
    enough_points: int = 100  # to estimate the scatter
    around_mm: float = 12.0  # full width at half maximum of the neighbourhood in which it is estimated
    local_share: float = 0.8  # of the neighbourhood, against the whole bone
    most_scatter: float = 12.0  # times the median: one outlier must not decide for all around


SPREAD = SpreadSettings()


class PosteriorSpread(NamedTuple):
    """Standard deviations at n points.

    Attributes
    ----------
    thickness, density, mass : ndarray of shape (n,)
        In mm, the unit of the profiles, and that of thickness × density / 10.
    scatter : float
        Scatter of the thickness over that expected from the noise, the median.
    """

    thickness: np.ndarray
    density: np.ndarray
    mass: np.ndarray
    scatter: float


def posterior_spread(
    scan: Scan, fit: LayerFit, density: np.ndarray, field: Field, sensitivity: Sensitivity, valid: np.ndarray
) -> PosteriorSpread:
    """Return the standard deviations of every point.

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
        Points from which the scatter is estimated.

    Returns
    -------
    PosteriorSpread
    """
    t, by_density = fit.thickness, sensitivity.thickness_by_density
    noise = np.sqrt(sensitivity.thickness_variance)
    scatter, usual = _scatter(scan, t, noise, valid)
    mass_scatter, _ = _scatter(scan, t * density, density * noise, valid)
    tilt = (SPREAD.tilt_error * t) ** 2
    # Blur acts on thickness at a given density, and through the density.
    by_blur = by_density[:, None] * field.apparent_by_blur + sensitivity.thickness_by_blur
    mass_by_blur = density[:, None] * by_blur + t[:, None] * field.density_by_blur
    thickness = (noise * scatter) ** 2 + tilt + by_density**2 * field.apparent_variance + _blurred(by_blur)
    own = field.density_variance + _blurred(field.density_by_blur) + (SPREAD.scale_error * density) ** 2
    mass = density**2 * ((noise * mass_scatter) ** 2 + tilt) + _blurred(mass_by_blur)
    mass += t**2 * field.density_variance + (density * by_density) ** 2 * field.apparent_variance
    mass += 2.0 * t * density * by_density * field.covariance
    mass += (SPREAD.scale_error**2 + (SPREAD.slice_mass_error * _slices_share(scan)) ** 2) * (
        t * density
    ) ** 2
    return PosteriorSpread(np.sqrt(thickness), np.sqrt(own), np.sqrt(np.maximum(mass, 0.0)) / 10.0, usual)


def _blurred(by_blur: np.ndarray) -> np.ndarray:
    """Variance (n,) by the errors of the blur."""
    return ((by_blur * np.array(SPREAD.blur_error)) ** 2).sum(axis=1)


def _slices_share(scan: Scan) -> np.ndarray:
    """Share (n,) of the slice profile in the variance of the blur."""
    gaussian, profile = scan.line_blur.sigma**2, scan.line_blur.half_width**2 / 3.0
    return profile / np.maximum(gaussian + profile, 1e-12)


def _scatter(
    scan: Scan, values: np.ndarray, expected: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the scatter about the neighbours over `expected`, around each point and of the whole bone.

    Correlated noise, normals, curvature and other bone near by make it more than the profile's own noise, and
    more in some places than in others. On an even mesh the neighbours one edge away lie at squared
    distance 1, those two edges away at 3.5 on average, so this combination of their means is exact for any
    quadratic surface, and what is left is error.
    """
    whole = np.full(len(scan.surface.points), np.nan)
    whole[scan.points] = np.where(valid, values, np.nan)
    near, far = (_mean_over(whole, ring) for ring in _rings(scan.surface))
    left = (whole - (3.5 * near - far) / 2.5)[scan.points]
    judged = np.isfinite(left) & (expected > 0)
    if judged.sum() < SPREAD.enough_points:
        return np.ones(len(values)), 1.0
    own = 1.0 + (3.5 / 2.5) ** 2 / 6.0 + (1.0 / 2.5) ** 2 / 12.0  # variance of `left` in units of a point's
    ratio = np.abs(left[judged]) / (expected[judged] * np.sqrt(own))
    usual = max(1.0, 1.4826 * float(np.median(ratio)))
    whole[:] = np.nan
    whole[scan.points[judged]] = np.minimum(ratio, SPREAD.most_scatter * usual) ** 2
    around = smooth(scan.surface, whole, SPREAD.around_mm, fill=True)[scan.points]
    around = np.where(np.isfinite(around), around, usual**2)
    return np.sqrt(
        SPREAD.local_share * np.maximum(around, 0.0) + (1.0 - SPREAD.local_share) * usual**2
    ), usual


def _rings(surface: Surface) -> tuple[csr_array, csr_array]:
    """Neighbours one edge away, and two, as matrices of ones."""
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

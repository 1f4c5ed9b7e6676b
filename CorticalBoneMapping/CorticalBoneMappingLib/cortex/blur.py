"""How the scanner blurs a step of density, along the normal of a surface.

In the scan plane the point spread is a Gaussian; across it, the slice profile is a rectangle as wide
as the slice is thick. A plane edge seen along its normal is blurred by the projection of both onto
that normal, so by a Gaussian and a rectangle again.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

_SQRT_PI = np.sqrt(np.pi)
# Below this r/s the rectangle changes the step by less than 1e-9 of it, while the difference quotient
# of the formula would begin to cancel; so r is never taken smaller.
_SMALLEST_RATIO = 1e-4
# The ramp's formula is a second difference, which cancels sooner; the change is still below 1e-5.
_SMALLEST_RAMP_RATIO = 3e-3
# A Gaussian that vanishes (normal across the slices) would leave corners that no fit can follow.
_SMALLEST_SIGMA_MM = 0.05


def blurred_step(
    x: np.ndarray, sigma: np.ndarray | float, half_width: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Blur a unit step at 0 by a Gaussian and a rectangle.

    Parameters
    ----------
    x : ndarray
        Distance past the step, in mm.
    sigma : ndarray or float
        Standard deviation of the Gaussian in mm, broadcast against `x`.
    half_width : ndarray or float
        Half width r of the rectangle in mm, broadcast against `x`; may be zero.

    Returns
    -------
    value : ndarray
        B(x), from 0 to 1.
    slope : ndarray
        dB/dx in 1/mm.

    Notes
    -----
    Treece et al. 2010, Med Image Anal 14:276, with s = σ√2 and E(u) = u·erf(u/s) + s·exp(−u²/s²)/√π:
    B(x) = ½ + [E(x + r) − E(x − r)] / (4 r).
    """
    s, r = _scale_and_half_width(sigma, half_width)
    ahead, behind = (x + r) / s, (x - r) / s
    erf_ahead, erf_behind = erf(ahead), erf(behind)
    rounding = (np.exp(-ahead * ahead) - np.exp(-behind * behind)) / _SQRT_PI
    quarter = s / (4.0 * r)
    value = 0.5 + quarter * (ahead * erf_ahead - behind * erf_behind + rounding)
    return value, (erf_ahead - erf_behind) / (4.0 * r)


def blurred_step_by_blur(
    x: np.ndarray, sigma: np.ndarray | float, half_width: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Differentiate the blurred step by its blur.

    Parameters
    ----------
    x, sigma, half_width
        As for `blurred_step`.

    Returns
    -------
    by_sigma : ndarray
        dB/dσ in 1/mm.
    by_half_width : ndarray
        dB/dr in 1/mm.
    """
    s, r = _scale_and_half_width(sigma, half_width)
    value, _ = blurred_step(x, sigma, half_width)
    by_half_width = ((erf((x + r) / s) + erf((x - r) / s)) / 4.0 - (value - 0.5)) / r
    return blurred_step_by_sigma(x, sigma, half_width), by_half_width


def blurred_step_by_sigma(
    x: np.ndarray, sigma: np.ndarray | float, half_width: np.ndarray | float
) -> np.ndarray:
    """Differentiate the blurred step by σ alone: dB/dσ in 1/mm; arguments as for `blurred_step`."""
    s, r = _scale_and_half_width(sigma, half_width)
    ahead, behind = (x + r) / s, (x - r) / s
    return (np.exp(-ahead * ahead) - np.exp(-behind * behind)) * (np.sqrt(0.125) / (r * _SQRT_PI))


def blurred_ramp(
    x: np.ndarray, width: np.ndarray, sigma: np.ndarray | float, half_width: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blur a linear rise from 0 at 0 to 1 at `width` by a Gaussian and a rectangle.

    Parameters
    ----------
    x : ndarray
        Distance past the beginning of the ramp, in mm.
    width : ndarray
        Of the ramp in mm, broadcast against `x`; may be zero.
    sigma, half_width
        As for `blurred_step`.

    Returns
    -------
    value : ndarray
        R(x), from 0 to 1.
    slope : ndarray
        dR/dx in 1/mm.
    by_width : ndarray
        dR/dw in 1/mm.

    Notes
    -----
    A ramp is a step blurred by a rectangle of half width h = w/2 about its middle, so with
    G(u) = ∫E = ½[(u² + s²/2)·erf(u/s) + u·s·exp(−u²/s²)/√π] and d = x − h:
    R = ½ + [G(d+r+h) − G(d+r−h) − G(d−r+h) + G(d−r−h)] / (8 r h).
    """
    s, r = _scale_and_half_width(sigma, half_width, _SMALLEST_RAMP_RATIO)
    h = np.maximum(0.5 * width, _SMALLEST_RAMP_RATIO * s)
    middle = x - 0.5 * width
    value = slope = 0.0
    for sign, place in ((1, r + h), (-1, r - h), (-1, h - r), (1, -r - h)):
        u = (middle + place) / s
        error, fall = erf(u), np.exp(-u * u) / _SQRT_PI
        slope = slope + sign * (u * error + fall)
        value = value + sign * 0.5 * ((u * u + 0.5) * error + u * fall)
    scale = 8.0 * (r / s) * (h / s)
    value = 0.5 + value / scale
    slope = slope / (s * scale)
    # dR/dw = [B(x − w) − R]/w; where the ramp is narrower than h, only its middle still moves with w.
    at_end, _ = blurred_step(x - width, sigma, half_width)
    by_width = np.where(width >= 2.0 * h, (at_end - value) / (2.0 * h), -0.5 * slope)
    return value, slope, by_width


def scan_plane_half_width(slice_thickness_mm: float, normals_across: np.ndarray) -> np.ndarray:
    """Half width of the slice profile for a profile sampled in the scan plane.

    Parameters
    ----------
    slice_thickness_mm : float
        Width S of the slice profile.
    normals_across : ndarray of shape (n,)
        n_z: cosine between surface normal and slice normal.

    Returns
    -------
    ndarray of shape (n,)
        r = (S/2) tan a with a = atan(n_z / |n_xy|), in mm (Treece et al. 2010); the thickness along the
        normal is then that in the plane times cos a.
    """
    across = np.abs(normals_across)
    return 0.5 * slice_thickness_mm * across / np.sqrt(np.maximum(1.0 - across**2, 1e-12))


def normal_half_width(slice_thickness_mm: float, normals_across: np.ndarray) -> np.ndarray:
    """Half width of the slice profile along the true normal: r = (S/2) |n_z|, in mm, shape (n,)."""
    return 0.5 * slice_thickness_mm * np.abs(normals_across)


def normal_sigma(
    sigma_in_plane_mm: float, normals_across: np.ndarray, sigma_across_mm: float = 0.0
) -> np.ndarray:
    """Standard deviation of an ellipsoidal Gaussian along the normal.

    Parameters
    ----------
    sigma_in_plane_mm : float
        σx = σy.
    normals_across : ndarray of shape (n,)
        n_z: cosine between surface normal and slice normal.
    sigma_across_mm : float
        σz, beside the rectangle of the slice profile.

    Returns
    -------
    ndarray of shape (n,)
        σ(n) = ‖(σx nx, σy ny, σz nz)‖ in mm (Treece and Gee 2015, Med Image Anal 20:249).
    """
    across2 = np.minimum(normals_across**2, 1.0)
    return np.sqrt(sigma_in_plane_mm**2 * (1.0 - across2) + sigma_across_mm**2 * across2)


def _scale_and_half_width(
    sigma: np.ndarray | float, half_width: np.ndarray | float, smallest_ratio: float = _SMALLEST_RATIO
) -> tuple[np.ndarray, np.ndarray]:
    s = np.sqrt(2.0) * np.maximum(sigma, _SMALLEST_SIGMA_MM)
    return s, np.maximum(half_width, smallest_ratio * s)

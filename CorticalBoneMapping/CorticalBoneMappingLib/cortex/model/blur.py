"""Blur of the scanner along the normal of a surface: a step, a ramp and the peak of two steps.

In the scan plane the point spread is a Gaussian, with more or less edge enhancement; across it, the slice
profile is a rectangle as wide as the slice is thick. A plane edge seen along its normal is blurred by the
projection of both onto that normal, so by the same again.

Edge enhancement subtracts the Laplacian: K = G − e σ² ∇²G. The response at the frequency f, with
q = 2π²σ²f², is exp(−q)(1 + 2 e q). That is a Gaussian for e = 0, close to the Hann window of a usual kernel
of filtered back-projection for e ≈ 0.2, and above 1 at middle frequencies (edges overshoot) from e = 0.5.
By the heat equation σ² G″ is σ ∂G/∂σ, so it costs a factor on a term that the Gaussian needs anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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


class LineBlur(NamedTuple):
    """Blur along the normals of n points.

    Attributes
    ----------
    sigma, half_width, enhancement : ndarray
        Of the Gaussian, and of the rectangle, in mm, and edge enhancement e; all of shape (n,), or (n, 1) to
        broadcast against samples.
    """

    sigma: np.ndarray
    half_width: np.ndarray
    enhancement: np.ndarray

    def at(self, which: np.ndarray) -> LineBlur:
        """Return the blur of the points `which`, of shape (k, 1), to broadcast against their samples."""
        return LineBlur(*(values[which, None] for values in self))

    def softened(self, sigma_mm: float) -> LineBlur:
        """Return the blur of an edge that is itself soft, with a Gaussian of a standard deviation in mm."""
        if not sigma_mm:
            return self
        sigma = np.hypot(self.sigma, sigma_mm)
        return LineBlur(sigma, self.half_width, self.enhancement * (self.sigma / sigma) ** 2)


@dataclass(frozen=True)
class Blur:
    """Blur of a scan, besides the rectangle of its slices.

    Attributes
    ----------
    sigma_mm : float
        Standard deviation of the Gaussian in the plane.
    enhancement : float
        Edge enhancement e, see above; 0 is the plain Gaussian.
    sigma_across_mm : float
        Standard deviation of a Gaussian across the slices: how soft the ends of the slice profile are.
    """

    sigma_mm: float
    enhancement: float = 0.0
    sigma_across_mm: float = 0.0

    def along(self, normals_across: np.ndarray, slice_thickness_mm: float) -> LineBlur:
        """Project the blur and the slice profile onto normals.

        Parameters
        ----------
        normals_across : ndarray of shape (n,)
            n_z: cosine between surface normal and slice normal.
        slice_thickness_mm : float
            Width of the slice profile.

        Returns
        -------
        LineBlur
        """
        sigma = normal_sigma(self.sigma_mm, normals_across, self.sigma_across_mm)
        in_plane = normal_sigma(self.sigma_mm, normals_across) / np.maximum(sigma, _SMALLEST_SIGMA_MM)
        half_width = normal_half_width(slice_thickness_mm, normals_across)
        return LineBlur(sigma, half_width, self.enhancement * in_plane**2)


def blurred_step(
    x: np.ndarray,
    sigma: np.ndarray | float,
    half_width: np.ndarray | float,
    enhancement: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Blur a unit step at 0 by a Gaussian, edge enhanced or not, and a rectangle.

    Parameters
    ----------
    x : ndarray
        Distance past the step, in mm.
    sigma : ndarray or float
        Standard deviation of the Gaussian in mm, broadcast against `x`.
    half_width : ndarray or float
        Half width r of the rectangle in mm, broadcast against `x`; may be zero.
    enhancement : ndarray or float
        Edge enhancement e, broadcast against `x`.

    Returns
    -------
    value : ndarray
        B(x), from 0 to 1, beyond both where edges overshoot.
    slope : ndarray
        dB/dx in 1/mm.

    Notes
    -----
    Treece et al. 2010, Med Image Anal 14:276, with s = σ√2 and
    E(u) = u·erf(u/s) + (1 − e)·s·exp(−u²/s²)/√π: B(x) = ½ + [E(x + r) − E(x − r)] / (4 r). Theirs has e = 0;
    the new term is −e σ² d²B/dx².
    """
    s, r = _scale_and_half_width(sigma, half_width)
    ahead, behind = (x + r) / s, (x - r) / s
    erf_ahead, erf_behind = erf(ahead), erf(behind)
    fall_ahead, fall_behind = np.exp(-ahead * ahead), np.exp(-behind * behind)
    rounding = (fall_ahead - fall_behind) * ((1.0 - enhancement) / _SQRT_PI)
    value = 0.5 + s / (4.0 * r) * (ahead * erf_ahead - behind * erf_behind + rounding)
    slope = erf_ahead - erf_behind
    if np.any(enhancement):
        slope += (2.0 * enhancement / _SQRT_PI) * (ahead * fall_ahead - behind * fall_behind)
    return value, slope / (4.0 * r)


def blurred_step_by_sigma(
    x: np.ndarray,
    sigma: np.ndarray | float,
    half_width: np.ndarray | float,
    enhancement: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Differentiate the blurred step by σ: dB/dσ in 1/mm; arguments as for `blurred_step`."""
    s, r = _scale_and_half_width(sigma, half_width)
    ahead, behind = (x + r) / s, (x - r) / s
    fall_ahead, fall_behind = np.exp(-ahead * ahead), np.exp(-behind * behind)
    change = fall_ahead - fall_behind
    if np.any(enhancement):
        moment = ahead * ahead * fall_ahead - behind * behind * fall_behind
        change = (1.0 - enhancement) * change - 2.0 * enhancement * moment
    return change * (np.sqrt(0.125) / (r * _SQRT_PI))


def blurred_ramp(
    x: np.ndarray,
    width: np.ndarray,
    sigma: np.ndarray | float,
    half_width: np.ndarray | float,
    enhancement: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blur a linear rise from 0 at 0 to 1 at `width` by a Gaussian, edge enhanced or not, and a rectangle.

    Parameters
    ----------
    x : ndarray
        Distance past the beginning of the ramp, in mm.
    width : ndarray
        Of the ramp in mm, broadcast against `x`; may be zero.
    sigma, half_width, enhancement
        As for `blurred_step`.

    Returns
    -------
    value : ndarray
        R(x), from 0 to 1, beyond both where edges overshoot.
    slope : ndarray
        dR/dx in 1/mm.
    by_width : ndarray
        dR/dw in 1/mm.

    Notes
    -----
    A ramp is a step blurred by a rectangle of half width h = w/2 about its middle, so with
    G(u) = ∫E = ½[(u² + (½ − e)·s²)·erf(u/s) + u·s·exp(−u²/s²)/√π] and d = x − h:
    R = ½ + [G(d+r+h) − G(d+r−h) − G(d−r+h) + G(d−r−h)] / (8 r h).
    """
    s, r = _scale_and_half_width(sigma, half_width, _SMALLEST_RAMP_RATIO)
    h = np.maximum(0.5 * width, _SMALLEST_RAMP_RATIO * s)
    middle = x - 0.5 * width
    value = slope = 0.0
    for sign, place in ((1, r + h), (-1, r - h), (-1, h - r), (1, -r - h)):
        u = (middle + place) / s
        error, fall = erf(u), np.exp(-u * u) / _SQRT_PI
        slope = slope + sign * (u * error + (1.0 - enhancement) * fall)
        value = value + sign * 0.5 * ((u * u + 0.5 - enhancement) * error + u * fall)
    scale = 8.0 * (r / s) * (h / s)
    value = 0.5 + value / scale
    slope = slope / (s * scale)
    # dR/dw = [B(x − w) − R]/w; where the ramp is narrower than h, only its middle still moves with w.
    at_end, _ = blurred_step(x - width, sigma, half_width, enhancement)
    by_width = np.where(width >= 2.0 * h, (at_end - value) / (2.0 * h), -0.5 * slope)
    return value, slope, by_width


def normal_half_width(slice_thickness_mm: float, normals_across: np.ndarray) -> np.ndarray:
    """Return half the width of the slice profile along the true normal: r = (S/2) |n_z|, mm, shape (n,)."""
    return 0.5 * slice_thickness_mm * np.abs(normals_across)


def normal_sigma(
    sigma_in_plane_mm: float, normals_across: np.ndarray, sigma_across_mm: float = 0.0
) -> np.ndarray:
    """Return the standard deviation of an ellipsoidal Gaussian along the normal.

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


def model_peak(
    thickness: np.ndarray,
    outside: np.ndarray,
    cortex: np.ndarray,
    inside: np.ndarray,
    blur: LineBlur,
) -> np.ndarray:
    """Return the highest value of two blurred steps.

    Parameters
    ----------
    thickness : ndarray of shape (n,)
        t in mm.
    outside, cortex, inside : ndarray of shape (n,)
        y0, y1, y2.
    blur : LineBlur
        Along the normals, of shape (n,).

    Returns
    -------
    ndarray of shape (n,)
        Not-a-number where y1 is not above y0 and y2.

    Notes
    -----
    Treece and Gee 2015, Med Image Anal 20:249: the peak lies at
    x = σ²/(x1 − x0)·ln((y1 − y0)/(y1 − y2)) + (x0 + x1)/2. That holds for a Gaussian; with a slice
    profile, its variance r²/3 is added to σ² for the place, and the value there is of the whole blur,
    edge enhancement included.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        lean = np.log((cortex - outside) / (cortex - inside))
        variance = blur.sigma**2 + blur.half_width**2 / 3.0
        place = variance / np.maximum(thickness, 1e-6) * lean + 0.5 * thickness
    place = np.clip(place, 0.0, thickness)
    outer, _ = blurred_step(place, *blur)
    inner, _ = blurred_step(place - thickness, *blur)
    return outside + (cortex - outside) * outer + (inside - cortex) * inner


def _scale_and_half_width(
    sigma: np.ndarray | float, half_width: np.ndarray | float, smallest_ratio: float = _SMALLEST_RATIO
) -> tuple[np.ndarray, np.ndarray]:
    s = np.sqrt(2.0) * np.maximum(sigma, _SMALLEST_SIGMA_MM)
    return s, np.maximum(half_width, smallest_ratio * s)

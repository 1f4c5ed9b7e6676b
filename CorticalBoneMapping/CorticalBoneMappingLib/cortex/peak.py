"""The peak of the blurred model."""

from __future__ import annotations

import numpy as np

from .blur import LineBlur, blurred_step


def model_peak(
    thickness: np.ndarray,
    outside: np.ndarray,
    cortex: np.ndarray,
    inside: np.ndarray,
    blur: LineBlur,
) -> np.ndarray:
    """Highest value of two blurred steps.

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

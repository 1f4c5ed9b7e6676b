"""Find the points where the fit is not valid, or a cortex is missing.

Such points are flagged and counted, never filled.
"""

from __future__ import annotations

import numpy as np

from ..scan.scan import Scan

# Chosen by hand; not tuned. The rules are those of Treece et al. 2010, Med Image Anal 14:276.
_LEAST_PEAK_IN_NOISE = 5.0
_LEAST_CONTRAST_IN_RESIDUALS = 2.0
_LEAST_THICKNESS_IN_SE = 3.0
# Toward zero thickness, place and thickness of the shell look alike and the standard error is too small.
THINNEST_MM = 0.15


def without_cortex(scan: Scan) -> np.ndarray:
    """Find points where no step of density could be a cortex.

    All methods use the same test, so that all find the same places: whether a cortex of the bone's density
    would be thicker than zero there. A fit with a free density does not show it: without a shell, its cortex
    is just more of what lies inside.

    Parameters
    ----------
    scan : Scan
        Of n points.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    marks, fit = scan.features, scan.constant_density_fit
    faint = ~(marks.peak - marks.outside > _LEAST_PEAK_IN_NOISE * scan.noise)
    return faint | (fit.thickness < np.maximum(THINNEST_MM, _LEAST_THICKNESS_IN_SE * fit.thickness_se))


def breaks_rules(
    scan: Scan,
    outer_edge: np.ndarray,
    thickness: np.ndarray,
    outside: np.ndarray,
    cortex: np.ndarray,
    inside: np.ndarray,
    residual: np.ndarray,
) -> np.ndarray:
    """Find fits that break a rule.

    Parameters
    ----------
    scan : Scan
        Of n points.
    outer_edge, thickness : ndarray of shape (n,)
        In mm.
    outside, cortex, inside : ndarray of shape (n,)
        y0, y1, y2.
    residual : ndarray of shape (n,)
        Root mean square difference between profile and model.

    Returns
    -------
    ndarray of bool, shape (n,)
        x1 ≤ x0, an edge off the line, y1 not clearly above y0 and y2, y1 above the highest density, or
        anything not finite (Treece et al. 2010, Med Image Anal 14:276).
    """
    profiles = scan.profiles
    first = np.min(np.where(profiles.valid, profiles.depth, np.inf), axis=1)
    last = np.max(np.where(profiles.valid, profiles.depth, -np.inf), axis=1)
    with np.errstate(invalid="ignore"):
        valid = (thickness > 0) & (outer_edge > first) & (outer_edge + thickness < last)
        valid &= cortex - np.maximum(outside, inside) > _LEAST_CONTRAST_IN_RESIDUALS * residual
        valid &= cortex < scan.settings.highest_density
    return ~valid

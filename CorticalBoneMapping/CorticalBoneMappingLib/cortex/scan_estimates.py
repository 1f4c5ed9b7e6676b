"""The blur of a scan and the density of its cortex, read off the bone's own thick cortex.

Where the cortex is thick, the blur does not reach from one edge to the other, so density and blur can
be told apart; where the normal lies in the scan plane, the slice profile plays no part. One blur and
one density for the whole scan are determined far better than at any single point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from .landmarks import Landmarks
from .profiles import Profiles
from .settings import CortexSettings
from .three_layers import LayerFit, fit_three_layers

_SIGMA_RANGE_MM = (0.15, 1.6)
_LOOKED_AT = 4000  # points of the first look
_ENOUGH = 400  # thick points that suffice
_FEWEST = 30
# (thinnest cortex in blurs, steepest |n_z|), the best first; a thin bone has to do with less.
_CRITERIA = ((4.5, 0.3), (3.5, 0.4), (2.8, 0.5))
# Where the bone has no thick cortex: a usual blur, besides the pixel's own, and a usual dense cortex.
_USUAL_SIGMA_MM = 0.5
_USUAL_DENSITY = 1200.0
_LEAST_DENSITY = 700.0  # less is trabecular bone taken for cortex


@dataclass(frozen=True)
class ThickCortex:
    """What the thick cortex tells.

    Attributes
    ----------
    sigma_mm : float
        In-plane Gaussian blur.
    density : float
        Cortical density, in the unit of the profiles.
    sigma_from, density_from : str
        Where each comes from, for the record.
    points : int
        Number of points they rest on; 0 if both were given or assumed.
    """

    sigma_mm: float
    density: float
    sigma_from: str
    density_from: str
    points: int


def estimate_from_thick_cortex(
    profiles: Profiles, landmarks: Landmarks, usable: np.ndarray, settings: CortexSettings, noise: float
) -> ThickCortex:
    """Find in-plane blur and cortical density, each unless the settings give it.

    The blur is the σ whose fits leave the least residual over the thick cortex, with thickness and
    density free at each point; the density is the median over those points. Where there is too little
    thick cortex, usual values are assumed, and the record says so.

    Parameters
    ----------
    profiles : Profiles
    landmarks : Landmarks
    usable : ndarray of bool, shape (n,)
        Points without metal and in the scan.
    settings : CortexSettings
    noise : float
        Standard deviation of the values.

    Returns
    -------
    ThickCortex
    """
    sigma, density = settings.in_plane_sigma_mm, settings.cortical_density
    if sigma is not None and density is not None:
        return ThickCortex(sigma, density, "given", "given", 0)
    looked_at = np.flatnonzero(usable)
    looked_at = looked_at[:: max(1, len(looked_at) // _LOOKED_AT)]
    few, few_marks = profiles.take(looked_at), landmarks.take(looked_at)
    usual_sigma = float(np.hypot(_USUAL_SIGMA_MM, profiles.pixel_mm / np.sqrt(12.0)))
    fit = _free_fit(few, few_marks, sigma or usual_sigma, settings, noise)
    thick, criterion = _thick_points(few, fit, sigma or usual_sigma)
    few, few_marks = few.take(thick), few_marks.take(thick)
    sigma_from = density_from = "given"
    if sigma is None:
        enough = len(thick) > 0
        sigma = _best_sigma(few, few_marks, settings, noise) if enough else usual_sigma
        sigma_from = f"least residual over {criterion}" if enough else f"assumed: {criterion}"
    if density is None:
        free = _free_fit(few, few_marks, sigma, settings, noise).cortex if len(thick) else np.zeros(1)
        density, density_from = float(np.median(free)), f"median over {criterion}"
        if density < _LEAST_DENSITY:
            density_from = (
                f"assumed: {criterion if not len(thick) else 'the thick parts are too light for cortex'}"
            )
            density = _USUAL_DENSITY
    return ThickCortex(float(sigma), float(density), sigma_from, density_from, len(thick))


def _free_fit(
    profiles: Profiles, landmarks: Landmarks, sigma_mm: float, settings: CortexSettings, noise: float
) -> LayerFit:
    return fit_three_layers(profiles, landmarks, sigma_mm, None, settings.highest_density, noise)


def _thick_points(profiles: Profiles, fit: LayerFit, sigma_mm: float) -> tuple[np.ndarray, str]:
    """Indices of thick cortex seen from within the scan plane (or none), and the criterion in words."""
    contrast = fit.cortex - np.maximum(fit.outside, fit.inside)
    sound = fit.converged & (contrast > 5.0 * fit.residual) & (np.abs(fit.outer_edge) < 3.0)
    sound &= fit.thickness < 10.0
    for blurs, steepest in _CRITERIA:
        thinnest = blurs * sigma_mm
        thick = np.flatnonzero(sound & (fit.thickness > thinnest) & (np.abs(profiles.across) < steepest))
        if len(thick) >= _FEWEST:
            thick = thick[:: max(1, len(thick) // _ENOUGH)]
            return thick, (
                f"{len(thick)} points with more than {thinnest:.1f} mm of cortex and a normal within "
                f"{np.degrees(np.arcsin(steepest)):.0f}° of the scan plane"
            )
    return np.empty(0, dtype=int), "the bone has too little thick cortex to tell"


def _best_sigma(profiles: Profiles, landmarks: Landmarks, settings: CortexSettings, noise: float) -> float:
    def misfit(sigma: float) -> float:
        # The median of the points' squared residuals: one strange place must not decide.
        return float(np.median(_free_fit(profiles, landmarks, sigma, settings, noise).residual ** 2))

    found = minimize_scalar(misfit, bounds=_SIGMA_RANGE_MM, method="bounded", options={"xatol": 0.004})
    return float(found.x)

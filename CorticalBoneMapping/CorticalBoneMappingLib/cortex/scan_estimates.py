"""The blur of a scan and the density of its cortex, read off the bone's own thick cortex.

Where the cortex is thick, the blur does not reach from one edge to the other, so density and blur can
be told apart; where the normal lies in the scan plane, the slice profile plays no part. One blur and
one density for the whole scan are determined far better than at any single point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from .blur import Blur
from .landmarks import Landmarks
from .profiles import Profiles
from .settings import CortexSettings
from .three_layers import LayerFit, fit_three_layers

_SIGMA_RANGE_MM, _ENHANCEMENT_RANGE = (0.15, 1.6), (0.0, 2.0)
_CLEAR = 4.0  # standard errors by which edge enhancement has to fit better, to be believed
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
    blur : Blur
        Of the scan, in its plane.
    density : float
        Cortical density, in the unit of the profiles.
    blur_from, density_from : str
        Where each comes from, for the record.
    points : int
        Number of points they rest on; 0 if both were given or assumed.
    """

    blur: Blur
    density: float
    blur_from: str
    density_from: str
    points: int

    @property
    def blur_record(self) -> dict[str, float | str]:
        """The blur, in the words of the record."""
        return {
            "in_plane_sigma_mm": self.blur.sigma_mm,
            "edge_enhancement": self.blur.enhancement,
            "in_plane_sigma_from": self.blur_from,
        }

    @property
    def record(self) -> dict[str, float | str | int]:
        """All of it, in the words of the record."""
        return self.blur_record | {
            "cortical_density": self.density,
            "cortical_density_from": self.density_from,
            "thick_cortex_points": self.points,
        }


def estimate_from_thick_cortex(
    profiles: Profiles, landmarks: Landmarks, usable: np.ndarray, settings: CortexSettings, noise: float
) -> ThickCortex:
    """Find in-plane blur and cortical density, each unless the settings give it.

    The blur is the one whose fits leave the least residual over the thick cortex, with thickness and
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
    given, density = settings.in_plane_sigma_mm, settings.cortical_density
    blur = None if given is None else Blur(given)
    if blur is not None and density is not None:
        return ThickCortex(blur, density, "given", "given", 0)
    looked_at = np.flatnonzero(usable)
    looked_at = looked_at[:: max(1, len(looked_at) // _LOOKED_AT)]
    few, few_marks = profiles.take(looked_at), landmarks.take(looked_at)
    usual = blur or Blur(float(np.hypot(_USUAL_SIGMA_MM, profiles.pixel_mm / np.sqrt(12.0))))
    fit = _free_fit(few, few_marks, usual, settings, noise)
    thick, criterion = _thick_points(few, fit, usual.sigma_mm)
    few, few_marks = few.take(thick), few_marks.take(thick)
    blur_from = density_from = "given"
    if blur is None:
        enough = len(thick) > 0
        blur = _best_blur(few, few_marks, settings, noise) if enough else usual
        blur_from = f"least residual over {criterion}" if enough else f"assumed: {criterion}"
    if density is None:
        free = _free_fit(few, few_marks, blur, settings, noise).cortex if len(thick) else np.zeros(1)
        density, density_from = float(np.median(free)), f"median over {criterion}"
        if density < _LEAST_DENSITY:
            density_from = (
                f"assumed: {criterion if not len(thick) else 'the thick parts are too light for cortex'}"
            )
            density = _USUAL_DENSITY
    return ThickCortex(blur, float(density), blur_from, density_from, len(thick))


def _free_fit(
    profiles: Profiles, landmarks: Landmarks, blur: Blur, settings: CortexSettings, noise: float
) -> LayerFit:
    return fit_three_layers(profiles, landmarks, blur, None, settings.highest_density, noise)


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


def _best_blur(profiles: Profiles, landmarks: Landmarks, settings: CortexSettings, noise: float) -> Blur:
    """Find σ with and without edge enhancement; take the latter unless enhancement clearly fits better."""

    def squares(blur: Blur) -> np.ndarray:
        return _free_fit(profiles, landmarks, blur, settings, noise).residual ** 2

    def misfit(numbers: np.ndarray) -> float:
        # The median of the points' squared residuals: one strange place must not decide.
        return float(np.median(squares(Blur(*map(float, numbers)))))

    plain = minimize_scalar(
        lambda sigma: misfit(np.array([sigma])),
        bounds=_SIGMA_RANGE_MM,
        method="bounded",
        options={"xatol": 0.004},
    )
    without = Blur(float(plain.x))
    start = np.array([without.sigma_mm, 0.0])
    simplex = start + np.array([[0.0, 0.0], [0.1, 0.2], [0.05, 0.2]])
    found = minimize(
        misfit,
        start,
        method="Nelder-Mead",
        bounds=(_SIGMA_RANGE_MM, _ENHANCEMENT_RANGE),
        options={"initial_simplex": simplex, "xatol": 0.004, "fatol": 1e-3 * plain.fun},
    )
    enhanced = Blur(*map(float, found.x))
    gain = squares(without) - squares(enhanced)
    clear = gain.mean() > _CLEAR * gain.std() / np.sqrt(len(gain))
    return enhanced if clear else without

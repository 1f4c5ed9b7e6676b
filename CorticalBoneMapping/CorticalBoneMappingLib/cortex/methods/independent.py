"""independent: thickness and density both local, in three passes.

Treece and Gee 2015, Med Image Anal 20:249. The first two passes fit everything at each point, blur included.
The third knows the blur of the scan: it computes the peak of the fitted cortex under that blur, raises the
density by what is missing, fixes it, and fits again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.blur import Blur, LineBlur, blurred_step_by_sigma, model_peak
from ..model.profile_features import ProfileFeatures
from ..model.profiles import Profiles
from ..model.three_layers import (
    LAYER_SCALE,
    ThreeLayers,
    first_guess,
    fit_following,
    in_chunks,
    layer_bounds,
)
from ..scan.scan import Estimates, Scan
from .rejection import breaks_rules, without_cortex

_FIRST_SIGMA_MM = 0.75  # to begin at; chosen by hand
_SIGMA_RANGE_MM = (0.05, 5.0)  # the upper end is a quarter of a line of 20 mm

# Enough for the curve; further steps only move along the valley of density against blur.
_ITERATIONS = 15


@dataclass(frozen=True)
class FreeFit:
    """The model of `LayerFit` on n profiles, with its own blur at each.

    Attributes
    ----------
    outer_edge, thickness : ndarray of shape (n,)
        x0 and t in mm.
    outside, cortex, inside : ndarray of shape (n,)
        y0, y1, y2.
    sigma : ndarray of shape (n,)
        Gaussian blur along the normal in mm, besides the slice profile.
    valid : ndarray of bool, shape (n,)
        Whether the blur is narrower than a quarter of the line.
    """

    outer_edge: np.ndarray
    thickness: np.ndarray
    outside: np.ndarray
    cortex: np.ndarray
    inside: np.ndarray
    sigma: np.ndarray
    valid: np.ndarray


def measure(scan: Scan) -> Estimates:
    """Measure thickness and density at every point on its own.

    Parameters
    ----------
    scan : Scan
        Of n points.

    Returns
    -------
    Estimates
    """
    profiles, thick, highest = scan.profiles, scan.thick_cortex, scan.settings.highest_density
    free = fit_free_blur(profiles, scan.features, thick.blur.enhancement, highest, scan.noise)
    density = _local_density(scan, free)
    known = np.isfinite(density) & (density < highest) & (free.cortex < highest)
    fixed = np.where(known, density, thick.density)  # so that the batch runs; rejected below
    fit = scan.fit(fixed)
    rejected = breaks_rules(
        scan, fit.outer_edge, fit.thickness, fit.outside, fit.cortex, fit.inside, fit.residual
    )
    return Estimates(
        outer_edge=fit.outer_edge,
        thickness=fit.thickness,
        cortical_density=fit.cortex,
        trabecular_density=fit.inside,
        residual=fit.residual,
        failed=~known | ~free.valid | ~fit.converged | fit.at_bound | rejected,
        no_cortex=without_cortex(scan),
        used=thick.blur_record,
    )


def fit_free_blur(
    profiles: Profiles, features: ProfileFeatures, enhancement: float, highest_density: float, noise: float
) -> FreeFit:
    """Fit edges, densities and blur at every point, the weights following the cortex.

    Thin cortex does not determine density, thickness and blur one by one; the curve through the profile and
    its mass are well determined.

    Parameters
    ----------
    profiles : Profiles
        Of n points.
    features : ProfileFeatures
        To begin at.
    enhancement : float
        Edge enhancement of the scan.
    highest_density : float
        Upper bound of y1.
    noise : float
        As for `fit_three_layers`.

    Returns
    -------
    FreeFit
    """
    start = first_guess(features, None)
    start = np.column_stack([start, np.full(len(start), _FIRST_SIGMA_MM)])
    blur = Blur(_FIRST_SIGMA_MM, enhancement)

    def fit_part(part: np.ndarray) -> tuple[np.ndarray, ...]:
        model = _FreeBlur(profiles.take(part), features.outer_limit[part], blur, None, noise)
        lower, upper = layer_bounds(len(part), None, highest_density)
        lower, upper = (
            np.column_stack([bound, np.full(len(part), sigma)])
            for bound, sigma in zip((lower, upper), _SIGMA_RANGE_MM, strict=True)
        )
        fit = fit_following(model, start[part], lower, upper, np.append(LAYER_SCALE, 1.0), _ITERATIONS)
        x0, thickness, y0, y2, y1, sigma = fit.parameters.T
        # Across the slices their profile is all the blur there is, so σ may be 0.
        valid = sigma < _SIGMA_RANGE_MM[1]
        return x0, thickness, y0, y1, y2, sigma, valid

    return FreeFit(*in_chunks(start[:, 1], fit_part))


class _FreeBlur(ThreeLayers):
    """`ThreeLayers` with one more parameter at the end: σ along the normal."""

    def blur_of(self, which: np.ndarray, parameters: np.ndarray) -> LineBlur:
        return self.blur.at(which)._replace(sigma=parameters[:, 5, None])

    def __call__(self, which: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        residual, jacobian = super().__call__(which, parameters)
        x0, thickness, y0, y2, y1 = (parameters[:, column, None] for column in range(5))
        distance = self.depth[which] - x0
        blur = self.blur_of(which, parameters)
        outer = blurred_step_by_sigma(distance, *blur)
        inner = blurred_step_by_sigma(distance - thickness, *blur)
        jacobian[5, :, :-1] = self.root_weight[which] * ((y1 - y0) * outer + (y2 - y1) * inner)
        return residual, jacobian


def _local_density(scan: Scan, free: FreeFit) -> np.ndarray:
    """y1* = (y1 − y_bg)(y_peak − y_bg)/(M − y_bg) + y_bg with y_bg = max(y0, y2), shape (n,).

    M is the peak that the fitted cortex would have under the blur of the scan. y_peak is that of the
    fitted curve: the highest sample would be biased by noise.
    """
    layers = (free.thickness, free.outside, free.cortex, free.inside)
    seen = model_peak(*layers, scan.line_blur._replace(sigma=free.sigma))
    expected = model_peak(*layers, scan.line_blur)
    background = np.maximum(free.outside, free.inside)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (seen - background) / (expected - background)
        density = (free.cortex - background) * ratio + background
    return np.where((expected > background) & (seen > background), density, np.nan)

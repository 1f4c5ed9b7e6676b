"""endocortical-ramp: the density falls from cortex to trabecular bone along a ramp, not at a step.

Pearson and Treece 2018, Med Image Anal 44:28. A porous inner half of the cortex has no
inner edge but a transition. The cortical density is one value for the bone, as for `constant-density`: a
profile does not determine a free one next to a ramp of unknown width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.blur import Blur, blurred_ramp, blurred_step
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

# Chosen by hand; not tuned.
_FIRST_WIDTH_MM = 0.5
_WIDEST_MM = 8.0
# Blur hides a narrow ramp. So the width has a prior of 0 mm and this standard deviation, with the weight of
# one sample: it decides only where the profile does not.
_WIDTH_SD_MM = 1.0


@dataclass(frozen=True)
class RampFit:
    """The model on n profiles: y(x) = y0 + (y1 − y0) B(x − x0) + (y2 − y1) R(x − x0 − c; w).

    Attributes
    ----------
    outer_edge, compact, width : ndarray of shape (n,)
        x0, the thickness c of the compact cortex before the ramp, and the ramp's width w, in mm.
    outside, inside : ndarray of shape (n,)
        y0, y2.
    residual : ndarray of shape (n,)
        Weighted root mean square difference between profile and model.
    converged : ndarray of bool, shape (n,)
    """

    outer_edge: np.ndarray
    compact: np.ndarray
    width: np.ndarray
    outside: np.ndarray
    inside: np.ndarray
    residual: np.ndarray
    converged: np.ndarray


def measure(scan: Scan) -> Estimates:
    """Measure with a ramp at the inner edge.

    Parameters
    ----------
    scan : Scan
        Of n points.

    Returns
    -------
    Estimates
        The thickness reaches to the middle of the ramp: a step there would hold the same mass.
    """
    thick = scan.thick_cortex
    fit = fit_ramp(scan.profiles, scan.features, thick.blur, thick.density, scan.noise)
    thickness, cortex = fit.compact + 0.5 * fit.width, np.full(len(fit.width), thick.density)
    rejected = breaks_rules(
        scan, fit.outer_edge, thickness + 0.5 * fit.width, fit.outside, cortex, fit.inside, fit.residual
    )
    rejected |= ~fit.converged | (fit.width >= _WIDEST_MM)
    no_cortex = without_cortex(scan)
    widths = fit.width[scan.usable & ~rejected & ~no_cortex]
    return Estimates(
        outer_edge=fit.outer_edge,
        thickness=thickness,
        cortical_density=cortex,
        trabecular_density=fit.inside,
        residual=fit.residual,
        failed=rejected,
        no_cortex=no_cortex,
        used=thick.record
        | {"median_endocortical_width_mm": float(np.median(widths)) if len(widths) else None},
    )


def fit_ramp(
    profiles: Profiles, features: ProfileFeatures, blur: Blur, cortical_density: float, noise: float
) -> RampFit:
    """Fit edges, the ramp's width and the densities beside the cortex.

    Parameters
    ----------
    profiles : Profiles
        Of n points.
    features : ProfileFeatures
        To begin at.
    blur : Blur
        Of the scan, in its plane.
    cortical_density : float
        y1 of the bone.
    noise : float
        As for `fit_three_layers`.

    Returns
    -------
    RampFit
    """
    known = np.full(len(profiles), float(cortical_density))
    start = first_guess(features, known)
    start[:, 1] = np.maximum(start[:, 1] - 0.5 * _FIRST_WIDTH_MM, 0.0)
    start = np.column_stack([start, np.full(len(start), _FIRST_WIDTH_MM)])

    def fit_part(part: np.ndarray) -> tuple[np.ndarray, ...]:
        model = _Ramp(profiles.take(part), features.outer_limit[part], blur, known[part], noise)
        lower, upper = layer_bounds(len(part), known[part], cortical_density)
        lower, upper = np.pad(lower, ((0, 0), (0, 1))), np.pad(upper, ((0, 0), (0, 1)))
        upper[:, 4] = _WIDEST_MM
        fit = fit_following(model, start[part], lower, upper, np.append(LAYER_SCALE[:4], 1.0))
        x0, compact, y0, y2, width = fit.parameters.T
        weight = np.maximum((model.root_weight**2).sum(axis=1), 1e-9)
        return x0, compact, width, y0, y2, np.sqrt(fit.cost / weight), fit.converged

    return RampFit(*in_chunks(start[:, 1], fit_part))


class _Ramp(ThreeLayers):
    """`ThreeLayers` of known density whose inner step is a ramp; parameters x0, c, y0, y2, w."""

    def __call__(self, which: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x0, compact, y0, y2, width = (parameters[:, column, None] for column in range(5))
        y1, weight = self.cortical_density[which, None], self.root_weight[which]
        blur = self.blur_of(which, parameters)
        distance = self.depth[which] - x0
        outer, outer_slope = blurred_step(distance, *blur)
        inner, inner_slope, inner_by_width = blurred_ramp(distance - compact, width, *blur)
        samples = weight.shape[1]
        residual = np.empty((len(which), samples + 2))
        jacobian = np.zeros((5, *residual.shape))
        by = jacobian[:, :, :samples]
        by[0] = weight * ((y0 - y1) * outer_slope + (y1 - y2) * inner_slope)
        by[1] = weight * (y1 - y2) * inner_slope
        by[2] = weight * (1.0 - outer)
        by[3] = weight * inner
        by[4] = weight * (y2 - y1) * inner_by_width
        residual[:, :samples] = y0 * by[2] + y1 * weight * (outer - inner) + y2 * by[3] - self.values[which]
        width_weight = self.noise / _WIDTH_SD_MM
        residual[:, samples] = self.edge_weight * parameters[:, 0]
        residual[:, samples + 1] = width_weight * parameters[:, 4]
        jacobian[0, :, samples] = self.edge_weight
        jacobian[4, :, samples + 1] = width_weight
        return residual, jacobian

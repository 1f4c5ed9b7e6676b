"""Soft tissue, cortex and trabecular bone: two blurred steps, fitted to many profiles at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ._levenberg_marquardt import BatchFit, fit_batch
from .blur import blurred_step, normal_half_width, normal_sigma
from .landmarks import Landmarks
from .profiles import Profiles

_CHUNK = 1024  # problems at once: their arrays stay in the cache
_LONGEST_OFFSET_MM = 4.0
_THICKEST_MM = 12.0
# Weight of a sample (on the squared residual), by its distance outside the cortex: full while the blurred
# cortex reaches, then falling, since farther tissue is not one constant density.
_FULL_WEIGHT_BLURS = 2.0
_OUTER_FALL_MM = 2.0
_INNER_FALL_MM = 2.0
_LEAST_WEIGHT = 0.01
_SCALE = np.array([1.0, 1.0, 1000.0, 1000.0, 1000.0])


@dataclass(frozen=True)
class LayerFit:
    """The model on n profiles: y(x) = y0 + (y1 − y0) B(x − x0) + (y2 − y1) B(x − x0 − t).

    Attributes
    ----------
    outer_edge, thickness : ndarray of shape (n,)
        x0 and t in mm.
    outside, cortex, inside : ndarray of shape (n,)
        y0, y1, y2.
    residual : ndarray of shape (n,)
        Weighted root mean square difference between profile and model.
    thickness_se : ndarray of shape (n,)
        Standard error of t in mm from the residual, samples taken as independent.
    converged, at_bound : ndarray of bool, shape (n,)
        Whether the fit came to rest, and whether at a bound other than t = 0.
    """

    outer_edge: np.ndarray
    thickness: np.ndarray
    outside: np.ndarray
    cortex: np.ndarray
    inside: np.ndarray
    residual: np.ndarray
    thickness_se: np.ndarray
    converged: np.ndarray
    at_bound: np.ndarray


def fit_three_layers(
    profiles: Profiles,
    landmarks: Landmarks,
    sigma_mm: float,
    cortical_density: float | None,
    highest_density: float,
) -> LayerFit:
    """Fit edges and densities with a known blur.

    Parameters
    ----------
    profiles : Profiles
        Of n points.
    landmarks : Landmarks
        Where to begin.
    sigma_mm : float
        In-plane Gaussian blur of the scan.
    cortical_density : float or None
        y1 of every point; None fits it at each point.
    highest_density : float
        Upper bound of y1 where it is fitted.

    Returns
    -------
    LayerFit
    """
    parts = []
    for first in range(0, len(profiles), _CHUNK):
        part = np.arange(first, min(first + _CHUNK, len(profiles)))
        here = landmarks.take(part)
        parts.append(_fit_chunk(profiles.take(part), here, sigma_mm, cortical_density, highest_density))
    return LayerFit(
        *(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(LayerFit))
    )


class _ThreeLayers:
    """Residuals and Jacobian for `fit_batch`; parameters x0, t, y0, y2 and, if it is free, y1."""

    def __init__(
        self, profiles: Profiles, sigma_mm: float, cortical_density: float | None, outer_limit: np.ndarray
    ) -> None:
        self.depth, self.values, self.valid = profiles.depth, profiles.values, profiles.valid
        self.sigma = normal_sigma(sigma_mm, profiles.across)
        self.half_width = normal_half_width(profiles.slice_thickness_mm, profiles.across)
        self.cortical_density = cortical_density
        self.outer_limit = outer_limit
        self.root_weight = np.ones_like(self.depth)

    def follow(self, outer_edge: np.ndarray, thickness: np.ndarray) -> None:
        """Weigh the samples by their distance from the cortex."""
        reach = _FULL_WEIGHT_BLURS * np.sqrt(self.sigma**2 + self.half_width**2 / 3.0)
        inner_edge = outer_edge + thickness
        outer = np.maximum((outer_edge - reach)[:, None] - self.depth, 0.0) / _OUTER_FALL_MM
        inner = np.maximum(self.depth - (inner_edge + reach)[:, None], 0.0) / _INNER_FALL_MM
        fall = np.exp(-0.5 * (outer**2 + inner**2))
        weight = _LEAST_WEIGHT * (inner < 2.5) + (1.0 - _LEAST_WEIGHT) * fall
        weight[~self.valid | (self.depth < self.outer_limit[:, None])] = 0.0
        self.root_weight = np.sqrt(weight)

    def __call__(self, which: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x0, thickness, y0, y2 = (parameters[:, column, None] for column in range(4))
        y1 = parameters[:, 4, None] if self.cortical_density is None else self.cortical_density
        weight = self.root_weight[which]
        sigma, half_width = self.sigma[which, None], self.half_width[which, None]
        distance = self.depth[which] - x0
        outer, outer_slope = blurred_step(distance, sigma, half_width)
        inner, inner_slope = blurred_step(distance - thickness, sigma, half_width)
        outer_slope *= weight * (y0 - y1)
        inner_slope *= weight * (y1 - y2)
        outer *= weight
        inner *= weight
        share = outer - inner
        jacobian = [outer_slope + inner_slope, inner_slope, weight - outer, inner]
        model = y0 * jacobian[2] + y1 * share + y2 * inner
        if self.cortical_density is None:
            jacobian.append(share)
        return model - weight * self.values[which], np.stack(jacobian)


def _fit_chunk(
    profiles: Profiles,
    landmarks: Landmarks,
    sigma_mm: float,
    cortical_density: float | None,
    highest_density: float,
) -> LayerFit:
    model = _ThreeLayers(profiles, sigma_mm, cortical_density, landmarks.outer_limit)
    start = _start(landmarks, cortical_density)
    lower, upper = _bounds(len(start), cortical_density, highest_density)
    scale = _SCALE[: start.shape[1]]
    model.follow(start[:, 0], start[:, 1])
    fit = fit_batch(model, start, lower, upper, scale, iterations=12)
    model.follow(fit.parameters[:, 0], fit.parameters[:, 1])
    fit = fit_batch(model, fit.parameters, lower, upper, scale)
    stuck = (fit.parameters <= lower) | (fit.parameters >= upper)
    stuck[:, 1] &= fit.parameters[:, 1] > 0.0  # no thickness at all is a finding, not a bound
    return _as_layers(model, fit, cortical_density, stuck.any(axis=1))


def _start(landmarks: Landmarks, cortical_density: float | None) -> np.ndarray:
    """First guess: the half-maximum edges, drawn together until the mass fits the density.

    Mass conservation (Treece, Poole, Gee 2012): t = t_half (peak − y_b) / (y1 − y_b), y_b = (y0 + y2)/2.
    """
    y0, y2, peak = landmarks.outside, landmarks.inside, landmarks.peak
    y2 = np.where(np.isfinite(y2), y2, y0)
    outer = np.where(np.isfinite(landmarks.outer_edge), landmarks.outer_edge, 0.0)
    inner = np.where(np.isfinite(landmarks.inner_edge), landmarks.inner_edge, outer + 3.0)
    thickness = np.maximum(inner - outer, 0.3)
    y1 = np.full_like(y0, np.nan) if cortical_density is None else np.full_like(y0, cortical_density)
    background = 0.5 * (y0 + y2)
    shrink = np.clip((peak - background) / np.maximum(y1 - background, 1.0), 0.1, 1.0)
    if cortical_density is None:
        return np.stack([outer, thickness, y0, y2, peak], axis=1)
    middle = outer + 0.5 * thickness
    thickness = np.maximum(thickness * shrink, 0.2)
    start = np.where(shrink > 0.95, outer, np.maximum(middle - 0.5 * thickness, outer))
    return np.stack([start, thickness, y0, y2], axis=1)


def _bounds(
    count: int, cortical_density: float | None, highest_density: float
) -> tuple[np.ndarray, np.ndarray]:
    top = highest_density if cortical_density is None else cortical_density
    lower = [-_LONGEST_OFFSET_MM, 0.0, -2000.0, -2000.0]
    upper = [_LONGEST_OFFSET_MM, _THICKEST_MM, top, top]
    if cortical_density is None:
        lower.append(0.0)
        upper.append(top)
    return np.tile(lower, (count, 1)), np.tile(upper, (count, 1))


def _as_layers(
    model: _ThreeLayers, fit: BatchFit, cortical_density: float | None, at_bound: np.ndarray
) -> LayerFit:
    parameters = fit.parameters
    free = parameters.shape[1]
    weight = np.maximum((model.root_weight**2).sum(axis=1), 1e-9)
    variance = fit.cost / np.maximum(weight - free, 1.0)
    own = np.einsum("kii->ki", fit.normal_matrix)
    ridge = 1e-9 * own[:, :, None] * np.eye(free) + 1e-12 * np.eye(free)
    covariance = np.linalg.inv(fit.normal_matrix + ridge)[:, 1, 1]
    cortex = np.full(len(parameters), cortical_density) if cortical_density is not None else parameters[:, 4]
    return LayerFit(
        outer_edge=parameters[:, 0],
        thickness=parameters[:, 1],
        outside=parameters[:, 2],
        cortex=cortex,
        inside=parameters[:, 3],
        residual=np.sqrt(fit.cost / weight),
        thickness_se=np.sqrt(np.maximum(covariance, 0.0) * variance),
        converged=fit.converged,
        at_bound=at_bound,
    )

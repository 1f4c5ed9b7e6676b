"""Fit soft tissue, cortex and trabecular bone as two blurred steps to many profiles at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from .blur import Blur, LineBlur, blurred_step
from .levenberg_marquardt import BatchFit, fit_batch
from .profile_features import ProfileFeatures
from .profiles import Profiles

_CHUNK = 1024  # problems at once: their arrays stay in the cache


@dataclass(frozen=True)
class LayerSettings:
    """Numbers of the fit; chosen by hand, not tuned."""

    longest_offset_mm: float = 4.0
    thickest_mm: float = 12.0
    # Weight of a sample (on the squared residual), by its distance outside the cortex: full while the blurred
    # cortex reaches, then falling, since farther tissue has no single constant density.
    full_weight_blurs: float = 2.0
    outer_fall_mm: float = 2.0
    inner_fall_mm: float = 2.0
    least_weight: float = 0.02  # less is set to 0
    surface_sd_mm: float = 1.0  # of the given surface about the true edge
    first_iterations: int = 6  # enough to place the weights


LAYERS = LayerSettings()
LAYER_SCALE = np.array([1.0, 1.0, 1000.0, 1000.0, 1000.0])
"""Natural scale of x0, t (mm), y0, y2, y1 (HU or mg/cm³)."""


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
    outer_edge_se, thickness_se : ndarray of shape (n,)
        Standard errors of x0 and t in mm, from the noise or the residual (the greater), voxels independent.
    converged, at_bound : ndarray of bool, shape (n,)
        Whether the fit converged, and whether at a bound other than t = 0.
    """

    outer_edge: np.ndarray
    thickness: np.ndarray
    outside: np.ndarray
    cortex: np.ndarray
    inside: np.ndarray
    residual: np.ndarray
    outer_edge_se: np.ndarray
    thickness_se: np.ndarray
    converged: np.ndarray
    at_bound: np.ndarray

    def take(self, which: np.ndarray) -> LayerFit:
        """Return the fits of some points only."""
        return LayerFit(*(getattr(self, item.name)[which] for item in fields(self)))


def fit_three_layers(
    profiles: Profiles,
    features: ProfileFeatures,
    blur: Blur,
    cortical_density: float | np.ndarray | None,
    highest_density: float,
    noise: float,
    near: LayerFit | None = None,
    inner_softness_mm: float = 0.0,
) -> LayerFit:
    """Fit edges and densities with a known blur.

    Parameters
    ----------
    profiles : Profiles
        Of n points.
    features : ProfileFeatures
        To begin at.
    blur : Blur
        Of the scan, in its plane.
    cortical_density : float, ndarray of shape (n,) or None
        y1 of every point, or of each; None fits it at each point.
    highest_density : float
        Upper bound of y1 where it is fitted.
    noise : float
        Standard deviation of the values. It weighs the prior that the outer edge is within about a
        millimetre of the given surface, which decides only where the profile does not: where one thick
        slice holds both edges, the profile gives the mass and not the place.
    near : LayerFit, optional
        Fits with nearly the same blur and density, to begin at instead of the features: this is faster, and
        the weights stay the same, so that residuals can be compared.
    inner_softness_mm : float
        Standard deviation of the inner edge's own softness, which adds to its blur.

    Returns
    -------
    LayerFit
    """
    known = None if cortical_density is None else np.broadcast_to(cortical_density, len(profiles))
    start = first_guess(features, known) if near is None else _parameters(near, known is None)
    iterate = fit_following if near is None else fit_about

    def fit_part(part: np.ndarray) -> tuple[np.ndarray, ...]:
        own = None if known is None else known[part]
        model = ThreeLayers(profiles.take(part), features.outer_limit[part], blur, own, noise)
        model.inner_softness_mm = inner_softness_mm
        found = _fit_chunk(model, start[part], highest_density, iterate)
        return tuple(getattr(found, item.name) for item in fields(LayerFit))

    return LayerFit(*in_chunks(start[:, 1], fit_part))


def in_chunks(
    thickness: np.ndarray, fit_part: Callable[[np.ndarray], tuple[np.ndarray, ...]]
) -> tuple[np.ndarray, ...]:
    """Fit points of like thickness together: they need the same part of the line and as many steps.

    Parameters
    ----------
    thickness : ndarray of shape (n,)
        First guess.
    fit_part : callable
        From the indices (k,) of some points to arrays of first dimension k.

    Returns
    -------
    tuple of ndarray
        What `fit_part` gives, of first dimension n, in the order of the points.
    """
    order = np.argsort(thickness, kind="stable")
    parts = [fit_part(order[first : first + _CHUNK]) for first in range(0, len(order), _CHUNK)]
    back = np.argsort(order, kind="stable")
    return tuple(np.concatenate(arrays)[back] for arrays in zip(*parts, strict=True))


def fit_following(
    model: ThreeLayers,
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    scale: np.ndarray,
    iterations: int = 40,
) -> BatchFit:
    """Fit with weights about the first guess, then with weights that follow the cortex found.

    Parameters
    ----------
    model : ThreeLayers
        Of k points; the first two parameters are x0 and t.
    start, lower, upper : ndarray of shape (k, p)
    scale : ndarray of shape (p,)
    iterations : int
        As for `fit_batch`; those of the second fit.

    Returns
    -------
    BatchFit
    """
    fit = fit_about(model, start, lower, upper, scale, LAYERS.first_iterations)
    return fit_about(model, fit.parameters, lower, upper, scale, iterations)


def fit_about(
    model: ThreeLayers,
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    scale: np.ndarray,
    iterations: int = 40,
) -> BatchFit:
    """Fit with weights about `start`; arguments as for `fit_following`."""
    model.follow(start[:, 0], start[:, 1])
    return fit_batch(model, start, lower, upper, scale, iterations)


class ThreeLayers:
    """Residuals and Jacobian for `fit_batch`; parameters x0, t, y0, y2 and, if it is free, y1.

    Arguments are those of `fit_three_layers`; `follow` must place the weights before the first call.
    """

    def __init__(
        self,
        profiles: Profiles,
        outer_limit: np.ndarray,
        blur: Blur,
        cortical_density: np.ndarray | None,
        noise: float,
    ) -> None:
        self.profiles, self.outer_limit = profiles, outer_limit
        self.blur = blur.along(profiles.across, profiles.slice_thickness_mm)
        self.inner_softness_mm = 0.0
        self.cortical_density = cortical_density
        self.noise = noise
        self.edge_weight = noise / LAYERS.surface_sd_mm

    def follow(self, outer_edge: np.ndarray, thickness: np.ndarray) -> None:
        """Weigh the samples by their distance from the cortex; drop the columns without weight."""
        depth = self.profiles.depth
        reach = LAYERS.full_weight_blurs * np.sqrt(self.blur.sigma**2 + self.blur.half_width**2 / 3.0)
        outer = np.maximum((outer_edge - reach)[:, None] - depth, 0.0) / LAYERS.outer_fall_mm
        inner = np.maximum(depth - (outer_edge + thickness + reach)[:, None], 0.0) / LAYERS.inner_fall_mm
        weight = np.exp(-0.5 * (outer**2 + inner**2))
        weight[(weight < LAYERS.least_weight) | ~self.profiles.valid] = 0.0
        weight[depth < self.outer_limit[:, None]] = 0.0
        columns = np.flatnonzero(weight.any(axis=0))
        used = slice(columns[0], columns[-1] + 1) if len(columns) else slice(0, 1)
        self.root_weight = np.sqrt(weight[:, used])
        self.depth, self.values = depth[:, used], self.root_weight * self.profiles.values[:, used]

    def blur_of(self, which: np.ndarray, parameters: np.ndarray) -> LineBlur:
        """Blur along the normals of the points `which`, of shape (k, 1): here, that of the scan."""
        return self.blur.at(which)

    def __call__(self, which: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return residuals, shape (k, m), and their Jacobian, shape (p, k, m), for `fit_batch`."""
        x0, thickness, y0, y2 = (parameters[:, column, None] for column in range(4))
        free = self.cortical_density is None
        y1 = parameters[:, 4, None] if free else self.cortical_density[which, None]
        weight = self.root_weight[which]
        blur = self.blur_of(which, parameters)
        distance = self.depth[which] - x0
        outer, outer_slope = blurred_step(distance, *blur)
        inner, inner_slope = blurred_step(distance - thickness, *blur.softened(self.inner_softness_mm))
        outer *= weight
        inner *= weight
        samples = weight.shape[1]
        jacobian = np.zeros((parameters.shape[1], len(which), samples + 1))
        by = jacobian[:, :, :samples]
        np.multiply(inner_slope, weight * (y1 - y2), out=by[1])
        np.add(by[1], outer_slope * weight * (y0 - y1), out=by[0])
        np.subtract(weight, outer, out=by[2])
        by[3] = inner
        share = outer - inner
        if free:
            by[4] = share
        residual = np.empty((len(which), samples + 1))
        residual[:, :samples] = y0 * by[2] + y1 * share + y2 * inner - self.values[which]
        residual[:, samples] = self.edge_weight * parameters[:, 0]
        jacobian[0, :, samples] = self.edge_weight
        return residual, jacobian


def _fit_chunk(
    model: ThreeLayers, start: np.ndarray, highest_density: float, iterate: Callable[..., BatchFit]
) -> LayerFit:
    lower, upper = layer_bounds(len(start), model.cortical_density, highest_density)
    fit = iterate(model, start, lower, upper, LAYER_SCALE[: start.shape[1]])
    stuck = (fit.parameters <= lower) | (fit.parameters >= upper)
    stuck[:, 1] &= fit.parameters[:, 1] > 0.0  # zero thickness is a finding, not a bound
    return _as_layers(model, fit, stuck.any(axis=1))


def first_guess(features: ProfileFeatures, cortical_density: np.ndarray | None) -> np.ndarray:
    """Guess x0, t, y0, y2 (and y1, if no density is known): shape (n, 4 or 5).

    The half-maximum edges, moved together until the mass fits the density (Treece, Poole, Gee 2012):
    t = t_half (peak − y_b) / (y1 − y_b), y_b = (y0 + y2)/2.
    """
    y0, y2, peak = features.outside, features.inside, features.peak
    y2 = np.where(np.isfinite(y2), y2, y0)
    outer = np.where(np.isfinite(features.outer_edge), features.outer_edge, 0.0)
    inner = np.where(np.isfinite(features.inner_edge), features.inner_edge, outer + 3.0)
    thickness = np.maximum(inner - outer, 0.3)
    if cortical_density is None:
        return np.stack([outer, thickness, y0, y2, peak], axis=1)
    background = 0.5 * (y0 + y2)
    shrink = np.clip((peak - background) / np.maximum(cortical_density - background, 1.0), 0.1, 1.0)
    middle = outer + 0.5 * thickness
    thickness = np.maximum(thickness * shrink, 0.2)
    start = np.where(shrink > 0.95, outer, np.maximum(middle - 0.5 * thickness, outer))
    return np.stack([start, thickness, y0, y2], axis=1)


def layer_bounds(
    count: int, cortical_density: np.ndarray | None, highest_density: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds, each of shape (count, 4 or 5), of x0, t, y0, y2 (and y1 if it is free)."""
    top = highest_density if cortical_density is None else cortical_density
    lower = np.tile([-LAYERS.longest_offset_mm, 0.0, -2000.0, -2000.0, 0.0], (count, 1))
    upper = np.tile([LAYERS.longest_offset_mm, LAYERS.thickest_mm, 0.0, 0.0, 0.0], (count, 1))
    upper[:, 2:] = np.broadcast_to(top, count)[:, None]  # no background is denser than the cortex
    size = 5 if cortical_density is None else 4
    return lower[:, :size], upper[:, :size]


def _parameters(fit: LayerFit, free: bool) -> np.ndarray:
    columns = [fit.outer_edge, fit.thickness, fit.outside, fit.inside, *([fit.cortex] if free else [])]
    return np.stack(columns, axis=1)


def _as_layers(model: ThreeLayers, fit: BatchFit, at_bound: np.ndarray) -> LayerFit:
    parameters, free = fit.parameters, fit.parameters.shape[1]
    weight = np.maximum((model.root_weight**2).sum(axis=1), 1e-9)
    # With few voxels on the line a fit can pass through all of them: its residual is then too small.
    variance = np.maximum(fit.cost / np.maximum(weight - free, 1.0), model.noise**2)
    variance *= model.profiles.samples_per_voxel
    own = np.einsum("kii->ki", fit.normal_matrix)
    ridge = (1e-9 * own[:, :, None] + 1e-12) * np.eye(free)  # where y0 or y2 has no sample
    covariance = np.einsum("kii->ki", np.linalg.inv(fit.normal_matrix + ridge))[:, :2]
    standard_errors = np.sqrt(np.maximum(covariance, 0.0) * variance[:, None])
    known = model.cortical_density
    return LayerFit(
        outer_edge=parameters[:, 0],
        thickness=parameters[:, 1],
        outside=parameters[:, 2],
        cortex=parameters[:, 4] if known is None else known,
        inside=parameters[:, 3],
        residual=np.sqrt(fit.cost / weight),
        outer_edge_se=standard_errors[:, 0],
        thickness_se=standard_errors[:, 1],
        converged=fit.converged,
        at_bound=at_bound,
    )

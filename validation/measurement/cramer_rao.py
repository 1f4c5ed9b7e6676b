"""What physics allows: the Cramér–Rao bound at each point.

No unbiased method that looks at one profile alone can have a smaller standard deviation. A method that
shares information between points may, and a biased one may; that is what the comparison shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CorticalBoneMappingLib.cortex.model.blur import Blur, blurred_step
from CorticalBoneMappingLib.cortex.model.profiles import Profiles
from CorticalBoneMappingLib.cortex.scan.noise import Noise

_CHUNK = 256  # points at once: their covariances stay in the cache
# Interpolation between pixels makes even white noise alike within half a pixel.
_LEAST_LENGTH_PIXELS = 0.5
# Share of the variance that no correlation smooths: whole HU, electronics. Without it, noise that is
# smoother than the blur would let a bound go to zero that no one could reach.
_WHITE_SHARE = 1e-3
_ABSENT = 1e12  # variance, over that of the noise, of a sample that is not there


@dataclass(frozen=True)
class Layers:
    """The true, or fitted, three layers of n points.

    Attributes
    ----------
    outer_edge, thickness : ndarray of shape (n,)
        x0 and t in mm.
    outside, cortex, inside : ndarray of shape (n,)
        y0, y1, y2.
    """

    outer_edge: np.ndarray
    thickness: np.ndarray
    outside: np.ndarray
    cortex: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True)
class Bound:
    """Least standard deviations of an unbiased estimate at n points.

    Attributes
    ----------
    thickness : ndarray of shape (n,)
        In mm.
    density : ndarray of shape (n,)
        Of the cortex, in the unit of the profiles; 0 where it is known.
    mass : ndarray of shape (n,)
        Of thickness × density / 10.
    """

    thickness: np.ndarray
    density: np.ndarray
    mass: np.ndarray


def cramer_rao_bound(
    profiles: Profiles,
    layers: Layers,
    blur: Blur,
    noise: Noise,
    *,
    density_known: bool,
    outer_limit: np.ndarray | None = None,
) -> Bound:
    """Bound the precision at every point from the model, the noise and the sampling.

    Parameters
    ----------
    profiles : Profiles
        Where n points are sampled; their values are not looked at.
    layers : Layers
        Where the model is differentiated.
    blur : Blur
        Of the scan, in its plane; known.
    noise : Noise
        In the unit of the layers, with its correlation.
    density_known : bool
        Whether the cortical density is known, or fitted at each point.
    outer_limit : ndarray of shape (n,), optional
        Depth outside which the samples show another bone and do not count.

    Returns
    -------
    Bound

    Notes
    -----
    The inverse of the Fisher information JᵀC⁻¹J of (x0, t, y0, y2[, y1]), with the covariance
    C = sd² [(1 − w) exp(−d²/2L² − z²/2L_z²) + w 1] of samples d apart in the plane of the slices and z
    across them.
    """
    count = len(profiles)
    limit = np.full(count, -np.inf) if outer_limit is None else outer_limit
    parts = []
    for first in range(0, count, _CHUNK):
        part = np.arange(first, min(first + _CHUNK, count))
        some = profiles.take(part)
        jacobian = _jacobian(some, layers, part, blur, density_known)
        seen = some.valid & (some.depth >= limit[part, None])
        whitened = np.linalg.solve(_correlation(some, noise, seen), jacobian.transpose(0, 2, 1))
        parts.append(noise.sd**2 * _inverse(jacobian @ whitened))
    return _as_bound(np.concatenate(parts), layers, density_known)


def _jacobian(
    profiles: Profiles, layers: Layers, part: np.ndarray, blur: Blur, density_known: bool
) -> np.ndarray:
    """Derivatives of the samples by x0, t, y0, y2 and y1, shape (k, p, m)."""
    line = blur.along(profiles.across, profiles.slice_thickness_mm).at(np.arange(len(part)))
    y0, y1, y2 = (values[part, None] for values in (layers.outside, layers.cortex, layers.inside))
    distance = profiles.depth - layers.outer_edge[part, None]
    outer, outer_slope = blurred_step(distance, *line)
    inner, inner_slope = blurred_step(distance - layers.thickness[part, None], *line)
    by_edge, by_thickness = (y0 - y1) * outer_slope + (y1 - y2) * inner_slope, (y1 - y2) * inner_slope
    columns = [by_edge, by_thickness, 1.0 - outer, inner]
    return np.stack(columns if density_known else [*columns, outer - inner], axis=1)


def _correlation(profiles: Profiles, noise: Noise, seen: np.ndarray) -> np.ndarray:
    """Correlation of the samples of each line, shape (k, m, m); one not seen has endless variance."""
    across = profiles.across
    steep = np.abs(across) > 1e-6  # else the whole line stays in one slice
    moved = (profiles.line - profiles.depth) / np.where(steep, across, 1.0)[:, None]
    height = np.where(steep[:, None], moved - profiles.line * across[:, None], 0.0)
    in_plane = max(noise.in_plane_mm, _LEAST_LENGTH_PIXELS * profiles.pixel_mm)
    # Noise that slices do not share needs a length far below their distance, and more than rounding.
    height_length = max(noise.across_mm, 1e-3)
    apart = (profiles.line[:, None] - profiles.line) ** 2
    exponent = apart * ((1.0 - across**2) / in_plane**2)[:, None, None]
    exponent += ((height[:, :, None] - height[:, None, :]) / height_length) ** 2
    correlation = (1.0 - _WHITE_SHARE) * np.exp(-0.5 * exponent)
    diagonal = np.arange(len(profiles.line))
    correlation[:, diagonal, diagonal] += np.where(seen, _WHITE_SHARE, _ABSENT)
    return correlation


def _inverse(information: np.ndarray) -> np.ndarray:
    """Inverse of (k, p, p); what the samples do not determine gets an almost infinite variance."""
    size = information.shape[1]
    scale = np.sqrt(np.einsum("kii->ki", information)) + 1e-150
    scaled = information / (scale[:, :, None] * scale[:, None, :]) + 1e-12 * np.eye(size)
    return np.linalg.inv(scaled) / (scale[:, :, None] * scale[:, None, :])


def _as_bound(covariance: np.ndarray, layers: Layers, density_known: bool) -> Bound:
    t, y1 = layers.thickness, layers.cortex
    by_thickness = covariance[:, 1, 1]
    if density_known:
        deviation = np.sqrt(by_thickness)
        return Bound(deviation, np.zeros_like(deviation), deviation * y1 / 10.0)
    by_density, both = covariance[:, 4, 4], covariance[:, 1, 4]
    by_mass = np.maximum(y1**2 * by_thickness + t**2 * by_density + 2.0 * y1 * t * both, 0.0)
    return Bound(np.sqrt(by_thickness), np.sqrt(by_density), np.sqrt(by_mass) / 10.0)

"""Standard deviations of thickness, density and mass at every point of a `surface-map`.

Four parts add up: structure and noise, as they scatter around a point and as neighbours average them; the
posterior of the density field; errors of the blur, which the whole scan shares; and errors of the scale of a
scan. The calibration is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..scan.scan import Scan
from ..scan.sensitivity import Sensitivity
from .density_field import Field
from .surface_field import SharedField


@dataclass(frozen=True)
class SpreadSettings:
    """Errors besides noise; chosen by hand, not tuned, unless a line says more. See Docs/methods.md."""

    # Relative: of σ as estimated from thick cortex, of the slice's width.
    blur_error: tuple[float, float] = (0.02, 0.05)
    tilt_error: float = 0.008  # of t: a normal 7° off lengthens the path through the cortex so (1 / cos)
    scale_error: float = 0.007  # of density: rest of scatter and beam hardening, the same in the whole scan
    # Of mass, times the slices' share of the blur: bone beside the line in a slice differs from that on it.
    slice_mass_error: float = 0.06


SPREAD = SpreadSettings()


class PosteriorSpread(NamedTuple):
    """Standard deviations at n points.

    Attributes
    ----------
    thickness, density, mass : ndarray of shape (n,)
        In mm, the unit of the profiles, and that of thickness × density / 10.
    """

    thickness: np.ndarray
    density: np.ndarray
    mass: np.ndarray


def posterior_spread(
    scan: Scan, thickness: SharedField, density: np.ndarray, field: Field, sensitivity: Sensitivity
) -> PosteriorSpread:
    """Return the standard deviations of every point.

    Parameters
    ----------
    scan : Scan
        Of n points.
    thickness : SharedField
        In mm.
    density : ndarray of shape (n,)
        Of the bone.
    field : Field
        Posterior of the apparent and the true density.
    sensitivity : Sensitivity
        Of the fit.

    Returns
    -------
    PosteriorSpread
    """
    t, by_density = thickness.values, sensitivity.thickness_by_density
    own = thickness.variance + (SPREAD.tilt_error * t) ** 2
    # Blur acts on thickness at a given density, and through the density.
    by_blur = by_density[:, None] * field.apparent_by_blur + sensitivity.thickness_by_blur
    mass_by_blur = density[:, None] * by_blur + t[:, None] * field.density_by_blur
    of_thickness = own + by_density**2 * field.apparent_variance + _blurred(by_blur)
    of_density = (
        field.density_variance + _blurred(field.density_by_blur) + (SPREAD.scale_error * density) ** 2
    )
    mass = density**2 * own + _blurred(mass_by_blur)
    mass += t**2 * field.density_variance + (density * by_density) ** 2 * field.apparent_variance
    mass += 2.0 * t * density * by_density * field.covariance
    scale = SPREAD.scale_error**2 + (SPREAD.slice_mass_error * _slices_share(scan)) ** 2
    mass += scale * (t * density) ** 2
    return PosteriorSpread(np.sqrt(of_thickness), np.sqrt(of_density), np.sqrt(np.maximum(mass, 0.0)) / 10.0)


def _blurred(by_blur: np.ndarray) -> np.ndarray:
    """Variance (n,) by the errors of the blur."""
    return ((by_blur * np.array(SPREAD.blur_error)) ** 2).sum(axis=1)


def _slices_share(scan: Scan) -> np.ndarray:
    """Share (n,) of the slice profile in the variance of the blur."""
    gaussian, profile = scan.line_blur.sigma**2, scan.line_blur.half_width**2 / 3.0
    return profile / np.maximum(gaussian + profile, 1e-12)

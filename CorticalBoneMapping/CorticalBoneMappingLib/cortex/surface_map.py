"""All points of the surface at once: a Bayesian fit in which the bone shares one field of cortical density.

A profile of thin cortex knows its mass, hardly its density, so thickness is as good as the density that is
assumed. Here the density is a smooth field (`density_field`): a level read off thick cortex, a trend with
thickness, and variation from place to place, each with a prior, all estimated together with the edges of all
profiles by Gauss–Newton steps (the Laplace approximation of the joint posterior; the edges of each profile
are eliminated, see `sensitivity`). The blur is one property of the scan. Nearest relative: CortidQCT
(Reinhold 2020, arXiv 2009.08664).

What a profile says of the density is weighed by how well the model can be true there. A relative error ε of
the blur σ_n shifts the squared width of a blurred shell, t²/12 + σ_n², by 2 ε σ_n², hence the fitted density
by about 12 ε (σ_n / t)²; that error is shared by all profiles near by, so averaging does not remove it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array

from ..surface import Surface
from .density_field import CORRELATION_MM, DensityField, Field
from .rejection import breaks_rules, without_cortex
from .scan import Estimates, Scan
from .sensitivity import Sensitivity, density_sensitivity
from .three_layers import LayerFit

_STEPS = 3  # of Gauss–Newton; the fourth moves the density by less than 0.1 %
_LEVEL_SD, _LEVEL_SD_ASSUMED = 0.03, 0.15  # of the density of thick cortex: read off the scan, or not
_BLUR_ERROR = 0.02  # of σ as estimated from thick cortex
_SLICE_PROFILE_ERROR = 0.15  # of its variance: no scanner's profile is quite a rectangle
_DENSITY_ERROR = 0.005  # whatever the thickness
_THINNEST_MM = 0.2  # thinner cortex says no less than this of the density: nothing
_DENSITY_RANGE = (0.65, 1.3)  # of the level
# Of the mass: in any scan, and more by the slice profile's share of the blur, since what lies in a thick
# slice beside the line is not what lies on it.
_MASS_ERROR, _MASS_ERROR_OF_SLICES = 0.01, 0.06
_ENOUGH_POINTS = 100  # to judge the scatter
_TILT_ERROR = 0.008  # of t: a normal 7° off lengthens the way through the cortex by so much


def measure(scan: Scan) -> Estimates:
    """Measure thickness and density of all points together, with posterior standard deviations.

    Parameters
    ----------
    scan : Scan
        Of n points.

    Returns
    -------
    Estimates
        With the standard deviations of thickness, density and mass surface density.
    """
    thick = scan.thick_cortex
    known = not thick.density_from.startswith("assumed")
    places = scan.surface.points[scan.points]
    prior = DensityField(places, thick.density, _LEVEL_SD if known else _LEVEL_SD_ASSUMED)
    fit = scan.fit(np.full(len(places), prior.prior(np.array([2.0]))[0]))
    lacking = without_cortex(scan)
    for _ in range(_STEPS):
        sensitivity = density_sensitivity(scan, fit)
        field = _posterior(scan, prior, fit, sensitivity, ~lacking)
        fit = scan.fit(np.clip(field.mean, *(share * thick.density for share in _DENSITY_RANGE)))
    sensitivity = density_sensitivity(scan, fit)
    sound = _sound(scan, fit)
    spread = _standard_deviations(scan, fit, field, sensitivity, sound & ~lacking)
    return Estimates(
        outer_edge=fit.outer_edge,
        thickness=fit.thickness,
        cortical_density=fit.cortex,
        trabecular_density=fit.inside,
        residual=fit.residual,
        failed=~sound,
        no_cortex=lacking,
        used=thick.record
        | {
            "cortical_density_from": f"a field about {thick.density:.0f}, {thick.density_from}",
            "cortical_density_range": [float(fit.cortex.min()), float(fit.cortex.max())],
            "scatter_over_noise": spread.scatter,
        },
        thickness_sd=spread.thickness,
        cortical_density_sd=spread.density,
        mass_sd=spread.mass,
    )


class _Spread(NamedTuple):
    thickness: np.ndarray
    density: np.ndarray
    mass: np.ndarray
    scatter: float


def _sound(scan: Scan, fit: LayerFit) -> np.ndarray:
    broken = breaks_rules(
        scan, fit.outer_edge, fit.thickness, fit.outside, fit.cortex, fit.inside, fit.residual
    )
    return scan.usable & fit.converged & ~fit.at_bound & ~broken


def _posterior(
    scan: Scan, prior: DensityField, fit: LayerFit, sensitivity: Sensitivity, with_cortex: np.ndarray
) -> Field:
    """Join all profiles' say on the density with the prior."""
    told = _sound(scan, fit) & with_cortex
    precision = np.where(told, sensitivity.precision, 0.0)
    sharing = np.pi * CORRELATION_MM**2 / float(np.median(scan.surface.point_areas))
    precision = precision / (1.0 + precision * sharing * _model_error(scan, fit) ** 2)
    return prior.posterior(fit.thickness, np.where(told, sensitivity.density, 0.0), precision)


def _model_error(scan: Scan, fit: LayerFit) -> np.ndarray:
    """Standard deviation (n,) of the density that the model's own error causes, alike in neighbours."""
    gaussian, profile = _blur_variances(scan)
    blur = _BLUR_ERROR * gaussian + 0.5 * _SLICE_PROFILE_ERROR * profile  # ε σ_n²
    thickness = np.maximum(fit.thickness, _THINNEST_MM)
    return fit.cortex * (_DENSITY_ERROR + 12.0 * blur / thickness**2)


def _blur_variances(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Variance (n,) of the blur along the normals in mm²: the in-plane Gaussian's, the slice profile's."""
    return scan.line_blur.sigma**2, scan.line_blur.half_width**2 / 3.0


def _standard_deviations(
    scan: Scan, fit: LayerFit, field: Field, sensitivity: Sensitivity, sound: np.ndarray
) -> _Spread:
    """Posterior standard deviations (n,) of thickness, density and mass surface density.

    Noise is scaled by how much thickness really scatters between neighbours: correlated noise, normals and
    curvature make it more than the profile's own noise says.
    """
    by_noise = np.sqrt(sensitivity.thickness_variance)
    scatter = _scatter(scan, fit.thickness, by_noise, sound)
    noise = (by_noise * scatter) ** 2 + (_TILT_ERROR * fit.thickness) ** 2
    by_density = sensitivity.thickness_by_density
    thickness = np.sqrt(noise + (by_density * field.sd) ** 2)
    mass_by_density = fit.thickness + fit.cortex * by_density
    gaussian, profile = _blur_variances(scan)
    model = _MASS_ERROR + _MASS_ERROR_OF_SLICES * profile / (gaussian + profile)
    model *= fit.thickness * fit.cortex
    mass = np.sqrt(fit.cortex**2 * noise + (mass_by_density * field.sd) ** 2 + model**2) / 10.0
    return _Spread(thickness, field.sd, mass, scatter)


def _scatter(scan: Scan, values: np.ndarray, expected: np.ndarray, sound: np.ndarray) -> float:
    """How many times more a point differs from what its neighbours say than `expected`; at least 1.

    On an even mesh the neighbours one edge away lie at squared distance 1, those two edges away at 3.5 on
    average, so this combination of their means is exact for any quadratic surface, and what is left is error.
    """
    whole = np.full(len(scan.surface.points), np.nan)
    whole[scan.points] = np.where(sound, values, np.nan)
    near, far = (_mean_over(whole, ring) for ring in _rings(scan.surface))
    left = (whole - (3.5 * near - far) / 2.5)[scan.points]
    judged = np.isfinite(left) & (expected > 0)
    if judged.sum() < _ENOUGH_POINTS:
        return 1.0
    own = 1.0 + (3.5 / 2.5) ** 2 / 6.0 + (1.0 / 2.5) ** 2 / 12.0  # variance of `left` in units of a point's
    ratio = np.abs(left[judged]) / (expected[judged] * np.sqrt(own))
    return max(1.0, 1.4826 * float(np.median(ratio)))


def _rings(surface: Surface) -> tuple[csr_array, csr_array]:
    """Who is one edge away, and who two, as matrices of ones."""
    total = len(surface.points)
    ends = np.concatenate([surface.edges, surface.edges[:, ::-1]])
    one = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(total, total)).tocsr()
    within_two = (one @ one + one).tocsr()
    within_two.setdiag(0.0)
    within_two.eliminate_zeros()
    within_two.data[:] = 1.0
    two = (within_two - one).tocsr()
    two.eliminate_zeros()
    return one, two


def _mean_over(values: np.ndarray, ring: csr_array) -> np.ndarray:
    """Mean of each point's ring, not-a-number where the ring has a gap."""
    there = np.isfinite(values)
    count = np.asarray(ring.sum(axis=1)).ravel()
    whole = np.isclose(ring @ there.astype(float), count) & (count > 0)
    return np.where(whole, (ring @ np.where(there, values, 0.0)) / np.maximum(count, 1.0), np.nan)

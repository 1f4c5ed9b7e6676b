"""All points of the surface at once: a Bayesian fit in which the bone shares one field of cortical density.

A profile of thin cortex knows its mass, hardly its density, so thickness is as good as the density that is
assumed. Here the density is a smooth field (`density_field`): a level read off thick cortex, a trend with
thickness, and variation from place to place, each with a prior whose width the scan itself tells, all
estimated together with the edges of all profiles by Gauss–Newton steps (the Laplace approximation of the
joint posterior; the edges of each profile are eliminated, see `sensitivity`). The blur is one property of the
scan. Nearest relative: CortidQCT (Reinhold 2020, arXiv 2009.08664).

What a profile says of the density is weighed by how well the model can be true there. A relative error ε of
the blur σ_n shifts the squared width of a blurred shell, t²/12 + σ_n², by 2 ε σ_n², hence the fitted density
by about 12 ε (σ_n / t)²; that error is shared by all profiles near by, so averaging does not remove it.
Profiles that contradict the field by far are believed less (weights of Student's t).

Edges are fitted with the density that the CT shows, so that thickness is right; the density reported is that
of the bone.
"""

from __future__ import annotations

import numpy as np

from ..model.three_layers import LayerFit
from ..scan.scan import Estimates, Scan
from ..scan.sensitivity import Sensitivity, density_sensitivity
from .density_field import ASSUMED_SPREAD, CORRELATION_MM, DensityField, Field, MeasuredDensity
from .posterior_spread import posterior_spread
from .rejection import breaks_rules, without_cortex

_STEPS = 3  # of Gauss–Newton; the fourth moves the density by less than 0.1 %
_LEVEL_SD, _LEVEL_SD_ASSUMED = 0.03, 0.15  # of the density of thick cortex: read off the scan, or not
_BLUR_ERROR = 0.02  # of σ, from place to place
_SLICE_PROFILE_ERROR = 0.15  # of its variance: no scanner's profile is quite a rectangle
_DENSITY_ERROR = 0.005  # whatever the thickness
_THINNEST_MM = 0.2  # thinner cortex says no less than this of the density: nothing
_DENSITY_RANGE = (0.65, 1.3)  # of the level
_FREEDOM = 8.0  # of Student's t


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
    places, normals = (values[scan.points] for values in (scan.surface.points, scan.surface.normals))
    prior = DensityField(places, normals, thick.density, _LEVEL_SD if known else _LEVEL_SD_ASSUMED)
    fit = scan.fit(np.full(len(places), prior.prior(np.array([2.0]))[0]), near=scan.constant_density_fit)
    lacking, field, spread = without_cortex(scan), None, None
    for _ in range(_STEPS):
        measured = _measured_density(scan, fit, density_sensitivity(scan, fit), ~lacking, field)
        if field is not None and spread is None:
            spread = prior.learn(fit.thickness, measured)
        field = prior.posterior(fit.thickness, measured, spread or ASSUMED_SPREAD)
        density = np.clip(field.apparent, *(share * thick.density for share in _DENSITY_RANGE))
        fit = scan.fit(density, near=fit)
    valid, density = _valid(scan, fit), fit.cortex + field.density - field.apparent
    sensitivity = density_sensitivity(scan, fit)
    deviations = posterior_spread(scan, fit, density, field, sensitivity, valid & ~lacking)
    return Estimates(
        outer_edge=fit.outer_edge,
        thickness=fit.thickness,
        cortical_density=density,
        trabecular_density=fit.inside,
        residual=fit.residual,
        failed=~valid,
        no_cortex=lacking,
        used=thick.record
        | {
            "cortical_density_from": f"a field about {thick.density:.0f}, {thick.density_from}",
            "cortical_density_range": [float(density.min()), float(density.max())],
            "cortical_density_varies_by": spread.field,
            "error_by_direction": spread.direction,
            "scatter_over_noise": deviations.scatter,
        },
        thickness_sd=deviations.thickness,
        cortical_density_sd=deviations.density,
        mass_sd=deviations.mass,
    )


def _valid(scan: Scan, fit: LayerFit) -> np.ndarray:
    broken = breaks_rules(
        scan, fit.outer_edge, fit.thickness, fit.outside, fit.cortex, fit.inside, fit.residual
    )
    return scan.usable & fit.converged & ~fit.at_bound & ~broken


def _measured_density(
    scan: Scan, fit: LayerFit, sensitivity: Sensitivity, with_cortex: np.ndarray, field: Field | None
) -> MeasuredDensity:
    """What all profiles say of the density, and how far each can be believed; `field` is the last one."""
    able = _valid(scan, fit) & with_cortex & (sensitivity.precision > 0)
    precision, error = np.where(able, sensitivity.precision, 0.0), _model_error(scan, fit)
    density = np.where(able, sensitivity.density, 0.0)
    if field is not None:
        variance = 1.0 / np.where(able, precision, 1.0) + error**2
        precision = precision / (1.0 + (density - field.apparent) ** 2 / (variance * _FREEDOM))
    sharing = np.pi * CORRELATION_MM**2 / float(np.median(scan.surface.point_areas))
    return MeasuredDensity(density, precision, error, sharing, sensitivity.density_by_blur * able[:, None])


def _model_error(scan: Scan, fit: LayerFit) -> np.ndarray:
    """Standard deviation (n,) of the density that the model's own error causes, alike in neighbours."""
    gaussian, profile = _blur_variances(scan)
    blur = _BLUR_ERROR * gaussian + 0.5 * _SLICE_PROFILE_ERROR * profile  # ε σ_n²
    thickness = np.maximum(fit.thickness, _THINNEST_MM)
    return fit.cortex * (_DENSITY_ERROR + 12.0 * blur / thickness**2)


def _blur_variances(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Variance (n,) of the blur along the normals in mm²: the in-plane Gaussian's, the slice profile's."""
    return scan.line_blur.sigma**2, scan.line_blur.half_width**2 / 3.0

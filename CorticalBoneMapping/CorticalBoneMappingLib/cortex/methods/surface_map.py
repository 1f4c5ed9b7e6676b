"""surface-map: a Bayesian fit of all points, which share one field of cortical density.

A profile of thin cortex gives its mass, but hardly its density, so thickness is as good as the assumed
density. Here the density is a smooth field (`density_field`): a level from thick cortex, a trend with
thickness, and variation from place to place, whose width is learnt from the scan. All are estimated together
with the edges of all profiles by Gauss–Newton steps (the Laplace approximation of the joint posterior; the
edges of each profile are eliminated, see `sensitivity`). The blur is one property of the scan. Nearest
relative: CortidQCT (Reinhold 2020, arXiv 2009.08664).

The density of a profile is weighed by the error of the model there. A relative error ε of the blur σ_n shifts
the squared width of a blurred shell, t²/12 + σ_n², by 2 ε σ_n², hence the fitted density by about 12 ε (σ_n /
t)²; all profiles near by share that error, so averaging does not remove it. A zone in which cortex becomes
trabecular bone does the same; how wide such zones are in this bone, its thick cortex shows
(`inner_softness_mm`). Profiles that contradict the field by far have less weight (Student's t).

Edges are fitted with the density that the CT shows, so that thickness is right; the density reported is that
of the bone. Two thicknesses come out. The local one is what a line shows, struts and pores beside it and all.
The other is the cortex beneath them, which neighbours share (`surface_field`); mass is that one's. A line
without cortex among neighbours that have one is a gap between struts; where half of the neighbours have none
either, cortex is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...mesh.topology import adjacency
from ..model.three_layers import LayerFit
from ..scan.scan import Estimates, Scan
from ..scan.sensitivity import Sensitivity, density_sensitivity
from .density_field import ASSUMED_SPREAD, FIELD, DensityField, Field, MeasuredDensity
from .posterior_spread import posterior_spread
from .rejection import THINNEST_MM, breaks_rules, without_cortex
from .scatter import scatter
from .surface_field import shared_field


@dataclass(frozen=True)
class SurfaceMapSettings:
    """Numbers of surface-map; chosen by hand, not tuned, unless a line says more. See Docs/methods.md."""

    steps: int = 3  # of Gauss–Newton; a fourth moves the density by less than 0.1 %
    level_sd: float = 0.03  # relative, of the density of thick cortex, estimated from the scan
    level_sd_assumed: float = 0.15  # the same, assumed
    blur_error: float = 0.02  # relative, of σ, from place to place
    slice_profile_error: float = 0.15  # relative, of its variance: no scanner's profile is a rectangle
    # Share of the inner edge's softness (its variance, half of it, as one of two edges) that is not known at
    # a place: zones differ from place to place as much as they are wide.
    softness_error: float = 0.5
    density_error: float = 0.005  # relative, at any thickness
    thinnest_mm: float = 0.2  # in the model error; thinner cortex has practically no weight
    density_range: tuple[float, float] = (0.65, 1.3)  # of the level
    freedom: float = 8.0  # of Student's t
    missing_share: float = 0.5  # of the neighbours without cortex, where cortex is missing


MAP = SurfaceMapSettings()


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
    prior = DensityField(places, normals, thick.density, MAP.level_sd if known else MAP.level_sd_assumed)
    fit, lacking = scan.constant_density_fit, without_cortex(scan)
    field, spread = None, None
    for _ in range(MAP.steps):
        measured = _measured_density(scan, fit, density_sensitivity(scan, fit), ~lacking, field)
        if field is not None and spread is None:
            spread = prior.learn(fit.thickness, measured)
        field = prior.posterior(fit.thickness, measured, spread or ASSUMED_SPREAD)
        density = np.clip(field.apparent, *(share * thick.density for share in MAP.density_range))
        fit = scan.fit(density, near=fit)
    valid, density = _valid(scan, fit), fit.cortex + field.density - field.apparent
    sensitivity = density_sensitivity(scan, fit)
    noise = np.sqrt(sensitivity.thickness_variance)
    around, usual = scatter(scan, fit.thickness, noise, valid & ~lacking)
    variance = np.where(valid & ~lacking, (noise * around) ** 2, np.nan)
    shown = np.where(lacking, scan.constant_density_fit.thickness, fit.thickness)
    thickness = shared_field(scan.surface, scan.points, shown, variance, lacking | valid)
    missing = lacking & (_share_around(scan, lacking) >= MAP.missing_share)
    missing |= (lacking | valid) & (thickness.values < THINNEST_MM)
    deviations = posterior_spread(scan, thickness, density, field, sensitivity)
    return Estimates(
        outer_edge=fit.outer_edge,
        thickness=thickness.values,
        cortical_density=density,
        trabecular_density=fit.inside,
        residual=fit.residual,
        failed=~(valid | lacking),
        no_cortex=missing,
        used=thick.record
        | {
            "cortical_density_from": f"a field about {thick.density:.0f}, {thick.density_from}",
            "cortical_density_range": [float(density.min()), float(density.max())],
            "cortical_density_varies_by": spread.field,
            "error_by_direction": spread.direction,
            "inner_softness_mm": thick.inner_softness_mm,
            "scatter_over_noise": usual,
            "local_extent_mm2": thickness.extent_mm2,
        },
        thickness_sd=deviations.thickness,
        cortical_density_sd=deviations.density,
        mass_sd=deviations.mass,
        local_thickness=shown,
    )


def _share_around(scan: Scan, found: np.ndarray) -> np.ndarray:
    """Share (n,) of each point's measured neighbours that are among those found (n,); 1 if it has none."""
    ring = adjacency(scan.surface.edges, len(scan.surface.points))
    whole, there = np.zeros((2, len(scan.surface.points)))
    whole[scan.points], there[scan.points] = found & scan.usable, scan.usable
    total = ring @ there
    return np.where(total > 0, (ring @ whole) / np.maximum(total, 1.0), 1.0)[scan.points]


def _valid(scan: Scan, fit: LayerFit) -> np.ndarray:
    broken = breaks_rules(
        scan, fit.outer_edge, fit.thickness, fit.outside, fit.cortex, fit.inside, fit.residual
    )
    return scan.usable & fit.converged & ~fit.at_bound & ~broken


def _measured_density(
    scan: Scan, fit: LayerFit, sensitivity: Sensitivity, with_cortex: np.ndarray, field: Field | None
) -> MeasuredDensity:
    """Density that all profiles show, with weights against the last `field`."""
    usable = _valid(scan, fit) & with_cortex & (sensitivity.precision > 0)
    precision, error = np.where(usable, sensitivity.precision, 0.0), _model_error(scan, fit)
    density = np.where(usable, sensitivity.density, 0.0)
    if field is not None:
        variance = 1.0 / np.where(usable, precision, 1.0) + error**2
        precision = precision / (1.0 + (density - field.apparent) ** 2 / (variance * MAP.freedom))
    sharing = np.pi * FIELD.correlation_mm**2 / float(np.median(scan.surface.point_areas))
    return MeasuredDensity(density, precision, error, sharing, sensitivity.density_by_blur * usable[:, None])


def _model_error(scan: Scan, fit: LayerFit) -> np.ndarray:
    """Standard deviation (n,) of the density that the model's own error causes, alike in neighbours."""
    gaussian, profile = _blur_variances(scan)
    blur = MAP.blur_error * gaussian + 0.5 * MAP.slice_profile_error * profile  # ε σ_n²
    blur = blur + 0.5 * MAP.softness_error * scan.thick_cortex.inner_softness_mm**2
    thickness = np.maximum(fit.thickness, MAP.thinnest_mm)
    return fit.cortex * (MAP.density_error + 12.0 * blur / thickness**2)


def _blur_variances(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Variance (n,) of the blur along the normals in mm²: the in-plane Gaussian's, the slice profile's."""
    return scan.line_blur.sigma**2, scan.line_blur.half_width**2 / 3.0

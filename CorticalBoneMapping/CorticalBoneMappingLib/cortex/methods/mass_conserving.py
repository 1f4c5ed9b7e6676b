"""mass-conserving: mass from a free fit, thickness from the mass and one density for the bone.

Treece, Poole, Gee 2012, Med Image Anal 16:952. A profile of thin cortex determines the product of density and
thickness only. The rise of the peak with that product gives the density that thick cortex reaches.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares
from scipy.special import erf

from ..model.blur import model_peak
from ..model.three_layers import LayerFit
from ..scan.scan import Estimates, Scan
from .rejection import breaks_rules, without_cortex

# Chosen by hand; not tuned.
_BINS = 40
_FEWEST_IN_BIN = 15
_FEWEST_BINS = 6
_STEEPEST = 0.5  # steeper normals see another blur
_REACHED = 0.9  # of the density: the rise of Y(p) must be seen up to here


def measure(scan: Scan) -> Estimates:
    """Measure with one density, found from the peaks of all points unless the settings give it.

    Parameters
    ----------
    scan : Scan
        Of n points.

    Returns
    -------
    Estimates
    """
    fit = scan.fit(None)
    background = 0.5 * (fit.outside + fit.inside)
    mass = fit.thickness * (fit.cortex - background)
    density, source = _global_density(scan, fit, mass)
    with np.errstate(divide="ignore", invalid="ignore"):
        thickness = mass / (density - background)
    middle = fit.outer_edge + 0.5 * fit.thickness  # a lighter, thicker cortex has the same centre of mass
    outer_edge, cortex = middle - 0.5 * thickness, np.full(len(mass), density)
    rejected = breaks_rules(scan, outer_edge, thickness, fit.outside, cortex, fit.inside, fit.residual)
    return Estimates(
        outer_edge=outer_edge,
        thickness=thickness,
        cortical_density=cortex,
        trabecular_density=fit.inside,
        residual=fit.residual,
        # The free fit need not converge: along the valley where density and thickness trade, the mass, which
        # is all that is taken from it, does not change.
        failed=rejected,
        no_cortex=without_cortex(scan),
        used=scan.thick_cortex.blur_record | {"cortical_density": density, "cortical_density_from": source},
    )


def rise_with_mass(mass: np.ndarray, background: float, density: float, sigma_mm: float) -> np.ndarray:
    """Return the peak of a blurred cortex of apparent mass p (Treece, Poole, Gee 2012).

    Y(p) = y_B + (ŷ1 − y_B)·erf(p / ((ŷ1 − y_B)·2√2·ŝ)).

    Parameters
    ----------
    mass : ndarray of shape (n,)
        p in mm times density.
    background, density, sigma_mm : float
        y_B, ŷ1 and ŝ.

    Returns
    -------
    ndarray of shape (n,)
    """
    height = density - background
    return background + height * erf(mass / (height * 2.0 * np.sqrt(2.0) * sigma_mm))


def _global_density(scan: Scan, fit: LayerFit, mass: np.ndarray) -> tuple[float, str]:
    """Return ŷ1 and where it comes from."""
    if scan.settings.cortical_density is not None:
        return scan.settings.cortical_density, "given"
    masses, peaks = _binned(*_rising_points(scan, fit, mass))
    thick = scan.thick_cortex
    if len(masses) < _FEWEST_BINS:
        return thick.density, f"too few points for the rise of the peak with mass; {thick.density_from}"

    def misfit(p: np.ndarray) -> np.ndarray:
        return rise_with_mass(masses, *p) - peaks

    start = [peaks.min(), peaks.max(), thick.blur.sigma_mm]
    bounds = ([-np.inf, peaks.max() * 0.8, 0.05], [peaks.max() * 0.8, scan.settings.highest_density, 5.0])
    start[0] = min(start[0], bounds[1][0] - 1.0)
    found = least_squares(
        misfit,
        start,
        bounds=bounds,
        x_scale=[100.0, 100.0, 0.1],
        loss="soft_l1",
        f_scale=2.0 * scan.noise + 1e-3,
    )
    background, density, _ = found.x
    reached = rise_with_mass(masses.max(), *found.x) - background
    if not found.success or reached < _REACHED * (density - background):
        return thick.density, f"the peak does not level off with mass; {thick.density_from}"
    return float(density), f"where the peak levels off with mass, over {len(masses)} bins"


def _rising_points(scan: Scan, fit: LayerFit, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mass and peak of the points that are suitable for Y(p)."""
    peak = model_peak(fit.thickness, fit.outside, fit.cortex, fit.inside, scan.line_blur)
    fair = scan.usable & fit.converged & np.isfinite(peak) & np.isfinite(mass) & (mass > 0)
    fair &= np.abs(scan.profiles.across) < _STEEPEST
    return mass[fair], peak[fair]


def _binned(mass: np.ndarray, peak: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians of mass and peak in bins of equal width, so that thick cortex counts as much as thin."""
    if len(mass) < _FEWEST_IN_BIN:
        return np.empty(0), np.empty(0)
    edges = np.linspace(0.0, np.quantile(mass, 0.98), _BINS + 1)
    index = np.digitize(mass, edges) - 1
    full = [k for k in range(_BINS) if np.count_nonzero(index == k) >= _FEWEST_IN_BIN]
    medians = [(np.median(mass[index == k]), np.median(peak[index == k])) for k in full]
    return tuple(np.array(medians).reshape(-1, 2).T)

"""Independent: thickness and density both local, in three passes.

Treece and Gee 2015, Med Image Anal 20:249. The first two passes fit everything at each point, blur
included. The third knows the blur of the scan: it asks how high the fitted cortex would stand if it
were blurred so, raises the density by what is missing, fixes it, and fits again.
"""

from __future__ import annotations

import numpy as np

from .free_blur import FreeFit, fit_free_blur
from .peak import model_peak
from .rejection import breaks_rules, without_cortex
from .scan import Estimates, Scan


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
    free = fit_free_blur(profiles, scan.landmarks, thick.blur.enhancement, highest, scan.noise)
    density = _local_density(scan, free)
    known = np.isfinite(density) & (density < highest) & (free.cortex < highest)
    fixed = np.where(known, density, thick.density)  # a stand-in, so that the batch runs; rejected below
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
        failed=~known | ~free.sound | ~fit.converged | fit.at_bound | rejected,
        no_cortex=without_cortex(scan),
        used=thick.blur_record,
    )


def _local_density(scan: Scan, free: FreeFit) -> np.ndarray:
    """y1* = (y1 − y_bg)(y_peak − y_bg)/(M − y_bg) + y_bg with y_bg = max(y0, y2), shape (n,).

    M is the peak that the fitted cortex would have under the blur of the scan. y_peak is that of the
    fitted curve: the highest sample would be the noise's choice.
    """
    layers = (free.thickness, free.outside, free.cortex, free.inside)
    seen = model_peak(*layers, scan.line_blur._replace(sigma=free.sigma))
    expected = model_peak(*layers, scan.line_blur)
    background = np.maximum(free.outside, free.inside)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (seen - background) / (expected - background)
        density = (free.cortex - background) * ratio + background
    return np.where((expected > background) & (seen > background), density, np.nan)

"""constant-density: one cortical density for the bone; edges and backgrounds are fitted.

Treece, Gee, Mayhew, Poole 2010, Med Image Anal 14:276, sampled along the true normal. The blur is one
property of the scan, not a free number at each point: in-plane Gaussian and slice profile.
"""

from __future__ import annotations

import numpy as np

from ..scan.scan import Estimates, Scan
from .rejection import without_cortex


def measure(scan: Scan) -> Estimates:
    """Measure with the cortical density given, or estimated from the bone's own thick cortex.

    Parameters
    ----------
    scan : Scan
        Of n points.

    Returns
    -------
    Estimates
    """
    thick = scan.thick_cortex
    fit = scan.constant_density_fit
    contrast = fit.cortex - np.maximum(fit.outside, fit.inside)
    return Estimates(
        outer_edge=fit.outer_edge,
        thickness=fit.thickness,
        cortical_density=fit.cortex,
        trabecular_density=fit.inside,
        residual=fit.residual,
        failed=~fit.converged | fit.at_bound | (contrast < 2.0 * fit.residual),
        no_cortex=without_cortex(scan),
        used=thick.record,
        outer_edge_sd=fit.outer_edge_se,
    )

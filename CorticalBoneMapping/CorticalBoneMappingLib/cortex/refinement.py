"""The periosteal surface where the CT has it, rather than where the mask had it.

A mask is off by half a millimetre here and there, and its normals by some degrees; a line that is askew by
the angle a passes through 1 / cos(a) of the cortex, and smears its edges. A first fit finds the outer edge on
every line; a surface through those edges, smoothed so that noise does not tilt it, gives better lines.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..smoothing import smooth
from ..surface import Surface
from .scan import Scan

_FWHM_MM = 4.0  # less lets the noise of thick slices in, more leaves what a mask has wrong


def surface_at_outer_edge(scan: Scan) -> tuple[Surface, np.ndarray]:
    """Move the surface to the outer edges that a fit with constant density finds.

    Parameters
    ----------
    scan : Scan
        Of n points of a surface.

    Returns
    -------
    surface : Surface
        The same triangles, moved along their normals.
    depth : ndarray of shape (n_surface_points,)
        How far inward each point moved, in mm; points without a fit move with their neighbours.
    """
    fit = scan.constant_density_fit
    found = scan.usable & fit.converged & ~fit.at_bound & (fit.thickness > 0)
    depth = np.full(len(scan.surface.points), np.nan)
    depth[scan.points[found]] = fit.outer_edge[found]
    if not found.any():
        return scan.surface, np.zeros(len(depth))
    depth = np.nan_to_num(smooth(scan.surface, depth, _FWHM_MM, fill=True))
    points = scan.surface.points - depth[:, None] * scan.surface.normals
    return replace(scan.surface, points=points), depth

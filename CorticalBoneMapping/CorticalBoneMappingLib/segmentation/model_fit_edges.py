"""Where along the normals of a surface the bone may end, and how much that is to be believed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..volume import Volume

_STEP_MM = 0.5
_BLUR_MM = 0.7  # along the normal, standard deviation
_HU_RANGE = (-100.0, 900.0)
_SOFT_TISSUE_HU, _SOFT_SPREAD_HU = (
    280.0,
    60.0,
)  # what may lie outside bone; in a narrow joint space it is blurred
_LOOK_OUTSIDE_MM = 3.0
_NOISE = 20.0  # HU/mm
_OWN_WIDTH_MM = 2.0
_WEAK = 60.0  # HU/mm: a fall this large is as likely an edge as none


class Edges(NamedTuple):
    """Where the bone's edge is along the normal of each of n vertices.

    Attributes
    ----------
    offset : ndarray of shape (n,)
        Expected place, mm outward; 0 where nothing was seen.
    spread : ndarray of shape (n,)
        Standard deviation of that place, mm.
    belief : ndarray of shape (n,)
        From 0 (no edge, or outside the scan) to 1.
    strength : ndarray of shape (n,)
        Fall of HU a mm at the place.
    seen : ndarray of bool, shape (n,)
        Whether the scan holds the vertex.
    """

    offset: np.ndarray
    spread: np.ndarray
    belief: np.ndarray
    strength: np.ndarray
    seen: np.ndarray


def find_edges(
    volume: Volume, points: np.ndarray, normals: np.ndarray, reach_mm: float, expected_mm: float
) -> Edges:
    """Look for the periosteal edge along normals.

    Parameters
    ----------
    volume : Volume
        HU.
    points, normals : ndarray of shape (n, 3)
        RAS mm, outward unit vectors.
    reach_mm : float
        How far to look, inward and outward.
    expected_mm : float
        Standard deviation of where the edge is, about the point.

    Returns
    -------
    Edges
    """
    pad = _LOOK_OUTSIDE_MM
    offsets = np.arange(-reach_mm - pad, reach_mm + pad + 1e-6, _STEP_MM)
    hu = volume.sample(points[:, None] + offsets[:, None] * normals[:, None])
    known = np.isfinite(hu)
    seen = known[:, len(offsets) // 2]
    hu = np.clip(np.where(known, hu, 0.0), *_HU_RANGE)
    smooth = ndimage.gaussian_filter1d(hu, _BLUR_MM / _STEP_MM, axis=1, mode="nearest")
    fall = np.maximum(-np.gradient(smooth, _STEP_MM, axis=1), 0.0)
    n_pad = round(pad / _STEP_MM)
    outside = ndimage.minimum_filter1d(smooth, n_pad + 1, axis=1, origin=-(n_pad // 2), mode="nearest")
    soft = 1.0 / (1.0 + np.exp((outside - _SOFT_TISSUE_HU) / _SOFT_SPREAD_HU))
    # A fall at the border of the scan is none: both its sides must be known.
    whole = ndimage.minimum_filter1d(known.astype(np.uint8), 5, axis=1).astype(bool)
    rate = np.where(whole, (np.maximum(fall - _NOISE, 0.0) / _WEAK) ** 2 * soft, 0.0)
    late = round(_OWN_WIDTH_MM / _STEP_MM)
    passed = np.cumsum(rate, axis=1) * _STEP_MM
    passed = np.pad(passed, ((0, 0), (late, 0)))[:, : rate.shape[1]]
    evidence = (rate / (1.0 + rate) * np.exp(-passed))[:, n_pad:-n_pad]
    offsets, fall = offsets[n_pad:-n_pad], fall[:, n_pad:-n_pad]
    weight = evidence * np.exp(-0.5 * (offsets / expected_mm) ** 2)
    total = weight.sum(axis=1)
    share = weight / np.maximum(total, 1e-9)[:, None]
    offset = share @ offsets
    spread = np.sqrt(np.maximum(share @ offsets**2 - offset**2, 0.0))
    none = 0.1 * np.exp(-0.5 * (offsets / expected_mm) ** 2).sum()
    belief = np.where(seen, total / (total + none), 0.0)
    strength = np.einsum("nl,nl->n", share, fall)
    return Edges(offset, spread, belief, strength, seen)

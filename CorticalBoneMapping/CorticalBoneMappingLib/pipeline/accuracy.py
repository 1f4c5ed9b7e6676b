"""Errors of a measured map against the truth of a simulated hip."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..core.measures import VertexStatus
from ..core.surface import Surface
from ..mesh.closest import closest_points, interpolate

BIN_EDGES_MM = (0.0, 0.8, 1.2, 2.0, 3.0, np.inf)
"""Edges of the thickness bins in which errors are reported."""

RANGE_MM = (0.6, 5.0)
"""Range of true thickness over which the overall error is reported."""


def thickness_errors(measured: Surface, truth: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Compare measured thickness with the true one at the closest place of the true surface.

    Parameters
    ----------
    measured, truth : Surface
        Both with ``cortical_thickness`` in mm; `measured` with ``quality``.

    Returns
    -------
    true : ndarray of shape (n_points,)
        True thickness at each point in mm; not-a-number on the cut ends of the bone, which have no cortex.
    error : ndarray of shape (n_points,)
        Measured minus true in mm; not-a-number where nothing was measured.
    """
    found = closest_points(truth, measured.points)
    true = interpolate(truth, "cortical_thickness", found.triangle, found.weights)
    true[measured.arrays["quality"] == VertexStatus.NOT_MEASURED] = np.nan
    return true, measured.arrays["cortical_thickness"] - true


def accuracy_rows(true: np.ndarray, error: np.ndarray) -> list[dict[str, Any]]:
    """Summarise thickness errors by bins of the true thickness.

    Parameters
    ----------
    true, error : ndarray of shape (n_points,)
        From `thickness_errors`.

    Returns
    -------
    list of dict
        ``bin`` (its text), ``n_points`` (in the bin), ``n_measured``, and in mm ``bias`` (mean error),
        ``sd`` and ``mean_absolute``; not-a-number where nothing was measured. The last row is the range
        of `RANGE_MM`.
    """
    bins = [(low, high, _bin_text(low, high)) for low, high in pairwise(BIN_EDGES_MM)]
    bins.append((*RANGE_MM, f"{RANGE_MM[0]:g} to {RANGE_MM[1]:g}"))
    return [_row(text, true, error, (true >= low) & (true < high)) for low, high, text in bins]


def _bin_text(low: float, high: float) -> str:
    if low == 0:
        return f"below {high:g}"
    return f"above {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


def _row(text: str, true: np.ndarray, error: np.ndarray, inside: np.ndarray) -> dict[str, Any]:
    found = error[inside & np.isfinite(error) & np.isfinite(true)]
    nan = float("nan")
    return {
        "bin": text,
        "n_points": int(inside.sum()),
        "n_measured": len(found),
        "bias": float(found.mean()) if len(found) else nan,
        "sd": float(found.std()) if len(found) else nan,
        "mean_absolute": float(np.abs(found).mean()) if len(found) else nan,
    }

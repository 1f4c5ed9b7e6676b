"""The outer edge of the cortex for the segmentation, which does not know how the cortex is measured."""

from __future__ import annotations

import numpy as np

from ..calibration import Calibration
from ..cortex import measure_cortex
from ..measures import Quality
from ..surface import Surface
from ..volume import Volume

_WORST_MISFIT = 3.5  # of the residual, in medians: three layers are no model of another bone's inside


def outer_edges(
    surface: Surface, volume: Volume, excluded: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the periosteal edge under every point by the model of the blurred cortex.

    Where cortex is thin, blur moves the half maximum outward by tenths of a millimetre; the fit of a blurred
    cortex of the bone's own density does not move (method ``constant-density``).

    Parameters
    ----------
    surface : Surface
        n points within about 2 mm of the periosteal surface.
    volume : Volume
        CT in HU.
    excluded : ndarray of bool of shape (n,)
        Points not to look at.

    Returns
    -------
    offset : ndarray of shape (n,)
        Depth of the edge below the surface in mm, negative outside it.
    sd : ndarray of shape (n,)
        Standard deviation of that by the noise of the CT, mm.
    found : ndarray of bool of shape (n,)
        Where there is an edge; elsewhere `offset` and `sd` are not-a-number.

    Raises
    ------
    MeasurementError
        If the surface lies outside the scan, or every point is excluded.
    """
    measured = measure_cortex(
        surface, volume, Calibration.none(), method="constant-density", excluded=excluded
    )
    found = measured.quality == Quality.GOOD
    if found.any():
        with np.errstate(invalid="ignore"):
            found &= measured.residual < _WORST_MISFIT * np.median(measured.residual[found])
    sd = np.hypot(measured.periosteal_offset_sd, _swallowed_sd(surface, volume, measured.thickness))
    offset, sd = (np.where(found, values, np.nan) for values in (measured.periosteal_offset, sd))
    return offset, sd, found


def _swallowed_sd(surface: Surface, volume: Volume, thickness: np.ndarray) -> np.ndarray:
    """Standard deviation (n,) in mm of an edge that lies with the whole cortex in one slice.

    A slice that swallows both edges tells the mass and not the place, which may be anywhere over a length;
    the noise does not show that. At the angle θ to the slices' normal, a slice of spacing Δ is seen at depths
    over Δ sin²θ / cos θ, out of Δ cos θ.
    """
    across = np.maximum(np.abs(surface.normals @ volume.slice_normal), 0.5)
    unseen = volume.spacing_mm[2] * (across - (1.0 - across**2) / across)
    return np.maximum(unseen - thickness, 0.0) / np.sqrt(12.0)

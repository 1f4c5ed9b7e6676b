"""The outer edge of the cortex for the segmentation, which does not know how the cortex is measured."""

from __future__ import annotations

import numpy as np

from ..calibration import Calibration
from ..cortex import measure_cortex
from ..measures import Quality
from ..surface import Surface
from ..volume import Volume


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
    return measured.periosteal_offset, measured.periosteal_offset_sd, found

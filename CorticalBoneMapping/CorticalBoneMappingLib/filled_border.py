"""What was written outside the field of view as if it were tissue, such as 0: marked as padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from .volume import Volume

PADDING_HU = -2000.0
"""What is written where there is no measurement; see `hu_checks.NO_VALUE_HU`."""

_AIR_HU = -900.0  # padding that is as dark as air is taken for air
# Of the outermost voxels, in squares of four alike: noise makes about a thousandth of whole numbers alike.
_LEAST_SHARE, _ONE_VALUE = 0.01, 0.8
_SOFT_HU, _LEAST_SOFT = (-200.0, 200.0), 0.05


def without_filled_border(volume: Volume) -> tuple[Volume, list[str]]:
    """Mark as padding what holds one value of no air, over and over, from the border of the image inward.

    Tissue has noise. Where all soft tissue has one value, as in a phantom made without noise, nothing is
    marked; nor where it is the lowest value, since then air was cut off.

    Parameters
    ----------
    volume : Volume
        CT in HU.

    Returns
    -------
    volume : Volume
        With -2000 HU there; the same voxels if there is nothing of the kind.
    warnings : list of str
        What was found.
    """
    value = _border_value(volume.array)
    if value is None:
        return volume, []
    equal = volume.array == value
    if value == volume.array.min():
        share = np.count_nonzero(equal) / equal.size
        return volume, [
            f"The values are cut off below {value:g} HU: {share:.1%} of the image hold exactly that."
        ]
    filled = ndimage.binary_erosion(equal, border_value=1)
    filled = ndimage.binary_dilation(filled, mask=equal)
    soft = (volume.array > _SOFT_HU[0]) & (volume.array < _SOFT_HU[1]) & ~filled
    if np.count_nonzero(soft) < _LEAST_SOFT * volume.array.size:
        return volume, []
    array = np.where(filled, np.float32(PADDING_HU), volume.array)
    return replace(volume, array=array), [
        f"{filled.mean():.1%} of the image, at its border, hold exactly {value:g} HU: filled in and not "
        "measured. They count as outside the field of view."
    ]


def _border_value(array: np.ndarray) -> float | None:
    """Give the value that squares of the outermost voxels share, if they share one of no air."""
    alike, size = [], 0
    for axis in range(3):
        for face in (np.take(array, end, axis=axis) for end in (0, -1)):
            first = face[:-1, :-1]
            same = (first == face[1:, :-1]) & (first == face[:-1, 1:]) & (first == face[1:, 1:])
            alike.append(first[same & (first > _AIR_HU)])
            size += first.size
    values = np.concatenate(alike)
    if len(values) < _LEAST_SHARE * size or not len(values):
        return None
    found, counts = np.unique(values, return_counts=True)
    most = int(counts.argmax())
    return float(found[most]) if counts[most] >= _ONE_VALUE * len(values) else None

"""Whether a volume is a CT that shows bone at all: what can be told in a second, before any search."""

from __future__ import annotations

import numpy as np

from ..errors import SegmentationError, VolumeError
from ..volume import Volume
from ..volume_checks import check_image

_NO_AIR_HU, _SOFT_HU, _BONE_HU = -300.0, (-150.0, 150.0), 250.0
# Of what is no air, fat and muscle are four fifths even where a scan is cropped to a hip; in MR with
# shifted values it was a sixth.
_LEAST_SOFT_SHARE = 0.5
_LEAST_BONE_CM3 = 5.0  # a femoral head has 40
_MOST_PROBED = 2_000_000


def check_ct(volume: Volume) -> None:
    """Refuse a volume in which no femur can be found whatever it shows.

    Parameters
    ----------
    volume : Volume
        From a file or from Slicer.

    Raises
    ------
    VolumeError
        If it has too few slices, values that are no numbers, one value only, or is no CT in HU.
    SegmentationError
        If there is no bone.
    """
    if volume.array.ndim != 3:
        raise VolumeError(f"{volume.source}: the image has {volume.array.ndim} dimensions instead of three.")
    check_image(volume)
    every = max(1, int(np.ceil((volume.array.size / _MOST_PROBED) ** (1.0 / 3.0))))
    values = volume.array[::every, ::every, ::every]
    body = values[values > _NO_AIR_HU]
    bone_cm3 = np.count_nonzero(body > _BONE_HU) * float(np.prod(volume.spacing_mm)) * every**3 / 1000.0
    soft = np.count_nonzero((body > _SOFT_HU[0]) & (body < _SOFT_HU[1]))
    if bone_cm3 < _LEAST_BONE_CM3:
        raise SegmentationError(
            f"{volume.source}: no hip was found: the scan shows {bone_cm3:.2g} cm³ of bone (above "
            f"{_BONE_HU:g} HU). Is it the right series?"
        )
    if soft < _LEAST_SOFT_SHARE * len(body):
        raise VolumeError(
            f"{volume.source}: only {soft / len(body):.0%} of what is no air has the HU of fat or muscle, so "
            "these are not the HU of a CT. Is it MR, or a CT without its rescale intercept?"
        )

"""Which axis of a volume runs across the slices: taken from the geometry, since files store any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .volume import Volume

_NEAR_ISOTROPIC = 1.05  # coarsest over finest spacing
_APART = 3.0  # so many times as far from the others as they are from each other


def slice_axis(ijk_to_ras: np.ndarray) -> int:
    """Find the slice axis of a grid.

    Pixels are square or nearly so: it is the coarsest spacing, or the finest if the two others are nearly
    equal; and where voxels are cubes, the axis nearest to superior–inferior.

    Parameters
    ----------
    ijk_to_ras : ndarray of shape (4, 4)
        From voxel index to RAS mm.

    Returns
    -------
    int
        0, 1 or 2: along i, j or k.
    """
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    if spacing.max() <= _NEAR_ISOTROPIC * spacing.min():
        return int(np.argmax(np.abs(ijk_to_ras[2, :3]) / spacing))
    order = np.argsort(spacing, kind="stable")
    finest, middle, coarsest = np.log(spacing[order])
    return int(order[0] if middle - finest > _APART * (coarsest - middle) else order[2])


def slices_along_k(volume: Volume) -> Volume:
    """Reorder the axes of a volume so that k runs across the slices.

    Rows and columns, too, come in the order of DICOM: i is the one nearest to R before A before S. No axis is
    turned round and no voxel is resampled; `as_stored` restores the order.

    Parameters
    ----------
    volume : Volume
        As a file stores it. A volume whose order is known (`Volume.stored_axes`) is left as it is.

    Returns
    -------
    Volume
    """
    if volume.stored_axes is not None:
        return volume
    across = slice_axis(volume.ijk_to_ras)
    cosines = np.abs(volume.ijk_to_ras[:3, :3]) / volume.spacing_mm
    in_plane = sorted({0, 1, 2} - {across}, key=lambda axis: (int(cosines[:, axis].argmax()), axis))
    return replace(_ordered(volume, (*in_plane, across)), stored_axes=(*in_plane, across))


def as_stored(volume: Volume) -> Volume:
    """Put the axes of a volume back into the order of the file that it, or its grid, came from."""
    if volume.stored_axes is None:
        return volume
    back = tuple(int(axis) for axis in np.argsort(volume.stored_axes))
    return replace(_ordered(volume, back), stored_axes=None)


def towards_lps(volume: Volume) -> Volume:
    """Turn axes round so that each runs to the left, posterior or superior, as most files have it; a view."""
    matrix, array = volume.ijk_to_ras.copy(), volume.array
    for axis in range(3):
        along = matrix[:3, axis]
        largest = int(np.abs(along).argmax())
        if along[largest] * (-1.0, -1.0, 1.0)[largest] < 0:
            matrix[:3, 3] += along * (array.shape[2 - axis] - 1)
            matrix[:3, axis] *= -1.0
            array = np.flip(array, 2 - axis)
    return replace(volume, array=array, ijk_to_ras=matrix)


def _ordered(volume: Volume, order: tuple[int, ...]) -> Volume:
    """Take the axes in an order: new axis n is the old ``order[n]``."""
    if order == (0, 1, 2):
        return volume
    array = volume.array.transpose([2 - axis for axis in order[::-1]])
    if array.strides != (0, 0, 0):  # without voxels there is nothing to lay out anew
        array = np.ascontiguousarray(array)
    return replace(volume, array=array, ijk_to_ras=volume.ijk_to_ras[:, [*order, 3]])

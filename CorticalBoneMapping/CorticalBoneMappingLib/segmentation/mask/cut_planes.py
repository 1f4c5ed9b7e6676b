"""Find where a bone was cut off: by the border of the scan, or flat across within it."""

from __future__ import annotations

import numpy as np

from ...core.volume import Volume

# By geometry: the last slice of a bone that ends by itself is at most 0.71 of the one before it (a cylinder
# seen from its side; a ball: 0.5), however thin the slices; that of a cut shaft is nearly as large.
_CUT_RATIO = 0.8


def cut_planes(mask: Volume, labelmap: Volume) -> list[tuple[np.ndarray, np.ndarray]]:
    """Find the planes at which a bone was cut.

    Parameters
    ----------
    mask : Volume
        Cropped to the bone, on the grid of `labelmap`.
    labelmap : Volume
        Whose border may have cut it.

    Returns
    -------
    list of (point, normal)
        A point of each plane in RAS mm (at the outer face of the last voxels), and its unit normal that
        points away from the bone.
    """
    start = np.round(labelmap.index_of(mask.ijk_to_ras[:3, 3])).astype(int)
    size, whole = np.array(mask.array.shape[::-1]), np.array(labelmap.array.shape[::-1])
    lengthwise = {2, int(np.argmax(np.abs(mask.ijk_to_ras[2, :3]) / mask.spacing_mm))}
    planes = []
    for axis in range(3):
        direction = mask.ijk_to_ras[:3, axis] / mask.spacing_mm[axis]
        sections = np.count_nonzero(np.moveaxis(mask.array, 2 - axis, 0), axis=(1, 2))
        for at_end in (False, True):
            border = start[axis] + size[axis] == whole[axis] if at_end else start[axis] == 0
            last, before = sections[[-1, -2]] if at_end else sections[[0, 1]]
            if border or (axis in lengthwise and last > _CUT_RATIO * before):
                index = (size - 1) / 2.0
                index[axis] = size[axis] - 0.5 if at_end else -0.5
                planes.append((mask.points_of(index), direction if at_end else -direction))
    return planes


def at_planes(
    points: np.ndarray, planes: list[tuple[np.ndarray, np.ndarray]], within_mm: float
) -> np.ndarray:
    """Mark points that lie within a distance of a plane, or beyond it.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        RAS mm.
    planes : list of (point, normal)
        As from `cut_planes`.
    within_mm : float
        Distance in mm.

    Returns
    -------
    ndarray of bool of shape (n,)
    """
    marked = np.zeros(len(points), dtype=bool)
    for place, normal in planes:
        marked |= (points - place) @ normal > -within_mm
    return marked

"""Find metal in a CT, and replace it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .volume import Volume

METAL_HU = 2800.0
"""Metal is above: no bone is as bright, not even with an edge-enhancing kernel. By hand; not tuned."""

CORTEX_BELOW_HU = 2600.0
"""Cortex to calibrate by is below: stricter than `METAL_HU`, against blooming. By hand; not tuned."""

_LEAST_CM3 = 0.03  # less is noise, or a speck of calcium
_BLOOMING_HU, _BLOOMING_MM = 1500.0, 6.0  # so near to metal, what is as bright is metal's blooming
_BLUR_MM = 2.0  # about both, tissue is brighter than it is
_FILL_MM = 1.5  # standard deviation by which what replaces metal is smoothed


def metal_in(volume: Volume) -> np.ndarray:
    """Mark the voxels of metal.

    Parameters
    ----------
    volume : Volume
        CT in HU.

    Returns
    -------
    ndarray of bool, shape of the volume's array
        Above `METAL_HU`, in pieces of at least 0.03 cm³.
    """
    metal = volume.array > METAL_HU
    if not metal.any():
        return metal
    numbers, _ = ndimage.label(metal)
    large = np.bincount(numbers.ravel()) * float(np.prod(volume.spacing_mm)) >= 1000.0 * _LEAST_CM3
    large[0] = False
    return large[numbers]


class WithoutMetal(NamedTuple):
    """A CT from which metal was taken away.

    Attributes
    ----------
    volume : Volume
        Metal and what it outshines are replaced by what lies beside them. Without metal, the CT itself.
    metal : Volume or None
        1 at what was replaced, 0 elsewhere, float32, in the box that holds it; None without metal.
    """

    volume: Volume
    metal: Volume | None

    def at(self, points: np.ndarray) -> np.ndarray:
        """Whether points (..., 3), RAS mm, lie where metal was; bool of shape (...)."""
        if self.metal is None:
            return np.zeros(points.shape[:-1], dtype=bool)
        return np.nan_to_num(self.metal.sample(points)) > 0.5


def without_metal(volume: Volume) -> WithoutMetal:
    """Replace metal, its blooming, and 2 mm (one voxel at least) about them, by what lies beside.

    No edge of bone is as steep as that of metal, which would draw every search for an edge to itself. What
    replaces it is the nearest other voxel, smoothed, so that it has no edge of its own.

    Parameters
    ----------
    volume : Volume
        CT in HU.

    Returns
    -------
    WithoutMetal
    """
    metal = metal_in(volume)
    if not metal.any():
        return WithoutMetal(volume, None)
    spacing = volume.spacing_mm[::-1]
    box = _box_of(metal, np.ceil((_BLOOMING_MM + _BLUR_MM + 3.0 * _FILL_MM) / spacing).astype(int))
    replaced = _outshone(volume.array[box], metal[box], spacing)
    nearest = ndimage.distance_transform_edt(
        replaced, sampling=spacing, return_distances=False, return_indices=True
    )
    array = volume.array.copy()
    filled = ndimage.gaussian_filter(array[box][tuple(nearest)], _FILL_MM / spacing)
    array[box] = np.where(replaced, filled, array[box])
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.points_of([part.start for part in box[::-1]])
    metal_there = replace(volume, array=replaced.astype(np.float32), ijk_to_ras=matrix)
    return WithoutMetal(replace(volume, array=array), metal_there)


def _outshone(hu: np.ndarray, metal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Mark metal and all whose HU it changes most, shape of `hu`; the spacing is along its axes."""
    bright = hu > _BLOOMING_HU
    bright &= ndimage.distance_transform_edt(~metal, sampling=spacing) <= _BLOOMING_MM
    # A voxel that is longer than the blur must not keep metal from its neighbour.
    steps = np.minimum(spacing, _BLUR_MM)
    return ndimage.distance_transform_edt(~(metal | bright), sampling=steps) <= _BLUR_MM


def _box_of(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    """The box of voxels about a mask that is not empty, with a margin (n_k, n_j, n_i)."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(part.start - more, 0), part.stop + more) for part, more in zip(box, margin))

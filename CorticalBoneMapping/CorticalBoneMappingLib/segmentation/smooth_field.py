"""From a binary mask to a smooth field whose zero level is the bone's surface."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# In voxels of the mask along each axis, chosen on balls and cylinders of 5–25 mm radius and voxels of
# 0.5 × 0.5 × 0.5 to 0.8 × 0.8 × 2.5 and 3 × 3 × 3 mm: the steps go, and the shape stays.
_SMOOTHING_VOXELS = 0.9
_BALANCE_VOXELS = 2.0
_BALANCE_ROUNDS = 3


def smooth_field(mask: np.ndarray, spacing_kji: np.ndarray, step_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Give a smooth signed distance that shows no steps of the voxels and keeps the local volume.

    Distances between voxel centres of both sides (shape-based interpolation: Raya and Udupa 1990) are
    interpolated on a finer grid and smoothed by a Gaussian of fourth order, 2G − G∘G, which unlike a
    plain one hardly moves curved surfaces inward (its second moment is zero). What shift remains is taken
    back where it is: locally, as much volume lies inside the surface as inside the mask.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_k, n_j, n_i)
        With a margin of at least two empty voxels on every side.
    spacing_kji : ndarray of shape (3,)
        Voxel spacing in mm, in the order of the mask's axes.
    step_mm : float
        Wanted spacing of the field's grid.

    Returns
    -------
    field : ndarray of float32
        In mm, positive inside; on a grid `factors` times finer than the mask's, with the same first voxel.
    factors : ndarray of int of shape (3,)
        Number of steps a voxel, axis by axis.
    """
    factors = np.maximum(1, np.ceil(spacing_kji / step_mm - 0.05)).astype(int)
    limit = 3.0 * float(spacing_kji.max())
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_kji)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing_kji)
    distance = np.clip(inside - outside, -limit, limit).astype(np.float32)
    field = _finer(distance, factors)
    field = _low_pass(field, _SMOOTHING_VOXELS * factors)
    centres = tuple(slice(None, None, factor) for factor in factors)
    width = float(spacing_kji.min())
    # A surface that is δ too far in lacks δ/(σ√2π) of occupancy at its place after smoothing with σ.
    gain = _BALANCE_VOXELS * width * np.sqrt(2.0 * np.pi)
    for _ in range(_BALANCE_ROUNDS):
        lack = mask - np.clip(0.5 + field[centres] / width, 0.0, 1.0)
        field += _finer(gain * ndimage.gaussian_filter(lack, _BALANCE_VOXELS), factors)
    return field, factors


def _finer(array: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Interpolate `factors` times finer; the first and last samples stay where they are."""
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        n = array.shape[axis]
        position = np.arange((n - 1) * factor + 1) / factor
        low = np.minimum(position.astype(int), n - 2)
        shape = [-1 if a == axis else 1 for a in range(3)]
        weight = (position - low).astype(np.float32).reshape(shape)
        array = np.take(array, low, axis) * (1 - weight) + np.take(array, low + 1, axis) * weight
    return array.astype(np.float32)


def _low_pass(field: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    once = ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=3.0)
    return 2.0 * once - ndimage.gaussian_filter(once, sigma, mode="nearest", truncate=3.0)

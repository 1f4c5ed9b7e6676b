"""Air, fat, muscle and dense cortex in a CT, and their HU: found by themselves, as modes, not as means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .volume import Volume

# Name -> (lowest HU, highest HU, half width of the mode in HU, least volume in cm³). Between 80 and 140 kVp.
_WINDOWS = {
    "air": (-1020.0, -900.0, 25.0, 1.0),
    "adipose": (-150.0, -50.0, 15.0, 3.0),
    "muscle": (-20.0, 110.0, 15.0, 5.0),
    "cortical bone": (700.0, 2600.0, 60.0, 0.2),
}
_SOFT_SMOOTHING_MM = 1.5
_MOST_VOXELS = 6_000_000  # of a large CT every second or third voxel is enough
_BONE_HU, _METAL_HU = 700.0, 2600.0
# Of the brightest bone: what is cortex, and what of it may be averaged. Dense spongiosa is neither.
_CORTEX_SHARE, _PLATEAU_SHARE = 0.6, 0.85
_METAL_MARGIN_MM = 30.0
# Cortex deeper than this is not lowered by the blur; a solid thicker than twice the other is no cortex.
_LEAST_DEPTH_MM, _MOST_DEPTH_MM = 2.0, 5.0
_MODE_HU = 3.0


@dataclass(frozen=True)
class TissueSample:
    """What one tissue measures in a CT.

    Attributes
    ----------
    name : str
        One of ``"air"``, ``"adipose"``, ``"muscle"``, ``"cortical bone"``.
    hu : float
        Mean about the mode.
    sd : float
        Of the voxels about the mode, after smoothing.
    volume_cm3 : float
        How much of it was found.
    """

    name: str
    hu: float
    sd: float
    volume_cm3: float


def find_tissues(volume: Volume) -> dict[str, TissueSample]:
    """Find the tissues to calibrate by.

    Air, fat and muscle are modes of the smoothed image where it is flat; padding (one value over and over,
    or below −1020 HU) is no air. Cortex is the brightest bone at least 2 mm from its edges within the slice,
    where the blur of a CT no longer lowers it; rods of a phantom, thicker than any cortex, and slices
    within 30 mm of metal are left out.

    Parameters
    ----------
    volume : Volume
        The CT in HU.

    Returns
    -------
    dict of str to TissueSample
        Those of which there is enough.
    """
    found = {"air": _sample("air", _thinned(volume), volume)}
    soft = _flat(volume)
    found |= {name: _sample(name, soft, volume) for name in ("adipose", "muscle")}
    found["cortical bone"] = _sample("cortical bone", (_deep_cortex(volume), 1), volume)
    return {name: sample for name, sample in found.items() if sample is not None}


def _sample(name: str, values: tuple[np.ndarray, int], volume: Volume) -> TissueSample | None:
    """Mean about the mode of voxels; `values` are some HU and how many voxels each stands for."""
    hu, every = values
    low, high, width, least = _WINDOWS[name]
    hu = hu[(hu > low) & (hu < high)]
    per_value = every * float(np.prod(volume.spacing_mm)) / 1000.0
    if len(hu) * per_value < least or len(hu) < 20:
        return None
    counts, edges = np.histogram(hu, bins=int(high - low), range=(low, high))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), max(_MODE_HU, width / 4))
    peak = int(smooth.argmax())
    if peak in (0, len(counts) - 1):
        return None  # the flank of something else
    mode = 0.5 * (edges[peak] + edges[peak + 1])
    for _ in range(10):  # the mean of a window that is centred on it
        near = hu[np.abs(hu - mode) <= width]
        mode = float(near.mean())
    return TissueSample(name, mode, float(near.std()), len(near) * per_value)


def _thinned(volume: Volume) -> tuple[np.ndarray, int]:
    """HU of evenly spread voxels without padding, and how many each stands for."""
    step = int(np.ceil((volume.array.size / _MOST_VOXELS) ** 0.5))
    hu = volume.array[:, ::step, ::step].ravel()
    lowest = hu.min()
    return hu[hu > lowest] if np.mean(hu == lowest) > 0.02 else hu, step**2


def _flat(volume: Volume) -> tuple[np.ndarray, int]:
    """Smoothed HU away from edges: where a wide and a narrow smoothing agree."""
    step = max(1, round(1.0 / volume.spacing_mm[0])) if volume.array.size > _MOST_VOXELS else 1
    array, spacing = volume.array[:, ::step, ::step], volume.spacing_mm * [step, step, 1]
    clipped = np.clip(array, -400.0, 600.0)
    sigma = _SOFT_SMOOTHING_MM / spacing[::-1]
    narrow = ndimage.gaussian_filter(clipped, sigma, truncate=3.0)
    wide = ndimage.gaussian_filter(narrow, 1.5 * sigma, truncate=3.0)
    return narrow[np.abs(narrow - wide) < 8.0], step**2


def _deep_cortex(volume: Volume) -> np.ndarray:
    """HU of bone at least 2 mm from its edges within the slice."""
    array, spacing = volume.array, volume.spacing_mm
    free = ~_near_metal(volume)
    bone = (array > _BONE_HU) & free[:, None, None]
    if not bone.any():
        return np.zeros(0)
    level = float(np.percentile(array[bone], 99))
    bone &= array > _CORTEX_SHARE * level
    in_slice = np.zeros((3, 3, 3), dtype=int)
    in_slice[1] = 1
    pieces, count = ndimage.label(bone, structure=in_slice)
    depth = np.zeros(array.shape, dtype=np.float32)
    for k in np.flatnonzero(bone.any(axis=(1, 2))):
        depth[k] = ndimage.distance_transform_edt(bone[k], sampling=spacing[1::-1])
    deepest = ndimage.maximum(depth, pieces, np.arange(count + 1))
    cortex = (depth >= _LEAST_DEPTH_MM) & (deepest[pieces] <= _MOST_DEPTH_MM)
    return array[cortex & (array > _PLATEAU_SHARE * level)]


def _near_metal(volume: Volume) -> np.ndarray:
    """Which slices (bool) hold metal or lie within 30 mm of it."""
    metal = (volume.array > _METAL_HU).sum(axis=(1, 2)) * np.prod(volume.spacing_mm) > 5.0
    reach = int(np.ceil(_METAL_MARGIN_MM / volume.spacing_mm[2]))
    return ndimage.binary_dilation(metal, iterations=reach) if metal.any() else metal

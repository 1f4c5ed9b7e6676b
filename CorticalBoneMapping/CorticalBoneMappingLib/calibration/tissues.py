"""Find air, fat, muscle and dense cortex in a CT, and their HU, as modes instead of means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..core.metal import CORTEX_BELOW_HU
from ..core.volume import Volume

# Chosen by hand, not tuned, for 80 to 140 kVp.
# Name -> (lowest HU, highest HU, half width of the mode in HU, least volume in cm³).
_WINDOWS = {
    "air": (-1020.0, -900.0, 25.0, 1.0),
    "adipose": (-150.0, -50.0, 15.0, 3.0),
    "muscle": (-20.0, 110.0, 15.0, 5.0),
    "cortical bone": (700.0, CORTEX_BELOW_HU, 60.0, 0.2),
}
_SLAB_MM, _SOFT_SMOOTHING_MM, _FLAT_HU = 3.0, 1.5, 8.0
_MOST_VOXELS, _MOST_SLICES = 6_000_000, 60  # of a large CT, spread evenly, is enough
_BONE_HU = 700.0
# Of the brightest bone: what is cortex, and what of it may be averaged. Dense spongiosa is neither.
_CORTEX_SHARE, _PLATEAU_SHARE = 0.6, 0.85
_METAL_MARGIN_MM = 30.0
# Cortex deeper than this is not lowered by the blur; a solid deeper than the second is not cortex.
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
    or below −1020 HU) is not air. Cortex is the brightest bone at least 2 mm from its edges within the slice,
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
    found["cortical bone"] = _sample("cortical bone", _deep_cortex(volume), volume)
    return {name: sample for name, sample in found.items() if sample is not None}


def _sample(name: str, values: tuple[np.ndarray, float], volume: Volume) -> TissueSample | None:
    """Mean about the mode of voxels; `values` are some HU and how many voxels each represents."""
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


def _thinned(volume: Volume) -> tuple[np.ndarray, float]:
    """HU of evenly spread voxels without padding, and how many each represents."""
    step = int(np.ceil((volume.array.size / _MOST_VOXELS) ** 0.5))
    hu = volume.array[:, ::step, ::step].ravel()
    lowest = hu.min()
    return hu[hu > lowest] if np.mean(hu == lowest) > 0.02 else hu, step**2


def _flat(volume: Volume) -> tuple[np.ndarray, float]:
    """Smoothed HU of slabs of 3 mm away from edges: where a wide and a narrow smoothing agree."""
    slices = int(np.clip(round(_SLAB_MM / volume.spacing_mm[2]), 1, len(volume.array)))
    sigma = _SOFT_SMOOTHING_MM / volume.spacing_mm[1::-1]
    starts = _spread(len(volume.array) - slices + 1)
    values = []
    for start in starts:
        slab = np.clip(volume.array[start : start + slices], -400.0, 600.0).mean(axis=0)
        narrow = ndimage.gaussian_filter(slab, sigma, truncate=3.0)
        wide = ndimage.gaussian_filter(narrow, 1.5 * sigma, truncate=3.0)
        values.append(narrow[np.abs(narrow - wide) < _FLAT_HU])
    return np.concatenate(values), len(volume.array) / len(starts)


def _deep_cortex(volume: Volume) -> tuple[np.ndarray, float]:
    """HU of bone at least 2 mm from its edges within the slice, and how many voxels each represents."""
    free = np.flatnonzero(~_near_metal(volume))
    if not len(free):
        return np.zeros(0), 1.0
    chosen = free[_spread(len(free))]
    bone = [image[image > _BONE_HU] for image in volume.array[chosen]]
    if not sum(map(len, bone)):
        return np.zeros(0), 1.0
    level = float(np.percentile(np.concatenate(bone), 99))
    values = [_plateau(volume.array[k], level, volume.spacing_mm[1::-1]) for k in chosen]
    return np.concatenate(values), len(free) / len(chosen)


def _plateau(image: np.ndarray, level: float, spacing: np.ndarray) -> np.ndarray:
    """HU in the middle of thick cortex in one slice; `level` is the brightest bone's."""
    bright = image > max(_BONE_HU, _CORTEX_SHARE * level)
    if not bright.any():
        return np.zeros(0, dtype=image.dtype)
    box = ndimage.find_objects(ndimage.binary_dilation(bright).astype(np.int8))[0]
    image, bright = image[box], bright[box]
    pieces, count = ndimage.label(bright)
    depth = ndimage.distance_transform_edt(pieces > 0, sampling=spacing)
    deepest = ndimage.maximum(depth, pieces, np.arange(count + 1))
    cortex = (depth >= _LEAST_DEPTH_MM) & (deepest[pieces] <= _MOST_DEPTH_MM)
    return image[cortex & (image > _PLATEAU_SHARE * level)]


def _spread(count: int) -> np.ndarray:
    """Indices of at most 60 of `count` things, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_SLICES)).astype(int))


def _near_metal(volume: Volume) -> np.ndarray:
    """Which slices (bool) hold metal or lie within 30 mm of it."""
    metal = (volume.array > CORTEX_BELOW_HU).sum(axis=(1, 2)) * np.prod(volume.spacing_mm) > 5.0
    reach = int(np.ceil(_METAL_MARGIN_MM / volume.spacing_mm[2]))
    return ndimage.binary_dilation(metal, iterations=reach) if metal.any() else metal

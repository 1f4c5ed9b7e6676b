"""Check that the values of an image are the HU of a CT, by the values themselves.

In HU, air is near -1000, fat near -100, muscle near 50, and only bone and metal are above 250, over a wide
range. Values that were shifted, inverted or cut off break one of these.
"""

from __future__ import annotations

import numpy as np

from ..core.errors import VolumeError
from ..core.metal import METAL_HU
from ..core.surface import Surface
from ..core.volume import Volume

NO_VALUE_HU = -1500.0
"""Below it a voxel holds no measurement but padding: around a field of view -2000 or less is written."""

# Fat is near -100 HU and in every hip; a CT cropped to the pelvis has it even where it has no air.
_FAT_IS_BELOW_HU = -20.0
_LEAST_RANGE_HU = 100.0
_MOST_PROBED, _FEWEST_PROBED, _FEWEST_CUT = 2_000_000, 5000, 50

# What is too bright for soft tissue. Of it, one range of 300 HU holds 0.24 to 0.30 in hips (the simulated one
# of seed 5, in the body, in water and in air, and two real scans), 0.66 in a bare shaft, and 0.73 to 1.00 in
# their shifted or inverted forms, which have no air at its HU, and a tenth of the image or more so bright. A
# form that has neither (the femur in air, + 1024) is known by what is in and around the bone.
_BRIGHT_HU, _PEAK_FROM_HU, _PEAK_HU, _BIN_HU = 250.0, 450.0, 300.0, 25.0
_PEAK_SHARE, _BRIGHT_SHARE = 0.7, 0.1
_AIR_HU, _AIR_SHARE = (-1100.0, -850.0), 0.05
# Between air and fat there is lung at most, its darkest part left out; with half the slope, air is there.
_EMPTY_HU, _EMPTY_PEAK_HU, _EMPTY_SHARE = (-700.0, -250.0), 150.0, 0.1

# The largest value occurs once or a few times. Cut off at 1000 HU, it was 27 to 67 % of what is above 700.
_CUT_FROM, _CUT_SHARE = 0.7, 0.002
_SOFT_HU, _ONE_VALUE = (-200.0, 200.0), 0.5
_NO_BONE_ABOVE_HU = 1900.0

# Depths below a bone's surface in mm: well outside it, and where its cortex is.
_OUTSIDE_MM, _CORTEX_MM = (-8.0, -3.0), (-1.5, 6.0)
_STEP_MM, _MOST_POINTS = 0.5, 4000
_OUTSIDE_HU = (-250.0, 300.0)  # fat, muscle, water, another bone; or air
_LEAST_BONE_HU = 150.0
_INSIDE_HU = (-200.0, 900.0)  # of the middle of bone: from fatty marrow to the densest young bone


def check_hu(volume: Volume) -> list[str]:
    """Refuse values that are not HU. Metal, padding and values beyond the scanner's range are allowed.

    Parameters
    ----------
    volume : Volume
        Should be a CT.

    Returns
    -------
    list of str
        A warning where values are cut off above those of bone.

    Raises
    ------
    VolumeError
        If voxels are not finite or all alike; if fat or air is missing, or soft tissue lies among the values
        of bone; or if the values of bone are cut off.
    """
    low, high = float(volume.array.min()), float(volume.array.max())  # both not-a-number if any voxel is
    source = volume.source
    if not (np.isfinite(low) and np.isfinite(high)):
        refuse_missing(source, int(np.count_nonzero(~np.isfinite(volume.array))), volume.array.size)
    if low == high:
        raise VolumeError(f"{source}: every voxel has the same value ({low:g}); the image is empty.")
    check_modality(volume)
    every = max(1, int(np.ceil((volume.array.size / _MOST_PROBED) ** (1.0 / 3.0))))
    values = volume.array[::every, ::every, ::every]
    values = values[values > NO_VALUE_HU]
    low = float(values.min(initial=high))
    unknown, enough = volume.modality is None, len(values) >= _FEWEST_PROBED
    without_fat = low >= _FAT_IS_BELOW_HU and (unknown or enough)
    if without_fat or (unknown and high - low < _LEAST_RANGE_HU):
        raise VolumeError(
            f"{source}: the values ({low:g} to {high:g}) are not the HU of a CT: fat is near -100 HU and "
            "air near -1000. Is it MR, or a CT without its rescale intercept?"
        )
    if enough:
        _check_air(values, source)
        _check_soft_tissue(values, source)
    return [] if _is_drawn(values) else _check_cut_off(volume.array, high, source)


def check_modality(volume: Volume) -> None:
    """Refuse what is known to be no CT."""
    if volume.modality not in (None, "CT"):
        raise VolumeError(f"{volume.source}: the image is {volume.modality}, not CT; HU are needed.")


def refuse_missing(source: str, count: int, voxels: int) -> None:
    """Refuse `count` voxels of an image that hold no number."""
    raise VolumeError(
        f"{source}: {count} voxels are not finite numbers ({count / voxels:.1%}). Outside the field of view "
        "write -2000 HU instead, which is never measured."
    )


def check_around_bone(volume: Volume, surface: Surface) -> list[str]:
    """Refuse values that are not HU, by what lies in and around a bone whose place is known.

    Parameters
    ----------
    volume : Volume
        The CT.
    surface : Surface
        Of the bone, outward.

    Returns
    -------
    list of str
        A warning where the bone lies in air: what adheres to it is then taken for cortex.

    Raises
    ------
    VolumeError
        If around the bone there is neither soft tissue nor air, if its inside is brighter than any bone or
        darker than fat, if its surface is not brighter than muscle, or it is darker than what is around it.
    """
    some = slice(None, None, max(1, len(surface.points) // _MOST_POINTS))
    points, normals = surface.points[some], surface.normals[some]
    around = _below(points, normals, volume, *_OUTSIDE_MM)
    inside = _below(points, normals, volume, *_CORTEX_MM)
    seen = np.isfinite(around).all(axis=1) & np.isfinite(inside).all(axis=1)
    if not seen.any():
        return []  # what lies at the border of the scan shows nothing
    around, inside = around[seen], inside[seen]
    outside = float(np.median(around))
    middle = float(np.median(inside[inside < METAL_HU])) if np.any(inside < METAL_HU) else outside
    beside = np.median(around, axis=1)
    brighter = float(np.median(inside.max(axis=1) - beside))
    darker = float(np.median(beside - inside.min(axis=1)))
    if not (_OUTSIDE_HU[0] < outside < _OUTSIDE_HU[1] or outside < _EMPTY_HU[0]):
        what = f"around the bone the values are near {outside:.0f}; soft tissue has -150 to 150 HU, air -1000"
    elif not _INSIDE_HU[0] < middle < _INSIDE_HU[1]:
        what = f"inside the bone the values are near {middle:.0f}; bone and marrow have -100 to 800 HU"
    elif float(np.median(inside.max(axis=1))) < _LEAST_BONE_HU:
        what = f"at the bone's surface there is nothing above {inside.max():.0f}; cortex has 300 to 2000 HU"
    elif darker > brighter:
        what = f"the bone is darker than what is around it (by {darker:.0f}), as in inverted grey"
    elif outside < _EMPTY_HU[0]:
        return [
            "The bone lies in air: soft tissue that adheres to it is taken for cortex, which then looks "
            "thicker and less dense. Scan it in water."
        ]
    else:
        return []
    raise VolumeError(
        f"{volume.source}: the values are not the HU of a CT: {what}. Was the rescale slope or intercept "
        "lost? Export the scan in HU."
    )


def _below(
    points: np.ndarray, normals: np.ndarray, volume: Volume, first_mm: float, last_mm: float
) -> np.ndarray:
    """HU at depths below n points, shape (n, m); not-a-number outside the scan."""
    depth = np.arange(first_mm, last_mm + 1e-6, _STEP_MM)
    values = volume.sample(points[:, None] - depth[:, None] * normals[:, None])
    return np.where(values > NO_VALUE_HU, values, np.nan)


def _check_air(values: np.ndarray, source: str) -> None:
    """Refuse values of which many are alike and lie where neither air nor tissue is."""
    count, first = _crowded(values[values > values.min()], _EMPTY_HU, _EMPTY_PEAK_HU)
    if count > _EMPTY_SHARE * len(values):
        raise VolumeError(
            f"{source}: the values are not the HU of a CT: {count / len(values):.0%} of the image lies "
            f"between {first:.0f} and {first + _EMPTY_PEAK_HU:.0f}, where neither air (-1000) nor fat (-100) "
            "is. Was the rescale slope or intercept lost?"
        )


def _crowded(values: np.ndarray, limits: tuple[float, float], width: float) -> tuple[int, float]:
    """Give how many values the fullest range of a width within limits holds, and where it begins."""
    counts, edges = np.histogram(values, np.arange(limits[0], limits[1] + 1.0, _BIN_HU))
    within = np.convolve(counts, np.ones(round(width / _BIN_HU), dtype=int), "valid")
    return int(within.max()), float(edges[within.argmax()])


def _check_soft_tissue(values: np.ndarray, source: str) -> None:
    """Refuse values of which those of bone are crowded as only those of soft tissue or air are."""
    bright = values[(values > _BRIGHT_HU) & (values < METAL_HU)]
    air = np.count_nonzero((values > _AIR_HU[0]) & (values < _AIR_HU[1]))
    if len(bright) < _BRIGHT_SHARE * len(values) or air > _AIR_SHARE * len(values):
        return
    count, first = _crowded(bright, (_PEAK_FROM_HU, METAL_HU), _PEAK_HU)
    if count > _PEAK_SHARE * len(bright):
        raise VolumeError(
            f"{source}: the values are not the HU of a CT: {count / len(values):.0%} of the image lies "
            f"between {first:.0f} and {first + _PEAK_HU:.0f}, as close together as only air, fat or muscle "
            "are (-1000, -100 and 50 HU). Is the rescale intercept missing, or the grey inverted?"
        )


def _is_drawn(values: np.ndarray) -> bool:
    """Whether soft tissue has one value: an image without noise was not measured, and may end anywhere."""
    soft = values[(values > _SOFT_HU[0]) & (values < _SOFT_HU[1])]
    return len(soft) > 0 and np.unique(soft, return_counts=True)[1].max() > _ONE_VALUE * len(soft)


def _check_cut_off(array: np.ndarray, high: float, source: str) -> list[str]:
    """Refuse values of bone that are cut off at the largest; warn where it is above those of bone."""
    count = int(np.count_nonzero(array == high))
    if count < _FEWEST_CUT or high >= METAL_HU or high < _LEAST_BONE_HU:
        return []
    if count < _CUT_SHARE * np.count_nonzero(array > _CUT_FROM * high):
        return []
    what = f"he values are cut off at {high:g} HU: {count} voxels hold exactly that"
    if high < _NO_BONE_ABOVE_HU:
        raise VolumeError(
            f"{source}: t{what}, so thickness and density of the cortex are lost. Export the whole range."
        )
    return [f"T{what}. If they are bone and not metal, its density is too low."]

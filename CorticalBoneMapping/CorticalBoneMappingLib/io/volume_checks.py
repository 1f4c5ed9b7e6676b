"""Check a CT and a label map before anything is measured: grid, values, place, and that bone is visible.

Values that a converter wrote outside the field of view, such as 0, are marked as padding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ..core.errors import SegmentationError, VolumeError
from ..core.machine_memory import available_memory
from ..core.volume import Volume
from .dicom_series import MINIMUM_SLICES
from .hu_checks import check_hu

# A slice of 5 mm is the thickest of a hip; in coarser voxels no cortex is seen.
_SPACING_BOUNDS_MM = (0.05, 5.0)
_ROUNDING_MM = 0.01
# Scanners reconstruct fields of up to 0.8 m, over at most the length of a body.
_LARGEST_MM = (1000.0, 1000.0, 2500.0)
# Measured: reading holds the voxels twice as float32; the search for hips takes 57 bytes a cell of 8 mm³.
_BYTES_PER_VOXEL, _BYTES_PER_MM3 = 9, 8


def check_image(volume: Volume) -> Volume:
    """Check a CT, whatever it was read from.

    Parameters
    ----------
    volume : Volume
        Should hold HU.

    Returns
    -------
    Volume
        The CT, what was filled in at its border marked as padding, and with warnings about its values.

    Raises
    ------
    VolumeError
        If the voxels are not a regular three-dimensional grid, or the values are not the HU of a CT.
    """
    check_grid(volume)
    volume, warnings = without_filled_border(volume)
    warnings += check_hu(volume)
    return replace(volume, warnings=tuple(dict.fromkeys([*volume.warnings, *warnings])))


def check_overlap(volume: Volume, labelmap: Volume, label: int | None = None) -> float:
    """Check that a label map and a CT show the same place; their grids may differ.

    Parameters
    ----------
    volume : Volume
        The CT.
    labelmap : Volume
        The label map.
    label : int, optional
        The label that counts; otherwise every label.

    Returns
    -------
    float
        Fraction of the labelled voxels whose centres lie in the CT, above 0.

    Raises
    ------
    VolumeError
        If the label does not occur, or none of its voxels lie in the CT.
    """
    chosen = labelmap.array > 0 if label is None else labelmap.array == label
    index = np.argwhere(chosen)[:, ::-1]
    if not len(index):
        present = ", ".join(str(value) for value in np.unique(labelmap.array) if value)
        raise VolumeError(
            f"{labelmap.source}: label {label} is missing; present: {present}."
            if present
            else f"{labelmap.source}: nothing is labelled."
        )
    points = labelmap.points_of(index)
    in_volume = volume.index_of(points)
    size = np.array(volume.array.shape[::-1])
    fraction = float(np.mean(np.all((in_volume >= -0.5) & (in_volume <= size - 0.5), axis=1)))
    if fraction == 0:
        corners = volume.points_of(np.indices((2, 2, 2)).reshape(3, -1).T * (size - 1))
        raise VolumeError(
            f"{labelmap.source}: the label map and the CT show different places. The label lies at "
            f"{_box(points)}, the CT at {_box(corners)}. Was the label drawn on another scan?"
        )
    return fraction


def _box(points: np.ndarray) -> str:
    """Say the extent of points in RAS mm."""
    low, high = points.min(axis=0), points.max(axis=0)
    return ", ".join(f"{axis} {a:.0f} to {b:.0f}" for axis, a, b in zip("RAS", low, high)) + " mm"


def check_grid(volume: Volume) -> None:
    """Refuse too few voxels, an impossible spacing or size, and axes that are not at right angles."""
    shape = volume.array.shape[::-1]
    if min(shape) < MINIMUM_SLICES:
        raise VolumeError(
            f"{volume.source}: the image has {shape[0]} × {shape[1]} × {shape[2]} voxels; "
            f"at least {MINIMUM_SLICES} are needed each way."
        )
    low, high = _SPACING_BOUNDS_MM
    spacing = volume.spacing_mm
    known = np.all(np.isfinite(volume.ijk_to_ras))
    if not known or not np.all((spacing >= low) & (spacing <= high + _ROUNDING_MM)):
        shown = " × ".join(f"{value:.4g}" for value in spacing)
        raise VolumeError(
            f"{volume.source}: the voxel spacing is {shown} mm; {low} to {high} mm is expected, and coarser "
            "voxels cannot show a cortex. Are the units millimetres?"
        )
    size = spacing * shape
    if np.any(np.sort(size) > _LARGEST_MM):
        raise VolumeError(
            f"{volume.source}: the image is {' × '.join(f'{value / 1000:.2f}' for value in size)} m in size, "
            "larger than a CT can be. Are the units millimetres?"
        )
    check_right_angles(volume.ijk_to_ras[:3, :3] / spacing, volume.source)


def check_memory(volume: Volume) -> None:
    """Refuse a scan that needs more memory than is free, before it is taken; voxels are not looked at."""
    voxels, size_mm3 = volume.array.size, float(volume.array.size * np.prod(volume.spacing_mm))
    needed, free = _BYTES_PER_VOXEL * voxels + _BYTES_PER_MM3 * size_mm3, available_memory()
    if free is not None and needed > free:
        raise VolumeError(
            f"{volume.source}: a scan of {voxels / 1e6:.0f} million voxels and {size_mm3 / 1e6:.0f} litres "
            f"needs about {needed / 2**30:.1f} GB of memory; {free / 2**30:.1f} GB are free. Crop it to the "
            "hips, or close other programs."
        )


def check_right_angles(directions: np.ndarray, source: str) -> None:
    """Refuse axes that are more than 0.1° off a right angle: half a pixel over 400 mm."""
    between = directions.T @ directions
    worst = float(np.abs(between - np.diag(np.diag(between))).max())
    if not worst <= np.sin(np.radians(0.1)):
        raise VolumeError(not_right_angled(source, f" (off by {np.degrees(np.arcsin(min(worst, 1))):.1f}°)"))


def not_right_angled(source: str, by: str = "") -> str:
    """Say that axes are not at right angles, and what to do."""
    return (
        f"{source}: the voxel axes are not at right angles{by}, as after a tilted gantry or an affine "
        "registration. Resample the image to a rectangular grid first, for example with Slicer's "
        "'Resample Scalar/Vector/DWI Volume'."
    )


_NO_AIR_HU, _SOFT_HU, _BONE_HU = -300.0, (-150.0, 150.0), 250.0
# Fat and muscle are four fifths of what is not air, even where a scan is cropped to a hip; in MR with
# shifted values it was a sixth. A bone alone in air has marrow only: 36 to 47 % in simulated ones.
_LEAST_SOFT_SHARE, _LEAST_SOFT_SHARE_IN_AIR = 0.5, 0.25
_ALONE = 0.5  # of the voxels: with less tissue than that, a bone may lie alone
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
        If it has too few slices, values that are not numbers, one value only, or is not a CT in HU.
    SegmentationError
        If no bone is visible.
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
    least = _LEAST_SOFT_SHARE_IN_AIR if len(body) < _ALONE * values.size else _LEAST_SOFT_SHARE
    if soft < least * len(body):
        raise VolumeError(
            f"{volume.source}: only {soft / len(body):.0%} of what is not air has the HU of fat or muscle, "
            "so these are not the HU of a CT. Is it MR, or a CT without its rescale intercept?"
        )


PADDING_HU = -2000.0
"""What is written outside the measured field; see `hu_checks.NO_VALUE_HU`."""

_AIR_HU = -900.0  # padding that is as dark as air is taken for air
# Of the outermost voxels, in squares of four alike: noise makes about a thousandth of whole numbers alike.
_LEAST_SHARE, _ONE_VALUE = 0.01, 0.8
_SOFT_TISSUE_HU, _LEAST_SOFT = (-200.0, 200.0), 0.05


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
    soft = (volume.array > _SOFT_TISSUE_HU[0]) & (volume.array < _SOFT_TISSUE_HU[1]) & ~filled
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

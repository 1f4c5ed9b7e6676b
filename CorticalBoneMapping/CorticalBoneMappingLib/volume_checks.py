"""What a CT and a label map have to be before anything is measured: grid, values, place."""

from __future__ import annotations

import numpy as np

from .dicom_series import MINIMUM_SLICES
from .errors import VolumeError
from .volume import Volume

_SPACING_BOUNDS_MM = (0.05, 10.0)
# Fat is near -100 HU and in every hip; a CT cropped to the pelvis has it even where it has no air.
_FAT_IS_BELOW_HU = -20.0
_LEAST_RANGE_HU = 100.0


def check_image(volume: Volume) -> None:
    """Check a CT that was not read by `read_volume`, such as one that Slicer holds.

    Parameters
    ----------
    volume : Volume
        Should hold HU.

    Raises
    ------
    VolumeError
        If the voxels are not a regular three-dimensional grid, or the values cannot be the HU of a CT.
    """
    check_grid(volume)
    check_hu(volume)


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
            f"{labelmap.source}: there is no label {label}; present: {present}."
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
    """Refuse too few voxels, a spacing that cannot be, and axes that are not at right angles."""
    shape = volume.array.shape[::-1]
    if min(shape) < MINIMUM_SLICES:
        raise VolumeError(
            f"{volume.source}: the image has {shape[0]} × {shape[1]} × {shape[2]} voxels; "
            f"at least {MINIMUM_SLICES} are needed each way."
        )
    low, high = _SPACING_BOUNDS_MM
    spacing = volume.spacing_mm
    if not np.all((spacing >= low) & (spacing <= high)) or not np.all(np.isfinite(volume.ijk_to_ras)):
        shown = " × ".join(f"{value:.4g}" for value in spacing)
        raise VolumeError(
            f"{volume.source}: the voxel spacing is {shown} mm, which cannot be; between {low} and {high} mm "
            "is expected. Are the units millimetres?"
        )
    check_right_angles(volume.ijk_to_ras[:3, :3] / spacing, volume.source)


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


def check_hu(volume: Volume) -> None:
    """Refuse values that cannot be HU. Metal and values beyond the scanner's range are allowed."""
    low, high = float(volume.array.min()), float(volume.array.max())  # both not-a-number if any voxel is
    source = volume.source
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int(np.count_nonzero(~np.isfinite(volume.array)))
        raise VolumeError(f"{source}: {count} voxels are not finite numbers.")
    if low == high:
        raise VolumeError(f"{source}: every voxel has the same value ({low:g}); the image is empty.")
    check_modality(volume)
    if volume.modality is None and (low >= _FAT_IS_BELOW_HU or high - low < _LEAST_RANGE_HU):
        raise VolumeError(
            f"{source}: the values ({low:g} to {high:g}) cannot be the HU of a CT: fat is near -100 HU and "
            "air near -1000. Is it MR, or a CT without its rescale intercept?"
        )


def check_modality(volume: Volume) -> None:
    """Refuse what is known to be no CT."""
    if volume.modality not in (None, "CT"):
        raise VolumeError(f"{volume.source}: the image is {volume.modality}, not CT; HU are needed.")

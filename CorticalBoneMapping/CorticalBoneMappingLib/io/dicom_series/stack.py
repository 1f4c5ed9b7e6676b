"""Slices that lie one above the other: which of a series do, and whether they are a regular grid.

The series readers of ITK take the slice spacing from the first two slices and go on when a slice is
missing or the gantry was tilted; here every slice's own position is read and checked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.errors import VolumeError
from .headers import Slice, Tag, some

MINIMUM_SLICES = 3
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def one_stack(slices: list[Slice], folder: Path) -> tuple[list[Slice], list[str]]:
    """Leave out scouts that some scanners keep in the series; refuse a series of several stacks.

    Returns
    -------
    stack : list of Slice
    warnings : list of str
        Of slices that were left out though they have the stack's direction.
    """
    stacks: list[list[Slice]] = []
    for each in slices:
        stack = next((s for s in stacks if _is_alike(each, s[0])), None)
        if stack is None:
            stacks.append(stack := [])
        stack.append(each)
    stacks.sort(key=len, reverse=True)
    if len(stacks) > 1 and len(stacks[1]) >= MINIMUM_SLICES:
        counts = " and ".join(str(len(stack)) for stack in stacks)
        raise VolumeError(
            f"{folder}: the series mixes images of different direction, size or pixel spacing "
            f"({counts} slices). Keep only one kind in the folder."
        )
    if len(stacks[0]) < MINIMUM_SLICES:
        raise VolumeError(
            f"{folder}: the CT series has only {len(stacks[0])} slice(s); "
            f"at least {MINIMUM_SLICES} are needed."
        )
    left = [each.path.name for s in stacks[1:] for each in s if _is_parallel(each, stacks[0][0])]
    if not left:
        return stacks[0], []
    return stacks[0], [f"Slices of another size or pixel spacing than the rest were left out: {some(left)}."]


def _is_alike(one: Slice, other: Slice) -> bool:
    is_same_grid = one.size == other.size and np.allclose(one.pixel_spacing, other.pixel_spacing, rtol=1e-3)
    return is_same_grid and _is_parallel(one, other)


def _is_parallel(one: Slice, other: Slice) -> bool:
    return np.allclose(one.orientation, other.orientation, atol=2e-3)


def normal_of(each: Slice) -> np.ndarray:
    """Give the direction across a slice, row × column, LPS, shape (3,)."""
    return np.cross(each.orientation[:3], each.orientation[3:])


def grid_of(slices: list[Slice], folder: Path, hint: str) -> np.ndarray:
    """Check the places of the sorted slices; return the matrix from voxel index to RAS, shape (4, 4)."""
    row, column = np.mean([each.orientation.reshape(2, 3) for each in slices], axis=0)
    normal = np.cross(row, column)
    size = np.linalg.norm([row, column, normal], axis=1)
    if not np.allclose(size, 1.0, atol=0.01) or abs(row @ column) > 0.01:
        raise VolumeError(f"{folder}: the image directions are not at right angles; the series is damaged.")
    normal /= size[2]
    row /= size[0]
    column = np.cross(normal, row)
    positions = np.array([each.position for each in slices])
    heights = positions @ normal
    _check_heights(heights, slices, folder, hint)
    between_rows, between_columns = slices[0].pixel_spacing  # DICOM's order: rows first
    _check_drift(positions, normal, between_columns, folder)
    step = (heights[-1] - heights[0]) / (len(slices) - 1)
    matrix = np.eye(4)
    matrix[:3, :3] = _LPS_TO_RAS @ np.column_stack(
        [row * between_columns, column * between_rows, normal * step]
    )
    matrix[:3, 3] = _LPS_TO_RAS @ positions[0]
    return matrix


def _check_heights(heights: np.ndarray, slices: list[Slice], folder: Path, hint: str) -> None:
    """Refuse doubled, missing and unequally spaced slices; `heights` ascend, in mm."""
    steps = np.diff(heights)
    usual = float(np.median(steps))
    doubled = np.flatnonzero(steps < max(0.01, 0.05 * usual))
    if len(doubled):
        names = some([slices[doubled[0]].path.name, slices[doubled[0] + 1].path.name])
        raise VolumeError(
            f"{folder}: {len(doubled)} slice position(s) occur twice, the first in {names}. Keep each slice "
            "once; if these are two reconstructions or two phases, keep them in folders of their own."
        )
    # Positions are often rounded to 0.1 mm: steps may vary a little if the errors do not add up.
    even = heights[0] + np.arange(len(heights)) * (heights[-1] - heights[0]) / len(steps)
    wide = np.flatnonzero(np.abs(steps - usual) > 0.2 * usual)
    if not len(wide) and np.all(np.abs(heights - even) < 0.25 * usual):
        return
    shown = " and ".join(f"{step:.4g} mm" for step in sorted({usual, *_extremes(steps)})[:3])
    text = f"{folder}: The slices are not equally spaced ({shown})"
    counts = np.round(steps[wide] / usual).astype(int)
    if len(wide) and np.all(counts >= 2) and np.allclose(steps[wide], counts * usual, atol=0.2 * usual):
        text += f": {_missing(wide, counts)}. Copy the series again from the archive.{hint}"
    else:
        text += ". Reconstruct the series with one slice spacing, or keep only its evenly spaced part."
    raise VolumeError(text)


def _extremes(steps: np.ndarray) -> set[float]:
    """Return the smallest and largest step, unless they are the usual one but for rounding."""
    usual = np.median(steps)
    return {float(s) for s in (steps.min(), steps.max()) if abs(s - usual) > 0.01 * usual}


def _missing(before: np.ndarray, counts: np.ndarray) -> str:
    """Name the missing slices, counted from 1 in the complete series."""
    numbers: list[int] = []
    for index, count in zip(before, counts):
        first = int(index) + 2 + len(numbers)
        numbers.extend(range(first, first + int(count) - 1))
    if len(numbers) == 1:
        return f"slice {numbers[0]} seems to be missing"
    return f"slices {some([str(number) for number in numbers])} seem to be missing"


def _check_drift(positions: np.ndarray, normal: np.ndarray, pixel_mm: float, folder: Path) -> None:
    """Refuse slices that move sideways: the scan of a tilted gantry is not a rectangular grid."""
    across = positions[-1] - positions[0]
    along = float(across @ normal)
    drift = float(np.linalg.norm(across - along * normal))
    angle = float(np.degrees(np.arctan2(drift, along)))
    sideways = positions - positions[0] - np.outer((positions - positions[0]) @ normal, normal)
    if angle > 1.0 or drift > 0.5 * pixel_mm:
        raise VolumeError(
            f"{folder}: the gantry was tilted by {angle:.1f}° (each slice is shifted against the one below). "
            "Correct the tilt first: in Slicer, DICOM module, load with 'Acquisition geometry "
            "regularization: apply regularization transform' and harden it; then export as NRRD."
        )
    if np.linalg.norm(sideways, axis=1).max() > max(drift, 0.5 * pixel_mm):
        raise VolumeError(f"{folder}: some slices are shifted sideways against the others.")


def slice_thickness(slices: list[Slice], folder: Path) -> float | None:
    """Give the slice thickness in mm; None where no slice has one, refused where it changes."""
    values = [each.number(Tag.SLICE_THICKNESS) for each in slices]
    known = [value for value in values if value is not None and value > 0]
    if not known:
        return None
    if max(known) > 1.05 * min(known):
        raise VolumeError(
            f"{folder}: the slice thickness changes within the series ({min(known):g} to {max(known):g} mm)."
        )
    return float(np.median(known))

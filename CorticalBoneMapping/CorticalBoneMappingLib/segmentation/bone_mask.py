"""From a label map to the filled mask of one bone, or a sentence that says why there is none."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import SurfaceError
from ..volume import Volume

_FEWEST_VOXELS = 100
# A second piece of more than this share of the first is another bone, not an island left by the tool.
_SECOND_BONE = 0.1


def bone_mask(labelmap: Volume, label: int | None = None) -> tuple[Volume, list[str]]:
    """Give the filled mask of one bone, cropped to it.

    Parameters
    ----------
    labelmap : Volume
        Whole numbers, 0 outside; or a probability from 0 to 1, of which the half is the border.
    label : int, optional
        Which label; not needed if there is only one.

    Returns
    -------
    mask : Volume
        Array of bool: the largest piece, its inner cavities filled.
    notes : list of str
        What was dropped or filled, for the user.

    Raises
    ------
    SurfaceError
        If the label map is empty or no label map, the label is absent or not chosen, or the label holds
        several bones or too few voxels.
    """
    chosen, notes = _voxels_of(labelmap, label)
    boxes = ndimage.find_objects(chosen.astype(np.uint8))
    matrix = labelmap.ijk_to_ras.copy()
    matrix[:3, 3] = labelmap.points_of([side.start for side in boxes[0][::-1]])
    voxel_cm3 = float(np.prod(labelmap.spacing_mm)) / 1000.0
    mask, more = _one_piece(chosen[boxes[0]], voxel_cm3, labelmap.source)
    if np.count_nonzero(mask) < _FEWEST_VOXELS or min(np.ptp(np.nonzero(mask), axis=1)) < 2:
        raise SurfaceError(
            f"{labelmap.source}: the bone has only {np.count_nonzero(mask)} voxels; "
            "that is too little for a surface. Is it the right label?"
        )
    filled = filled_within(mask)
    n_filled = np.count_nonzero(filled) - np.count_nonzero(mask)
    if n_filled:
        more.append(f"Cavities of {n_filled * voxel_cm3:.2g} cm³ inside the mask were filled.")
    return Volume(filled, matrix, labelmap.source), notes + more


def filled_within(mask: np.ndarray) -> np.ndarray:
    """Fill what bone encloses; a marrow canal is open at a cut, so the box's end planes close it.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_k, n_j, n_i)
        Cropped to the bone.

    Returns
    -------
    ndarray of bool of shape (n_k, n_j, n_i)
    """
    closed = np.pad(mask, 1)
    for axis in range(3):
        for inner, outer in ((1, 0), (-2, -1)):
            planes = np.moveaxis(closed, axis, 0)
            planes[outer] = ndimage.binary_fill_holes(planes[inner])
    filled = ndimage.binary_fill_holes(closed)
    return filled[1:-1, 1:-1, 1:-1]


def _voxels_of(labelmap: Volume, label: int | None) -> tuple[np.ndarray, list[str]]:
    array, source = labelmap.array, labelmap.source
    if array.ndim != 3:
        raise SurfaceError(f"{source}: the label map has {array.ndim} dimensions instead of three.")
    if array.dtype.kind == "f":
        if not np.all(np.isfinite(array)):
            raise SurfaceError(f"{source}: the label map holds values that are not numbers.")
        if np.any(array != np.round(array)):
            return _probable(array, source)
    present = np.unique(array)
    present = present[present != 0].astype(int)
    if not len(present):
        raise SurfaceError(f"{source}: the mask is empty: every voxel is 0.")
    listed = ", ".join(str(value) for value in present[:30]) + (" …" if len(present) > 30 else "")
    if label is None and len(present) > 1:
        raise SurfaceError(f"{source}: say which label is the bone; there are: {listed}.")
    if label is not None and label not in present:
        raise SurfaceError(f"{source}: there is no label {label}; there are: {listed}.")
    return array == (present[0] if label is None else label), []


def _probable(array: np.ndarray, source: str) -> tuple[np.ndarray, list[str]]:
    if array.min() < 0 or array.max() > 1:
        raise SurfaceError(
            f"{source}: this is not a label map: its values ({array.min():g} to {array.max():g}) are not "
            "whole numbers. Give the segmentation, not the CT."
        )
    if not np.any(array > 0.5):
        raise SurfaceError(f"{source}: the mask is empty: no voxel has a probability above 0.5.")
    return array > 0.5, ["The mask holds probabilities; voxels above 0.5 were taken as bone."]


def _one_piece(mask: np.ndarray, voxel_cm3: float, source: str) -> tuple[np.ndarray, list[str]]:
    numbers, n_pieces = ndimage.label(mask)
    if n_pieces == 1:
        return mask, []
    sizes = np.bincount(numbers.ravel())[1:] * voxel_cm3
    order = np.argsort(sizes)[::-1]
    large = [f"{size:.3g}" for size in sizes[order] if size > _SECOND_BONE * sizes.max()]
    if len(large) > 1:
        raise SurfaceError(
            f"{source}: the mask holds {len(large)} large separate pieces ({', '.join(large)} cm³): "
            "more than one bone, or a broken one. Give each bone a label of its own."
        )
    dropped = sizes.sum() - sizes.max()
    note = f"{n_pieces - 1} small separate piece(s) of the mask ({dropped:.2g} cm³ in all) were dropped."
    return numbers == order[0] + 1, [note]

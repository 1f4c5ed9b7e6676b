"""Read the filled mask of one bone from a label map, and repair a label that another tool made."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...core.errors import SurfaceError
from ...core.volume import Volume

# Chosen by hand; not tuned.
_FEWEST_VOXELS = 100
_SECOND_BONE = 0.1  # a second piece of more than this share of the first is another bone, not an island
_OPENING_MM = 3.0  # a cavity whose openings are narrower than twice this is a hole, not the bone's shape
_BRIDGE_MM = 4.0  # a part that hangs on by less than twice this is not of a femur, whose neck is thicker
_TIP_MM = 2.5  # corners of the bone reach this far out of the ball that fits into it
_LEAST_CM3 = 0.1  # a smaller part is a corner or a tip, and is kept


def bone_mask(labelmap: Volume, label: int | None = None) -> tuple[Volume, list[str]]:
    """Return the filled mask of one bone, cropped to it.

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
        If this is not a label map, it is empty, the label is absent or not chosen, or the label holds several
        bones or too few voxels.
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
    """Fill cavities; a marrow canal is open at a cut, so the end planes of the box close it.

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


def repair(labelmap: Volume, label: int | None = None) -> tuple[Volume, list[str]]:
    """Close the holes of a bone's label, drop its islands, and cut off what hangs on by a thin bridge.

    Without the CT no bone can be added that the tool gave to another label; `exact_surface` does that.

    Parameters
    ----------
    labelmap : Volume
        Whole numbers, 0 outside; or a probability from 0 to 1, of which the half is the border.
    label : int, optional
        Which label is the bone; not needed if there is only one.

    Returns
    -------
    repaired : Volume
        On the grid of `labelmap`, uint8, 1 in the bone: one piece.
    notes : list of str
        What was done, for the user; empty if nothing was.

    Raises
    ------
    SurfaceError
        If the label does not exist, or it holds several bones or too few voxels.
    """
    mask, notes = bone_mask(labelmap, label)
    voxel_cm3 = float(np.prod(mask.spacing_mm)) / 1000.0
    spacing, bone = mask.spacing_mm[::-1], mask.array
    whole = _without_holes(bone, spacing)
    added = np.count_nonzero(whole) - np.count_nonzero(bone)
    if added:
        notes.append(f"Holes that reached the surface ({added * voxel_cm3:.2g} cm³) were closed.")
    bone = _without_bridges(whole, spacing, _LEAST_CM3 / voxel_cm3)
    lost = np.count_nonzero(whole) - np.count_nonzero(bone)
    if lost:
        notes.append(
            f"A part that hung on by less than {2 * _BRIDGE_MM:g} mm ({lost * voxel_cm3:.2g} cm³), such as "
            "pelvis, was cut off."
        )
    return _on_grid_of(labelmap, mask, bone), notes


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
        raise SurfaceError(f"{source}: label {label} does not exist; there are: {listed}.")
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


def _without_holes(bone: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Fill cavities whose openings are narrow, and plug these; other hollows stay."""
    margin = np.ceil(2.0 * _OPENING_MM / spacing).astype(int)
    box = tuple(slice(count, -count) for count in margin)
    wide = _distance(~np.pad(bone, [(count, count) for count in margin]), spacing) <= _OPENING_MM
    closed = bone | (_distance(wide, spacing)[box] > _OPENING_MM)
    cavity = filled_within(closed) & ~closed
    if not cavity.any():
        return bone
    near = _distance(~cavity, spacing) <= 2.0 * _OPENING_MM
    return bone | cavity | (near & closed)


def _without_bridges(bone: np.ndarray, spacing: np.ndarray, least_voxels: float) -> np.ndarray:
    """Keep what is near the largest part into which a ball fits, and small tips elsewhere."""
    core = _distance(np.pad(bone, 1), spacing)[1:-1, 1:-1, 1:-1] > _BRIDGE_MM
    numbers, n_cores = ndimage.label(core)
    if not n_cores:
        return bone
    core_of_bone = numbers == np.argmax(np.bincount(numbers.ravel())[1:]) + 1
    distance, nearest = ndimage.distance_transform_edt(~core, sampling=spacing, return_indices=True)
    belongs = bone & core_of_bone[tuple(nearest)] & (distance <= _BRIDGE_MM + _TIP_MM)
    others, _ = ndimage.label(bone & ~belongs)
    small = np.bincount(others.ravel()) < least_voxels
    small[0] = False
    pieces, _ = ndimage.label(belongs | small[others])
    return pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1


def _distance(inside: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance (mm) of every voxel inside to the nearest outside."""
    return ndimage.distance_transform_edt(inside, sampling=spacing)


def _on_grid_of(labelmap: Volume, mask: Volume, bone: np.ndarray) -> Volume:
    """Put a bone on the grid of the label map that it was cropped from as `mask` was."""
    first = np.rint(labelmap.index_of(mask.ijk_to_ras[:3, 3])).astype(int)[::-1]
    array = np.zeros(labelmap.array.shape, dtype=np.uint8)
    array[tuple(slice(begin, begin + count) for begin, count in zip(first, bone.shape))] = bone
    return Volume(array, labelmap.ijk_to_ras, labelmap.source)

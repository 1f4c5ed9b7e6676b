"""Repair of a bone's label map that another tool made."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..volume import Volume
from .bone_mask import bone_mask, filled_within

_OPENING_MM = 3.0  # a cavity whose openings are narrower than twice this is a hole, not the bone's shape
_BRIDGE_MM = 4.0  # what hangs on by less than twice this is no part of a femur, whose neck is thicker
_TIP_MM = 2.5  # so far corners of the bone reach out of the ball that fits into it
_LEAST_CM3 = 0.1  # less is a corner or a tip, and stays


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
        What was done, for the user; empty if nothing had to be.

    Raises
    ------
    SurfaceError
        If there is no such label, or it holds several bones or too few voxels.
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


def _without_holes(bone: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Fill cavities that are closed once their openings are, and plug these; other hollows stay."""
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

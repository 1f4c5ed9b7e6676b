"""Make the label map of a surface's inside, from the exact share of each voxel that it fills."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...core.errors import SurfaceError
from ...core.surface import Surface
from ...core.volume import Volume

# Chosen by hand; not tuned.
_LINE_MM = 0.25  # between the lines along which the filling of the voxels is measured, at most
_FEWEST_LINES = 3  # per side of a voxel
_TURN = np.array([1.7e-7, 2.3e-7])  # of a voxel: no line meets an edge or a corner of the surface exactly
_CHUNK = 200_000  # pairs of triangle and line at once


def labelled(surface: Surface, volume: Volume, label: int = 1) -> Volume:
    """Make the label map of a surface's inside on the grid of a volume.

    Parameters
    ----------
    surface : Surface
        Closed, outward. What lies beyond the volume is left out.
    volume : Volume
        Gives the grid; its voxels are not read.
    label : int
        Value of the voxels of which the surface fills at least half, 1 to 255; all others are 0.

    Returns
    -------
    Volume
        uint8; the labelled voxels are one piece and have no hole.

    Raises
    ------
    SurfaceError
        If the surface is not closed, or fills no voxel.
    """
    if not surface.is_closed():
        raise SurfaceError("The surface is not closed, so its inside is not defined. Close it first.")
    filled, place = filling(surface, volume)
    inside = _one_without_holes(filled >= 0.5)
    if not inside.any():
        raise SurfaceError(f"{volume.source}: the surface fills no voxel of the volume.")
    array = np.zeros(volume.array.shape, dtype=np.uint8)
    array[place][inside] = label
    return Volume(array, volume.ijk_to_ras, "label map of the bone's surface", stored_axes=volume.stored_axes)


def filling(surface: Surface, volume: Volume) -> tuple[np.ndarray, tuple[slice, slice, slice]]:
    """Return the share of each voxel that lies inside a surface.

    Lines run along the first axis of the volume, several per voxel; the lengths inside are exact to where a
    line meets the triangles.

    Parameters
    ----------
    surface : Surface
        Closed, outward.
    volume : Volume
        Gives the grid.

    Returns
    -------
    filled : ndarray of shape (n_k, n_j, n_i)
        0 to 1, of the voxels of a box around the surface.
    place : tuple of slice
        Of that box in ``volume.array``; empty slices where the surface lies outside the volume.
    """
    index = volume.index_of(surface.points)
    size = np.array(volume.array.shape[::-1])
    low = np.clip(np.floor(index.min(axis=0) + 0.5).astype(int), 0, size)
    high = np.clip(np.ceil(index.max(axis=0) + 0.5).astype(int), low, size)
    shape, place = (high - low)[::-1], tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1]))
    if not np.all(shape):
        return np.zeros(shape), place
    lines = np.maximum(np.ceil(volume.spacing_mm[1:] / _LINE_MM).astype(int), _FEWEST_LINES)
    # In voxels along i, in lines along j and k; line number n lies at n + a tiny turn.
    corners = (index - low)[surface.triangles]
    corners[..., 1:] = (corners[..., 1:] + 0.5) * lines - 0.5 - _TURN
    row, where, entering = _crossings(corners, shape[1] * lines[0], shape[0] * lines[1])
    if np.linalg.det(volume.ijk_to_ras[:3, :3]) < 0:
        entering = -entering
    along_j, along_k = row % (shape[1] * lines[0]) // lines[0], row // (shape[1] * lines[0]) // lines[1]
    return _lengths(where, entering, along_j, along_k, shape) / lines.prod(), place


def _crossings(corners: np.ndarray, n_j: int, n_k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where triangles meet the lines: line (j + n_j k), place along i, +1 where it enters and −1 else."""
    flat = corners[..., 1:]
    area = _cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0])
    first = np.maximum(np.ceil(flat.min(axis=1)), 0).astype(int)
    last = np.minimum(np.floor(flat.max(axis=1)), [n_j - 1, n_k - 1]).astype(int)
    count = np.maximum(last - first + 1, 0)
    number = np.where(area != 0.0, count.prod(axis=1), 0)
    parts = [_met(corners, area, first, count, some, n_j) for some in _in_chunks(number)]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts))


def _in_chunks(number: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Repeat each triangle for every line in its box, with the number of the line, in chunks."""
    which = np.flatnonzero(number)
    ends = np.cumsum(number[which])
    borders = np.searchsorted(ends, np.arange(_CHUNK, ends[-1] + _CHUNK, _CHUNK)) if len(which) else [0]
    chunks = []
    for some in np.split(which, np.unique(np.minimum(borders, len(which)))):
        triangle = np.repeat(some, number[some])
        begin = np.repeat(np.cumsum(number[some]) - number[some], number[some])
        chunks.append((triangle, np.arange(len(triangle)) - begin))
    return chunks


def _met(
    corners: np.ndarray,
    area: np.ndarray,
    first: np.ndarray,
    count: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    n_j: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    triangle, number = pairs
    j = first[triangle, 0] + number % count[triangle, 0]
    k = first[triangle, 1] + number // count[triangle, 0]
    line = np.stack([j, k], axis=1)
    a, b, c = (corners[triangle, corner, 1:] - line for corner in range(3))
    weights = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=1) / area[triangle, None]
    met = np.all(weights >= 0.0, axis=1)
    place = (weights * corners[triangle, :, 0]).sum(axis=1)
    # A triangle that turns counter-clockwise in (j, k) faces +i: there the line leaves.
    return (j + n_j * k)[met], place[met], -np.sign(area[triangle[met]])


def _lengths(
    where: np.ndarray, entering: np.ndarray, j: np.ndarray, k: np.ndarray, shape: np.ndarray
) -> np.ndarray:
    """Sum over lines of the length inside: all beyond an entry counts, all beyond an exit does not."""
    n_i = shape[2]
    voxel = np.clip(np.floor(where + 0.5).astype(int), 0, n_i - 1)
    part = np.clip(voxel + 0.5 - where, 0.0, 1.0)
    begin = (k * shape[1] + j) * (n_i + 1)
    total = np.bincount(begin + voxel, entering * part, shape[0] * shape[1] * (n_i + 1))
    total += np.bincount(begin + voxel + 1, entering * (1.0 - part), len(total))
    return np.cumsum(total.reshape(shape[0], shape[1], n_i + 1), axis=2)[..., :n_i]


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def _one_without_holes(inside: np.ndarray) -> np.ndarray:
    numbers, n_pieces = ndimage.label(inside)
    if n_pieces > 1:
        inside = numbers == np.argmax(np.bincount(numbers.ravel())[1:]) + 1
    return ndimage.binary_fill_holes(inside)

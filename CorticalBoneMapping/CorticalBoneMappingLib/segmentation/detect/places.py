"""Candidate places of a femur in a CT: the average femur correlated with the edges of bone.

This is the generalised Hough transform (Ballard 1981, Pattern Recognition 13:111-122) for a surface whose
normals are known, done with Fourier transforms: each edge votes for the head centres that it allows.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from ...core.surface import Surface
from .edge_grid import BoneGrid
from .settings import PLACES


def likely_poses(bone: BoneGrid, femur: Surface, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Find candidate places and rough poses.

    Parameters
    ----------
    bone : BoneGrid
        Of the scan.
    femur : Surface
        Average right femur, head centre at the origin, axes RAS.
    most : int
        Number of places at most.

    Returns
    -------
    poses : ndarray of shape (n, 7)
        As in `detect.pose`, the likeliest first.
    sides : ndarray of shape (n,)
        1 right, -1 left.
    """
    edges = bone.edges(PLACES.smoothing_mm, PLACES.faint_hu_per_mm)
    field = [_coarse(edges.towards_bone[..., axis]) for axis in range(3)]
    seen = _coarse(edges.seen.astype(np.float32))
    cell = PLACES.cell_steps * float(bone.grid.spacing_mm[0])
    reach = int(np.ceil(np.abs(femur.points).max() * max(PLACES.sizes) / cell))
    shape = [fft.next_fast_len(size + PLACES.beyond_cells + reach, real=True) for size in seen.shape]
    spectra = [np.conj(fft.rfftn(part, shape)) for part in (*field, seen)]
    poses, sides = _tried()
    best, which = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int16)
    for number, (pose, side) in enumerate(zip(poses, sides)):
        score = _correlation(femur, pose, side, spectra, shape, cell)
        better = score > best
        best[better], which[better] = score[better], number
    low = bone.grid.points_of(np.full(3, (PLACES.cell_steps - 1) / 2.0))
    index = _peaks(best, np.array(seen.shape), most)
    found = which[tuple((index % shape).T)]
    chosen = poses[found]
    chosen[:, :3] = low + cell * index[:, ::-1]
    return chosen, sides[found]


def _tried() -> tuple[np.ndarray, np.ndarray]:
    poses, sides = [], []
    for side in (1.0, -1.0):
        for abduction in PLACES.abduction_deg:
            for turn in PLACES.turn_deg:
                angles = [side * abduction, side * turn]
                vector = Rotation.from_euler("yz", angles, degrees=True).as_rotvec()
                poses += [np.concatenate([np.zeros(3), vector, [np.log(size)]]) for size in PLACES.sizes]
                sides += [side] * len(PLACES.sizes)
    return np.array(poses), np.array(sides)


def _coarse(array: np.ndarray) -> np.ndarray:
    """Means of cubes of cells."""
    padded = np.pad(array, [(0, -size % PLACES.cell_steps) for size in array.shape])
    cells = [part for size in padded.shape for part in (size // PLACES.cell_steps, PLACES.cell_steps)]
    return padded.reshape(cells).mean(axis=(1, 3, 5), dtype=np.float32)


def _correlation(
    femur: Surface, pose: np.ndarray, side: float, spectra: list[np.ndarray], shape: list[int], cell: float
) -> np.ndarray:
    """Score one rotation and size with the head centre in every cell."""
    turn = Rotation.from_rotvec(pose[3:6]).as_matrix() * [side, 1.0, 1.0]
    points, normals = femur.points @ turn.T * np.exp(pose[6]), femur.normals @ turn.T
    index = np.rint(points / cell).astype(int)[:, ::-1] % shape
    flat = np.ravel_multi_index(tuple(index.T), shape)
    areas = femur.point_areas / femur.point_areas.sum()

    def spectrum(weights: np.ndarray) -> np.ndarray:
        drawn = np.bincount(flat, weights, minlength=int(np.prod(shape)))
        return fft.rfftn(drawn.reshape(shape).astype(np.float32))

    along = sum(spectrum(-normals[:, axis] * areas) * spectra[axis] for axis in range(3))
    visible = fft.irfftn(np.conj(spectrum(areas) * spectra[3]), shape)
    return fft.irfftn(np.conj(along), shape) / np.maximum(visible, PLACES.least_seen)


def _peaks(score: np.ndarray, size: np.ndarray, most: int) -> np.ndarray:
    """Cells (k, j, i) of the highest maxima; negative where before the first cell."""
    highest = score == ndimage.maximum_filter(score, PLACES.apart_cells, mode="wrap")
    index = np.argwhere(highest)
    wrapped = np.where(index >= np.array(score.shape) - PLACES.beyond_cells, index - score.shape, index)
    near = np.all(wrapped < size + PLACES.beyond_cells, axis=1)
    index, wrapped = index[near], wrapped[near]
    order = np.argsort(-score[tuple(index.T)], kind="stable")[:most]
    return wrapped[order]

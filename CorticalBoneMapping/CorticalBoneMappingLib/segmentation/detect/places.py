"""Where in a CT a femur may stand: the average femur is correlated with the edges of bone at every place.

This is the generalised Hough transform (Ballard 1981, Pattern Recognition 13:111-122) for a surface whose
normals are known, done with Fourier transforms: each edge votes for the head centres that it allows.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from ...core.surface import Surface
from .edge_grid import BoneGrid

_CELL_STEPS = 2  # of the bone grid
_SMOOTHING_MM, _FAINT_HU_PER_MM = 5.0, 8.0
# Tried of every side; what lies between them is within the blur.
_ABDUCTION_DEG, _TURN_DEG, _SIZES = (-15.0, 0.0, 15.0), (-20.0, 0.0, 20.0), (0.93, 1.07)
_BEYOND_CELLS = 6  # a head that is cut off may have its centre so far outside
_APART_CELLS = 5
_LEAST_SEEN = 0.5


def likely_poses(bone: BoneGrid, femur: Surface, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Find places and rough poses that are worth a closer look.

    Parameters
    ----------
    bone : BoneGrid
        Of the scan.
    femur : Surface
        Average right femur, head centre at the origin, axes RAS.
    most : int
        How many places at most.

    Returns
    -------
    poses : ndarray of shape (n, 7)
        As `heads_pose` has them, the likeliest first.
    sides : ndarray of shape (n,)
        1 right, -1 left.
    """
    edges = bone.edges(_SMOOTHING_MM, _FAINT_HU_PER_MM)
    field = [_coarse(edges.towards_bone[..., axis]) for axis in range(3)]
    seen = _coarse(edges.seen.astype(np.float32))
    cell = _CELL_STEPS * float(bone.grid.spacing_mm[0])
    reach = int(np.ceil(np.abs(femur.points).max() * max(_SIZES) / cell))
    shape = [fft.next_fast_len(size + _BEYOND_CELLS + reach, real=True) for size in seen.shape]
    spectra = [np.conj(fft.rfftn(part, shape)) for part in (*field, seen)]
    poses, sides = _tried()
    best, which = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int16)
    for number, (pose, side) in enumerate(zip(poses, sides)):
        score = _correlation(femur, pose, side, spectra, shape, cell)
        better = score > best
        best[better], which[better] = score[better], number
    low = bone.grid.points_of(np.full(3, (_CELL_STEPS - 1) / 2.0))
    index = _peaks(best, np.array(seen.shape), most)
    found = which[tuple((index % shape).T)]
    chosen = poses[found]
    chosen[:, :3] = low + cell * index[:, ::-1]
    return chosen, sides[found]


def _tried() -> tuple[np.ndarray, np.ndarray]:
    poses, sides = [], []
    for side in (1.0, -1.0):
        for abduction in _ABDUCTION_DEG:
            for turn in _TURN_DEG:
                angles = [side * abduction, side * turn]
                vector = Rotation.from_euler("yz", angles, degrees=True).as_rotvec()
                poses += [np.concatenate([np.zeros(3), vector, [np.log(size)]]) for size in _SIZES]
                sides += [side] * len(_SIZES)
    return np.array(poses), np.array(sides)


def _coarse(array: np.ndarray) -> np.ndarray:
    """Means of cubes of cells."""
    padded = np.pad(array, [(0, -size % _CELL_STEPS) for size in array.shape])
    cells = [part for size in padded.shape for part in (size // _CELL_STEPS, _CELL_STEPS)]
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
    return fft.irfftn(np.conj(along), shape) / np.maximum(visible, _LEAST_SEEN)


def _peaks(score: np.ndarray, size: np.ndarray, most: int) -> np.ndarray:
    """Cells (k, j, i) of the highest maxima; negative where before the first cell."""
    highest = score == ndimage.maximum_filter(score, _APART_CELLS, mode="wrap")
    index = np.argwhere(highest)
    wrapped = np.where(index >= np.array(score.shape) - _BEYOND_CELLS, index - score.shape, index)
    near = np.all(wrapped < size + _BEYOND_CELLS, axis=1)
    index, wrapped = index[near], wrapped[near]
    order = np.argsort(-score[tuple(index.T)], kind="stable")[:most]
    return wrapped[order]

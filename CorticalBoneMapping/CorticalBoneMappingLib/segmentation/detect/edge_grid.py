"""A CT on coarse cubes along R, A and S, and the edges of bone in it: the input of the search for hips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...core.volume import Volume
from .settings import GRID


@dataclass(frozen=True)
class BoneGrid:
    """HU on cubes along R, A and S.

    Attributes
    ----------
    grid : Volume
        HU clipped to a window that shows bone alone, on cubes of equal edge, float32.
    seen : ndarray of bool, shape of `grid`
        Cells within the scan, away from its border and from metal.
    """

    grid: Volume
    seen: np.ndarray

    def edges(self, smoothing_mm: float, faint_hu_per_mm: float) -> EdgeGrid:
        """Compute the edges of bone at a scale.

        Parameters
        ----------
        smoothing_mm : float
            Standard deviation of the Gaussian before the gradient is taken.
        faint_hu_per_mm : float
            A gradient g counts as g / (|g| + faint).

        Returns
        -------
        EdgeGrid
        """
        step = float(self.grid.spacing_mm[0])
        smooth = ndimage.gaussian_filter(self.grid.array, smoothing_mm / step)
        gradient = np.stack(np.gradient(smooth, step)[::-1], axis=-1)
        length = np.sqrt(np.einsum("kjic,kjic->kji", gradient, gradient))
        gradient *= (self.seen / (length + np.float32(faint_hu_per_mm)))[..., None]
        return EdgeGrid(self.grid, self.seen, gradient)


@dataclass(frozen=True)
class EdgeGrid:
    """Direction towards bone in every cell.

    Attributes
    ----------
    grid : Volume
        As of the `BoneGrid`.
    seen : ndarray of bool, shape of `grid`
    towards_bone : ndarray of shape (n_k, n_j, n_i, 3)
        RAS vector up the gradient, up to length 1; zero where not seen.
    """

    grid: Volume
    seen: np.ndarray
    towards_bone: np.ndarray

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up the nearest cell.

        Parameters
        ----------
        points : ndarray of shape (..., 3)
            RAS mm.

        Returns
        -------
        towards_bone : ndarray of shape (..., 3)
            Zero where not seen.
        seen : ndarray of bool of shape (...)
        """
        size = np.array(self.grid.array.shape[::-1])
        low, step = self.grid.ijk_to_ras[:3, 3], self.grid.ijk_to_ras[0, 0]
        cell = np.rint((points - low) / step).astype(np.int32)
        inside = np.all((cell >= 0) & (cell < size), axis=-1)
        flat = np.where(inside, (cell[..., 2] * size[1] + cell[..., 1]) * size[0] + cell[..., 0], 0)
        seen = inside & self.seen.ravel()[flat]
        return self.towards_bone.reshape(-1, 3)[flat] * seen[..., None], seen


def bone_grid(volume: Volume, step_mm: float = GRID.step_mm) -> BoneGrid:
    """Resample a CT on cubes.

    Parameters
    ----------
    volume : Volume
        HU, in any orientation; the same voxels stored in another order give the same result.
    step_mm : float
        Edge of the cubes.

    Returns
    -------
    BoneGrid
    """
    return _on_ras_cubes(*_block_means(_along_ras(volume), step_mm), step_mm)


def _along_ras(volume: Volume) -> Volume:
    """Reorder the axes so that i, j, k run most nearly along R, A, S; a view."""
    cosines = volume.ijk_to_ras[:3, :3] / volume.spacing_mm
    order = _best_axes(cosines)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, :3] = matrix[:3, order]
    array = volume.array.transpose([2 - order[2], 2 - order[1], 2 - order[0]])
    for axis in range(3):
        if matrix[axis, axis] < 0:
            matrix[:3, 3] += matrix[:3, axis] * (array.shape[2 - axis] - 1)
            matrix[:3, axis] *= -1
            array = np.flip(array, 2 - axis)
    return Volume(array, matrix, volume.source)


def _best_axes(cosines: np.ndarray) -> list[int]:
    """Return the voxel axis for each of R, A, S, each used once: the largest sum of cosines."""
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    return list(max(orders, key=lambda order: sum(abs(cosines[row, order[row]]) for row in range(3))))


def _block_means(volume: Volume, step_mm: float) -> tuple[Volume, np.ndarray]:
    """Average whole blocks of voxels up to the step, the HU clipped first; and mark those with metal."""
    factors = np.maximum(1, np.floor(step_mm / volume.spacing_mm + 0.01)).astype(int)
    blocks = np.array(volume.array.shape[::-1]) // factors
    total, metal = np.zeros(blocks[::-1], dtype=np.float32), np.zeros(blocks[::-1], dtype=bool)
    for offset in np.ndindex(*factors):
        picked = tuple(slice(offset[axis], blocks[axis] * factors[axis], factors[axis]) for axis in (2, 1, 0))
        total += np.clip(volume.array[picked], *GRID.window_hu)
        metal |= volume.array[picked] > GRID.metal_hu
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, :3] *= factors
    matrix[:3, 3] = volume.points_of((factors - 1) / 2.0)
    total /= np.prod(factors).astype(np.float32)
    return Volume(total, matrix, volume.source), metal


def _on_ras_cubes(volume: Volume, metal: np.ndarray, step_mm: float) -> BoneGrid:
    size = np.array(volume.array.shape[::-1])
    corners = volume.points_of(np.indices((2, 2, 2)).reshape(3, -1).T * (size - 1))
    low, high = corners.min(axis=0), corners.max(axis=0)
    count = np.floor((high - low) / step_mm + 1e-3).astype(int) + 1
    matrix = np.diag([step_mm, step_mm, step_mm, 1.0])
    matrix[:3, 3] = low
    step = volume.ras_to_ijk @ matrix
    array = ndimage.affine_transform(
        volume.array,
        step[2::-1, 2::-1],
        offset=step[2::-1, 3],
        output_shape=tuple(count[::-1]),
        order=1,
        mode="constant",
        cval=np.nan,
    )
    outside = np.isnan(array)
    array[outside] = GRID.window_hu[0]
    outside |= _cells_of(volume.points_of(np.argwhere(metal)[:, ::-1]), low, step_mm, array.shape)
    seen = ndimage.distance_transform_edt(np.pad(~outside, 1))[1:-1, 1:-1, 1:-1] * step_mm > GRID.border_mm
    return BoneGrid(Volume(array, matrix, volume.source), seen)


def _cells_of(points: np.ndarray, low: np.ndarray, step_mm: float, shape: tuple[int, ...]) -> np.ndarray:
    """Mark the cells in which points lie."""
    cell = np.clip(np.rint((points - low) / step_mm).astype(int), 0, np.array(shape[::-1]) - 1)
    marked = np.zeros(shape, dtype=bool)
    marked[cell[:, 2], cell[:, 1], cell[:, 0]] = True
    return marked

"""The field of a scan: its voxels, the fine grid under them, and the soft tissue in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ..hip.bone import Hip
from ..hip.soft_tissue import SoftTissue
from .phantom import Phantom
from .settings import ScannerSettings
from .voxelise import FineGrid


@dataclass(frozen=True)
class ScanField:
    """The voxels, and the fine grid under them that reaches further than the blur.

    Attributes
    ----------
    ijk_to_ras : ndarray of shape (4, 4)
        Of the voxels.
    shape : tuple of int
        Voxels along z, y, x.
    grid : FineGrid
        The fine cells.
    margin : ndarray of shape (3,)
        Voxels along x, y, z by which the grid is wider on each side.
    cells : ndarray of shape (3,)
        Fine cells in a voxel along x, y, z.
    """

    ijk_to_ras: np.ndarray
    shape: tuple[int, int, int]
    grid: FineGrid
    margin: np.ndarray
    cells: np.ndarray

    @classmethod
    def around(cls, hip: Hip, phantom: Phantom | None, settings: ScannerSettings) -> ScanField:
        """Make the field around a femur and the phantom.

        Parameters
        ----------
        hip : Hip
            Where it lies in the scanner.
        phantom : Phantom or None
            The rods, if there are any.
        settings : ScannerSettings
            Voxel size, margins, rotation of the grid; the seed shifts the grid by part of a voxel.

        Returns
        -------
        ScanField
        """
        voxel = np.array([settings.voxel_mm, settings.voxel_mm, settings.slice_spacing_mm])
        # Columns are counted to the left, rows to the back: as a patient lying head first, feet away.
        axes = rotation(settings.grid_rotation_deg) @ np.diag([-1.0, -1.0, 1.0])
        points = hip.femur.surface.points @ axes
        low, high = points.min(axis=0) - settings.margin_mm, points.max(axis=0) + settings.margin_mm
        low[2] = points[:, 2].min() + settings.shaft_cut_mm
        if phantom is not None:
            low[:2] = np.minimum(low[:2], (phantom.corners @ axes).min(axis=0)[:2] - 3.0)
            high[:2] = np.maximum(high[:2], (phantom.corners @ axes).max(axis=0)[:2] + 3.0)
        low += np.random.default_rng([settings.seed, 1]).uniform(-0.5, 0.5, size=3) * voxel
        count = np.ceil((high - low) / voxel).astype(int)
        blur = settings.psf_reach_mm
        margin = np.ceil(np.array([blur, blur, settings.profile_reach_mm + 0.1]) / voxel).astype(int)
        cells = np.maximum(
            settings.oversampling, np.ceil(voxel / settings.largest_cell_mm - 1e-9).astype(int)
        )
        matrix = np.eye(4)
        matrix[:3, :3] = axes * voxel
        matrix[:3, 3] = axes @ (low + 0.5 * voxel)
        fine = tuple(int(n) for n in (count + 2 * margin) * cells)
        grid = FineGrid(axes @ (low - margin * voxel), axes, voxel / cells, fine)
        return cls(matrix, tuple(int(n) for n in count[::-1]), grid, margin, cells)

    def centres(self, axis: int) -> np.ndarray:
        """Of the voxels along x, y or z, in mm from the corner of the grid."""
        voxel = self.grid.cell_mm[axis] * self.cells[axis]
        return (np.arange(self.shape[2 - axis]) + self.margin[axis] + 0.5) * voxel

    def cell_centres(self, axis: int, whole_blocks: bool = False) -> np.ndarray:
        """Of the fine cells along x, y or z, in mm from the corner of the grid."""
        count = self.grid.blocks[axis] * self.grid.block[axis] if whole_blocks else self.grid.shape[axis]
        return (np.arange(count) + 0.5) * self.grid.cell_mm[axis]

    def rows_below(self, anterior_mm: float) -> slice:
        """Rows (y) of which any voxel is posterior to a RAS y."""
        ends = [np.array([0, count - 1]) for count in (self.shape[0], self.shape[2])]
        k, j, i = np.meshgrid(ends[0], np.arange(self.shape[1]), ends[1], indexing="ij")
        a = self.ijk_to_ras[1, 0] * i + self.ijk_to_ras[1, 1] * j + self.ijk_to_ras[1, 2] * k
        rows = np.flatnonzero((a + self.ijk_to_ras[1, 3] < anterior_mm).any(axis=(0, 2)))
        return slice(rows[0], rows[-1] + 1) if len(rows) else slice(0)

    def points(self, rows: slice) -> np.ndarray:
        """RAS mm of the voxels' centres in some rows (y), shape (z, y, x, 3)."""
        k, j, i = (np.arange(count) for count in self.shape)
        index = np.stack(np.meshgrid(k, j[rows], i, indexing="ij")[::-1], axis=-1)
        return index @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]


class Background:
    """Soft tissue on the corners of the grid's blocks, linear between them.

    Bones displace exactly this field, so nothing of it is seen through them.
    """

    def __init__(self, tissue: SoftTissue, field: ScanField) -> None:
        self._field = field
        self._nodes = [np.arange(-1, blocks + 2) for blocks in field.grid.blocks]
        z, y, x = np.meshgrid(*self._nodes[::-1], indexing="ij", sparse=True)
        values = []
        for layer in z.ravel():
            corners = np.stack(np.broadcast_arrays(x[0], y[0], np.float64(layer)), axis=-1).reshape(-1, 3)
            values.append(tissue.hu(field.grid.to_ras(corners * field.grid.block_mm)))
        self._hu = np.stack(values).reshape([len(nodes) for nodes in self._nodes[::-1]]).astype(np.float32)

    def at_corners(self, points: np.ndarray) -> np.ndarray:
        """HU at points (n, 3) that are corners of blocks."""
        grid = self._field.grid
        x, y, z = (np.round(grid.to_grid(points) / grid.block_mm).astype(int) + 1).T
        return self._hu[z, y, x].astype(np.float64)

    def image(self, kernel: list[tuple[float, np.ndarray, np.ndarray]], profile: np.ndarray) -> np.ndarray:
        """HU at the voxels.

        Parameters
        ----------
        kernel : list of (float, ndarray, ndarray)
            Weights, and matrices along y and x from fine cells to pixels, that make the blur in the plane.
        profile : ndarray of shape (n_slices, n_cells)
            The slice profile.

        Returns
        -------
        ndarray of shape (z, y, x)
        """
        slices = np.tensordot(profile @ self._cells_from_nodes(2), self._hu, axes=1)
        to_y, to_x = self._cells_from_nodes(1), self._cells_from_nodes(0)
        return sum(
            np.float32(weight) * ((down @ to_y) @ slices @ (across @ to_x).T)
            for weight, down, across in kernel
        )

    def _cells_from_nodes(self, axis: int) -> np.ndarray:
        """Linear interpolation along an axis, shape (cells, nodes)."""
        grid = self._field.grid
        place = self._field.cell_centres(axis, whole_blocks=axis == 2) / grid.block_mm[axis]
        return np.maximum(0.0, 1.0 - np.abs(place[:, None] - self._nodes[axis])).astype(np.float32)


def rotation(angles_deg: tuple[float, float, float]) -> np.ndarray:
    """Matrix of rotations about R, then A, then S (fixed axes), in degrees, shape (3, 3)."""
    return Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()

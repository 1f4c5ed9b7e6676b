"""From a bone's surface to density on a fine grid, with the share of each fine cell that cortex fills.

The signed depth below the periosteal surface is exact at the corners of blocks of fine cells, and
interpolated inside the blocks; the endosteal boundary is where the depth equals the thickness of the
cortex at the closest place of the surface. A fine cell that a boundary crosses is shared in proportion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ...core.errors import SurfaceError
from ...core.progress import Progress
from ...core.surface import Surface
from ..hip.bone import Bone
from ..structure.microstructure import Microstructure
from .blocks import block_weights, coverage, stencils, widths
from .depth import truth_at
from .structured_cells import BlockParts, Corners, structured_cells

_BLOCK_MM = 0.87  # cubic interpolation of the depth over it errs by 0.005 mm at 2 mm radius of curvature


@dataclass(frozen=True)
class FineGrid:
    """Fine cells, in blocks, somewhere in the patient.

    Attributes
    ----------
    corner : ndarray of shape (3,)
        Outer corner of the first cell in RAS mm.
    axes : ndarray of shape (3, 3)
        Unit vectors along x, y, z of the grid as columns (RAS); orthogonal, may be left-handed.
    cell_mm : ndarray of shape (3,)
        Size of a cell along x, y, z.
    shape : tuple of int
        Cells along x, y, z.
    """

    corner: np.ndarray
    axes: np.ndarray
    cell_mm: np.ndarray
    shape: tuple[int, int, int]

    @property
    def block(self) -> tuple[int, int, int]:
        """Cells in a block along x, y, z."""
        x, y, z = (max(1, round(_BLOCK_MM / size)) for size in self.cell_mm)
        return x, y, z

    @property
    def block_mm(self) -> np.ndarray:
        """Size of a block along x, y, z in mm, shape (3,)."""
        return self.cell_mm * self.block

    @property
    def blocks(self) -> tuple[int, int, int]:
        """Blocks along x, y, z; the last ones may reach beyond the cells."""
        x, y, z = (-(-cells // size) for cells, size in zip(self.shape, self.block, strict=True))
        return x, y, z

    def to_grid(self, points_ras: np.ndarray) -> np.ndarray:
        """Coordinates along the axes of the grid from its corner, mm, shape (n, 3)."""
        return (points_ras - self.corner) @ self.axes

    def to_ras(self, points_grid: np.ndarray) -> np.ndarray:
        """Inverse of `to_grid`."""
        return points_grid @ self.axes.T + self.corner


class Layer(NamedTuple):
    """The fine cells of one layer of blocks, in the box of one bone.

    Attributes
    ----------
    y, x : slice
        Cells of the grid that the box spans.
    contrast : ndarray of shape (cells in z, y, x)
        Density above that of the surroundings in mg/cm³, 0 outside the bone.
    occupancy : ndarray of shape (cells in z, y, x)
        Share of the cell that the bone fills.
    """

    y: slice
    x: slice

    contrast: np.ndarray
    occupancy: np.ndarray


@dataclass(frozen=True)
class Structured:
    """What a bone with microstructure needs besides.

    Attributes
    ----------
    microstructure : Microstructure
        Of the bone.
    outside, zone_mm : ndarray of the shape of the corners
        Density of the surroundings (mg/cm³), width of the trabecularised zone.
    """

    microstructure: Microstructure
    outside: np.ndarray
    zone_mm: np.ndarray


@dataclass(frozen=True)
class VoxelisedBone:
    """A bone sampled on the corners of a grid's blocks; gives its fine cells layer by layer.

    Attributes
    ----------
    grid : FineGrid
        The grid.
    first : ndarray of shape (3,)
        Block (x, y, z) that the bone's own box of blocks begins with.
    depth : ndarray of shape (z + 2, y + 2, x + 2) corners
        Depth below the periosteal surface in mm, negative outside, with one more layer of corners around
        the box of blocks.
    thickness, cortical_contrast, trabecular_contrast : ndarray of the same shape
        Thickness of the cortex (mm) and densities above the surroundings (mg/cm³) at the closest place.
    structured : Structured, optional
        Where the bone has a microstructure.
    """

    grid: FineGrid
    first: np.ndarray
    depth: np.ndarray
    thickness: np.ndarray
    cortical_contrast: np.ndarray
    trabecular_contrast: np.ndarray
    structured: Structured | None = None

    def layer(self, z: int) -> Layer | None:
        """Give the fine cells of one layer of blocks.

        Parameters
        ----------
        z : int
            Layer of blocks in the whole grid.

        Returns
        -------
        Layer or None
            None where the bone does not reach.
        """
        row = z - self.first[2]
        if not 0 <= row < self.depth.shape[0] - 3:
            return None
        corners = _corners(self.depth[row + 1 : row + 3, 1:-1, 1:-1])
        reach = 0.75 * np.linalg.norm(self.grid.block_mm)
        y, x = np.nonzero(corners.max(axis=-1) > -reach)
        if not len(y):
            return None
        cells = self._cells if self.structured is None else self._structured_cells
        contrast, occupancy = cells(row, y, x)
        x_first, y_first, _ = self.first * self.grid.block
        contrast, occupancy = (self._scattered(cells, y, x) for cells in (contrast, occupancy))
        rows, columns = contrast.shape[1:]
        return Layer(slice(y_first, y_first + rows), slice(x_first, x_first + columns), contrast, occupancy)

    def _scattered(self, cells: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Put the cells of some blocks into the box, shape (cells in z, y, x), within the grid."""
        x_cells, y_cells, z_cells = self.grid.block
        rows, columns = (count - 3 for count in self.depth.shape[1:])
        box = np.zeros((z_cells, rows, y_cells, columns, x_cells), dtype=np.float32)
        box[:, y, :, x] = cells.reshape(-1, z_cells, y_cells, x_cells)
        most_y, most_x = (self.grid.shape[axis] - self.first[axis] * self.grid.block[axis] for axis in (1, 0))
        return box.reshape(z_cells, rows * y_cells, columns * x_cells)[:, :most_y, :most_x]

    def _cells(self, row: int, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Contrast and occupancy of the cells of some blocks, each of shape (blocks, z * y * x cells)."""
        cubic, linear = block_weights(self.grid.block)
        depth = stencils(self.depth, row, y, x, 4) @ cubic
        corners = [
            stencils(field, row, y, x, 2)
            for field in (self.depth, self.thickness, self.cortical_contrast, self.trabecular_contrast)
        ]
        thickness, cortical, trabecular = (values @ linear for values in corners[1:])
        block, least = self.grid.block, float(self.grid.cell_mm.min())
        inside = coverage(depth, widths(corners[0], block, least))
        beyond_cortex = coverage(depth - thickness, widths(corners[0] - corners[1], block, least))
        return (inside - beyond_cortex) * cortical + beyond_cortex * trabecular, inside

    def _structured_cells(self, row: int, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `_cells`, of a bone with microstructure."""
        parts = BlockParts(self.grid.block, self.grid.cell_mm, self.grid.axes)
        near, thickness, cortical, trabecular, outside, zone_mm = (
            stencils(field, row, y, x, 2)
            for field in (
                self.depth,
                self.thickness,
                self.cortical_contrast,
                self.trabecular_contrast,
                self.structured.outside,
                self.structured.zone_mm,
            )
        )
        corners = Corners(
            stencils(self.depth, row, y, x, 4),
            near,
            thickness,
            cortical + outside,
            trabecular + outside,
            outside,
            zone_mm,
        )
        blocks = np.stack([x, y, np.full_like(x, row)], axis=1) + self.first
        places = self.grid.to_ras(blocks * self.grid.block_mm)
        least = float((self.grid.cell_mm / parts.times).min())
        width, weights = widths(near, parts.parts, least), block_weights(parts.parts)
        return structured_cells(self.structured.microstructure, parts, places, corners, weights, width)


def voxelise(
    bone: Bone,
    grid: FineGrid,
    surroundings: Callable[[np.ndarray], np.ndarray],
    progress: Progress | None = None,
) -> VoxelisedBone | None:
    """Sample a bone on a grid.

    Parameters
    ----------
    bone : Bone
        With its truth.
    grid : FineGrid
        May hold only a part of the bone.
    surroundings : callable
        Density (mg/cm³) of what the bone displaces, of points (n, 3) in RAS mm.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    VoxelisedBone or None
        None if no part of the bone lies in the grid.

    Raises
    ------
    SurfaceError
        If the surface is not closed, or the truth at its points is not finite or negative.
    """
    _check(bone.surface)
    progress = progress or Progress()
    progress.report(0.0, "Finding the blocks of the bone")
    samples = grid.to_grid(_surface_samples(bone.surface, float(grid.block_mm.min())))
    first, shape = _box(samples, grid)
    if min(shape) <= 0:
        return None
    wanted, apart = _wanted(samples, grid, first, shape)
    corners = (np.argwhere(wanted)[:, ::-1] + first - 1) * grid.block_mm
    points = grid.to_ras(corners)
    progress.report(0.2, "Measuring the depth below the surface")
    # Corners are chosen by the distance from sampled places, which errs by less than a block. Those more than
    # a block from a boundary weigh so little in the interpolation there that 0.03 mm of error do not count.
    reach = _reach(grid) + float(np.linalg.norm(grid.block_mm))
    exact = 1.1 * float(np.linalg.norm(grid.block_mm))
    depth, thickness, cortical = truth_at(bone.surface, points, reach, exact)
    progress.report(0.9, "Filling the bone")
    outside = surroundings(points)
    trabecular = np.zeros_like(depth)
    inside = depth > -float(np.linalg.norm(grid.block_mm))
    trabecular[inside] = bone.trabecular_density(points[inside], np.maximum(depth[inside], 0.0))
    if bone.microstructure is not None:
        trabecular[inside] = bone.microstructure.bundled(points[inside], trabecular[inside])
    trabecular -= outside
    # Beyond the wanted corners a stencil has little weight: there the rough distance serves.
    fields = [
        _filled(wanted, values, empty)
        for values, empty in ((depth, -apart), (thickness, 0.0), (cortical - outside, 0.0), (trabecular, 0.0))
    ]
    structure = bone.microstructure
    if structure is None:
        return VoxelisedBone(grid, first, *fields)
    around, zone_mm = (_filled(wanted, values, 0.0) for values in (outside, structure.zone_mm(points)))
    return VoxelisedBone(grid, first, *fields, Structured(structure, around, zone_mm))


def _check(surface: Surface) -> None:
    if not surface.is_closed():
        raise SurfaceError("A bone can only be simulated from a closed surface; this one has open edges.")
    for name in ("cortical_thickness", "cortical_density"):
        values = surface.arrays.get(name)
        if values is None or not np.all(np.isfinite(values)) or np.any(values < 0):
            raise SurfaceError(f"A bone to simulate needs '{name}' at every point, finite and not negative.")


def _surface_samples(surface: Surface, spacing: float) -> np.ndarray:
    """Points on the surface so dense that no block corner near it can be missed."""
    ends = surface.points[surface.edges]
    longest = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).max()
    parts = int(np.ceil(longest / spacing))
    if parts <= 1:
        return surface.points
    i, j = (steps.ravel() for steps in np.meshgrid(np.arange(parts + 1), np.arange(parts + 1)))
    kept = i + j <= parts
    weights = np.stack([i, j, parts - i - j], axis=1)[kept] / parts
    return (weights @ surface.points[surface.triangles]).reshape(-1, 3)


def _box(samples: np.ndarray, grid: FineGrid) -> tuple[np.ndarray, np.ndarray]:
    """First block and number of blocks (x, y, z) of the bone's part of the grid."""
    low = np.floor(samples.min(axis=0) / grid.block_mm).astype(int) - 1
    high = np.ceil(samples.max(axis=0) / grid.block_mm).astype(int) + 1
    first = np.maximum(low, 0)
    return first, np.minimum(high, grid.blocks) - first


def _wanted(
    samples: np.ndarray, grid: FineGrid, first: np.ndarray, shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Corners whose depth is needed (all inside the bone, and those near it), and rough distances.

    Both have 3 corners more than there are blocks along each axis. A wider box is marked first, so that
    a bone that leaves the grid still has an inside.
    """
    index = np.round(samples / grid.block_mm).astype(int)
    low = np.minimum(index.min(axis=0), first) - 2
    size = np.maximum(index.max(axis=0), first + shape) + 3 - low
    empty = np.ones(size[::-1], dtype=bool)
    empty[tuple((index - low).T[::-1])] = False
    apart = ndimage.distance_transform_edt(empty, sampling=grid.block_mm[::-1])
    wanted = ndimage.binary_fill_holes(apart <= _reach(grid))
    start = first - 1 - low
    z, y, x = (slice(start[axis], start[axis] + shape[axis] + 3) for axis in (2, 1, 0))
    return wanted[z, y, x], apart[z, y, x]


def _reach(grid: FineGrid) -> float:
    """How far from a boundary the corners of interpolation stencils can lie, mm."""
    return 2.2 * float(np.linalg.norm(grid.block_mm))


def _filled(wanted: np.ndarray, values: np.ndarray, empty: np.ndarray | float) -> np.ndarray:
    field = np.empty(wanted.shape, dtype=np.float32)
    field[...] = empty
    field[wanted] = values
    return field


def _corners(field: np.ndarray) -> np.ndarray:
    """The eight corner values of each block of one layer, shape (y, x, 8)."""
    return np.stack(
        [
            field[z, y : field.shape[1] - 1 + y, x : field.shape[2] - 1 + x]
            for z in (0, 1)
            for y in (0, 1)
            for x in (0, 1)
        ],
        axis=-1,
    )

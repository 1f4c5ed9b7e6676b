"""Fine cells of a bone with microstructure: each is cut into smaller ones, and is their mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..structure.microstructure import Made, Microstructure
from .blocks import coverage

_FINEST_MM = 0.115  # of the parts of a cell: struts are 0.2 mm, pores vary over 0.4 mm
_AT_A_TIME = 600  # blocks: what is made of them stays in the processor's cache


@dataclass(frozen=True)
class BlockParts:
    """Into what parts the cells of a block are cut.

    Attributes
    ----------
    cells : tuple of int
        Cells of a block along x, y, z.
    cell_mm : ndarray of shape (3,)
        Size of a cell.
    axes : ndarray of shape (3, 3)
        Unit vectors of the grid as columns.
    """

    cells: tuple[int, int, int]
    cell_mm: np.ndarray
    axes: np.ndarray

    @property
    def times(self) -> tuple[int, int, int]:
        """Parts of a cell along x, y, z."""
        x, y, z = (int(n) for n in np.ceil(self.cell_mm / _FINEST_MM - 1e-9))
        return x, y, z

    @property
    def parts(self) -> tuple[int, int, int]:
        """Parts of a block along x, y, z."""
        x, y, z = (cells * times for cells, times in zip(self.cells, self.times))
        return x, y, z

    @property
    def offsets(self) -> np.ndarray:
        """Of the parts from the corner of the block in RAS mm, ordered z, y, x, shape (n_parts, 3)."""
        size = self.cell_mm / self.times
        x, y, z = ((np.arange(count) + 0.5) * step for count, step in zip(self.parts, size))
        z, y, x = np.meshgrid(z, y, x, indexing="ij")
        return np.stack([x, y, z], axis=-1).reshape(-1, 3) @ self.axes.T

    @property
    def size_mm(self) -> float:
        """Mean width of a part."""
        return float(np.mean(self.cell_mm / self.times))

    @property
    def mean(self) -> np.ndarray:
        """Weights (n_parts, n_cells) of the mean of the parts of each cell."""
        z, y, x = (
            np.kron(np.eye(cells), np.ones((times, 1)) / times)
            for cells, times in zip(self.cells[::-1], self.times[::-1])
        )
        return np.kron(np.kron(z, y), x).astype(np.float32)


@dataclass(frozen=True)
class Corners:
    """Fields of some blocks, on what stencils they are interpolated from.

    Attributes
    ----------
    depth : ndarray of shape (n_blocks, 64)
        On the 4³ corners around each block.
    near_depth, thickness, cortical, trabecular, outside, zone_mm : ndarray of shape (n_blocks, 8)
        On the corners of each block: depth, thickness, mean densities (mg/cm³) of cortex, cancellous bone and
        surroundings, width of the trabecularised zone.
    """

    depth: np.ndarray
    near_depth: np.ndarray
    thickness: np.ndarray
    cortical: np.ndarray
    trabecular: np.ndarray
    outside: np.ndarray
    zone_mm: np.ndarray

    def some(self, rows: np.ndarray) -> Corners:
        """Those of some blocks."""
        return Corners(*(values[rows] for values in vars(self).values()))


def structured_cells(
    structure: Microstructure,
    parts: BlockParts,
    places: np.ndarray,
    corners: Corners,
    weights: tuple[np.ndarray, np.ndarray],
    width: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Give contrast and occupancy of the cells of some blocks.

    Parameters
    ----------
    structure : Microstructure
        Of the bone.
    parts : BlockParts
        How cells are cut.
    places : ndarray of shape (n_blocks, 3)
        Corner of each block, RAS mm.
    corners : Corners
        Fields.
    weights : tuple of ndarray of shape (64, n_parts) and (8, n_parts)
        Cubic and linear interpolation to the parts.
    width : ndarray of shape (n_blocks, 1)
        Over what depth the surface crosses a part, mm.

    Returns
    -------
    contrast, occupancy : ndarray of shape (n_blocks, n_cells)
        Density above the surroundings (mg/cm³) and the share of the cell within the periosteum.
    """
    s = structure.structure
    beyond = corners.near_depth - np.maximum(corners.thickness, s.zone_most_mm)
    deep = (corners.near_depth - corners.thickness).min(axis=1) > s.zone_most_mm
    deep &= beyond.min(axis=1) > 4.0 * s.roughness_mm
    shape = (len(places), int(np.prod(parts.cells)))
    contrast, occupancy = np.empty(shape, np.float32), np.empty(shape, np.float32)
    offsets, mean = parts.offsets, parts.mean
    for kind, work in ((~deep, _near_cortex), (deep, _deep)):
        rows = np.flatnonzero(kind)
        for start in range(0, len(rows), _AT_A_TIME):
            some = rows[start : start + _AT_A_TIME]
            density, inside = work(
                structure, parts.size_mm, places[some], offsets, corners.some(some), weights, width[some]
            )
            contrast[some], occupancy[some] = density @ mean, inside @ mean
    return contrast, occupancy


def _near_cortex(
    structure: Microstructure,
    size_mm: float,
    places: np.ndarray,
    offsets: np.ndarray,
    corners: Corners,
    weights: tuple[np.ndarray, np.ndarray],
    width: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Contrast and share inside the periosteum of the parts of blocks."""
    cubic, linear = weights
    depth = corners.depth @ cubic
    thickness, cortical, trabecular, outside, zone_mm = (
        values @ linear
        for values in (
            corners.thickness,
            corners.cortical,
            corners.trabecular,
            corners.outside,
            corners.zone_mm,
        )
    )
    made = Made(*map(_single, structure.expected(depth, thickness, zone_mm, cortical, trabecular)))
    rough = np.float32(structure.structure.roughness_mm) * structure.roughness.on_blocks(places, offsets)
    inside = coverage(depth - rough, width)
    network = structure.network.on_blocks(places, offsets, made.network, size_mm)
    fraction = structure.fraction(made, network, structure.pores.on_blocks(places, offsets))
    return inside * (structure.density(made, network, fraction) - outside), inside


def _deep(
    structure: Microstructure,
    size_mm: float,
    places: np.ndarray,
    offsets: np.ndarray,
    corners: Corners,
    weights: tuple[np.ndarray, np.ndarray],
    width: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """As `_near_cortex` where there are only struts and marrow."""
    _, linear = weights
    s = structure.structure
    wanted = structure.trabecular_fraction(corners.trabecular @ linear)
    network = structure.network.on_blocks(places, offsets, wanted, size_mm)
    density = network * np.float32(s.strut_density - s.marrow_density) + np.float32(s.marrow_density)
    return density - corners.outside @ linear, np.ones_like(density)


def _single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32, copy=False)

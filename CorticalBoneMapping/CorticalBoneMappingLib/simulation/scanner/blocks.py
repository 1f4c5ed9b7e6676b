"""Fields on the corners of blocks of cells: interpolation to the cells, and how a boundary crosses them."""

from __future__ import annotations

import numpy as np


def stencils(field: np.ndarray, row: int, y: np.ndarray, x: np.ndarray, width: int) -> np.ndarray:
    """Gather the values on the corners of some blocks, or also those around them.

    Parameters
    ----------
    field : ndarray of shape (z + 3, y + 3, x + 3)
        On the corners of all blocks, with one more layer of corners around.
    row : int
        Of the blocks, along z.
    y, x : ndarray of shape (n_blocks,)
        Their places in the row.
    width : {2, 4}
        Corners along each axis.

    Returns
    -------
    ndarray of shape (n_blocks, width³)
    """
    start = 0 if width == 4 else 1
    steps = np.arange(start, start + width)
    z = (row + steps)[None, :, None, None]
    rows = (y[:, None] + steps)[:, None, :, None]
    columns = (x[:, None] + steps)[:, None, None, :]
    return field[z, rows, columns].reshape(len(y), -1)


def block_weights(block: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Give the interpolation from corners to the cells of a block.

    Parameters
    ----------
    block : tuple of int
        Cells along x, y, z.

    Returns
    -------
    cubic, linear : ndarray of shape (64, n_cells) and (8, n_cells)
        Tensor products of cubic Lagrange and of linear interpolation.
    """
    cubic, linear = [], []
    for cells in block[::-1]:
        u = (np.arange(cells) + 0.5) / cells
        cubic.append(
            np.stack(
                [
                    -u * (u - 1) * (u - 2) / 6,
                    (u + 1) * (u - 1) * (u - 2) / 2,
                    -(u + 1) * u * (u - 2) / 2,
                    (u + 1) * u * (u - 1) / 6,
                ]
            )
        )
        linear.append(np.stack([1 - u, u]))
    cubic_z_y_x, linear_z_y_x = (np.kron(np.kron(a, b), c).astype(np.float32) for a, b, c in (cubic, linear))
    return cubic_z_y_x, linear_z_y_x


def widths(corners: np.ndarray, block: tuple[int, int, int], least_mm: float) -> np.ndarray:
    """Find over what change of the level a boundary crosses one cell.

    A box seen along a direction is spread with the variance Σ (g_i h_i)² / 12; the even spread of the
    same variance has the width √Σ (g_i h_i)², so mass and second moment of what it covers are right.

    Parameters
    ----------
    corners : ndarray of shape (n_blocks, 8)
        The level (mm) on the corners of blocks.
    block : tuple of int
        Cells along x, y, z.
    least_mm : float
        Least width of a cell.

    Returns
    -------
    ndarray of shape (n_blocks, 1)
        mm.
    """
    cube = corners.reshape(-1, 2, 2, 2)
    slopes = np.stack([np.diff(cube, axis=axis).mean(axis=(1, 2, 3)) for axis in (3, 2, 1)], axis=1)
    width = np.linalg.norm(slopes / np.asarray(block, dtype=np.float32), axis=1)
    # Where two sides of the bone meet, the slope vanishes and the level is no longer a distance.
    return np.maximum(width, 0.25 * least_mm)[:, None]


def coverage(level: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Share of cells above the level 0 (mm), which a boundary crosses over a width (mm)."""
    return np.clip(0.5 + level / width, 0.0, 1.0)

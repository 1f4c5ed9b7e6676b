"""Estimate the noise of a scan and its correlation from tissue that is nearly uniform.

Reconstruction kernels smooth noise, so the difference of neighbouring voxels is too small; only voxels
farther apart than the noise reaches show all of it, and there anatomy differs, too. Small blocks of soft
tissue and marrow are therefore measured one by one, and the level at which most blocks agree is the noise:
anatomy can only add to it, and adds a different amount to each block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.volume import Volume


@dataclass(frozen=True)
class NoiseSettings:
    """Numbers of the estimation of noise; chosen by hand, not tuned, unless a line says more."""

    around_mm: float = 20.0  # of the bone: noise differs over the body
    block_mm: float = 8.0
    far_mm: float = 2.5  # beyond the reach of a kernel's noise, within one muscle
    tissue_hu: tuple[float, float] = (-200.0, 200.0)  # mean of a block: fat, muscle, marrow
    fewest_blocks: int = 40
    kept: int = 4  # one of so many has no border of a muscle in it even where there are many
    halvings: int = 2
    uniform: float = 1.2  # blocks up to this multiple of the common noise give the correlation
    lower_half: float = 0.3247  # mean of the smaller half of |z| of a standard normal z; mathematics


NOISE = NoiseSettings()


@dataclass(frozen=True)
class Noise:
    """Stationary noise with a Gaussian correlation: exp(−d²/2L²) at the distance d.

    Attributes
    ----------
    sd : float
        Standard deviation, in the unit of the volume.
    in_plane_mm : float
        Correlation length L within the slices, the mean of rows and columns; 0 is white.
    across_mm : float
        Across them.
    """

    sd: float
    in_plane_mm: float = 0.0
    across_mm: float = 0.0


def estimate_noise(volume: Volume, points: np.ndarray) -> Noise | None:
    """Estimate the noise around a bone.

    Parameters
    ----------
    volume : Volume
        CT in HU.
    points : ndarray of shape (n, 3)
        Of the bone's surface, RAS mm.

    Returns
    -------
    Noise or None
        In HU; None where there is too little soft tissue or marrow.

    Notes
    -----
    That most small regions of soft tissue agree on the noise is how Christianson et al. 2015, AJR 205:W93,
    find it in patients. Here each block gives the spread of the differences of voxels 2.5 mm apart, of
    which the larger half is left out, and only the flattest blocks are used. So neither a slow gradient,
    nor the border of a muscle, nor correlation between neighbours changes it.
    """
    box = volume.crop(points, NOISE.around_mm)
    blocks = _flattest(_tissue_blocks(box))
    if len(blocks) < NOISE.fewest_blocks:
        return None
    spacing = box.spacing_mm
    far = [(axis, max(1, round(NOISE.far_mm / spacing[i]))) for i, axis in ((0, 3), (1, 2))]
    spread = _spread(blocks, far)
    sd = _mode(spread)
    if sd <= 0:
        return Noise(0.0)
    uniform = blocks[spread < NOISE.uniform * sd]
    whole = np.mean(_spread(uniform, far) ** 2)
    along, down, across = (
        _length(1.0 - np.mean(_spread(uniform, [(axis, 1)]) ** 2) / whole, spacing[i])
        for i, axis in ((0, 3), (1, 2), (2, 1))
    )
    # Far from the middle of the body, noise is streaks: long in one direction, short in the other.
    return Noise(sd, 0.5 * (along + down), across)


def _tissue_blocks(box: Volume) -> np.ndarray:
    """Blocks of two slices, shape (n, 2, rows, columns), whose mean is that of soft tissue or marrow."""
    columns, rows = (max(4, round(NOISE.block_mm / step)) for step in box.spacing_mm[:2])
    slices, high, wide = (n // m for n, m in zip(box.array.shape, (2, rows, columns), strict=True))
    array = box.array[: 2 * slices, : high * rows, : wide * columns].astype(np.float64)
    blocks = array.reshape(slices, 2, high, rows, wide, columns).transpose(0, 2, 4, 1, 3, 5)
    blocks = blocks.reshape(-1, 2, rows, columns)
    mean = blocks.mean(axis=(1, 2, 3))
    return blocks[(mean > NOISE.tissue_hu[0]) & (mean < NOISE.tissue_hu[1])]


def _flattest(blocks: np.ndarray) -> np.ndarray:
    """Keep the blocks whose four quarters differ least in their means."""
    rows, columns = blocks.shape[2] // 2, blocks.shape[3] // 2
    quarters = [
        blocks[:, :, down, along].mean(axis=(1, 2, 3))
        for down in (slice(rows), slice(rows, None))
        for along in (slice(columns), slice(columns, None))
    ]
    return blocks[np.argsort(np.ptp(quarters, axis=0), kind="stable")[: len(blocks) // NOISE.kept]]


def _spread(blocks: np.ndarray, lags: list[tuple[int, int]]) -> np.ndarray:
    """Standard deviation of the noise in each block, from the smaller half of all |differences|.

    `lags` are (axis, voxels apart).
    """
    differences = []
    for axis, lag in lags:
        size = blocks.shape[axis]
        ahead = np.take(blocks, np.arange(lag, size), axis=axis)
        difference = np.abs(ahead - np.take(blocks, np.arange(size - lag), axis=axis))
        differences.append(difference.reshape(len(blocks), -1))
    # Their mean and not their median, which whole HU would make jump.
    values = np.concatenate(differences, axis=1)
    half = values.shape[1] // 2
    return np.partition(values, half, axis=1)[:, :half].mean(axis=1) / (NOISE.lower_half * np.sqrt(2.0))


def _mode(values: np.ndarray) -> float:
    """Mean of the values left after repeatedly keeping the shortest interval that holds half of them."""
    values = np.sort(values)
    for _ in range(NOISE.halvings):
        half = max(len(values) // 2, 5)
        width = values[half - 1 :] - values[: len(values) - half + 1]
        first = int(np.argmin(width))
        values = values[first : first + half]
    return float(values.mean())


def _length(correlation: float, step_mm: float) -> float:
    """Correlation length from the correlation of neighbours."""
    if correlation < 0.02:  # shorter than a third of a voxel: as good as white
        return 0.0
    return float(step_mm / np.sqrt(-2.0 * np.log(min(correlation, 0.99))))

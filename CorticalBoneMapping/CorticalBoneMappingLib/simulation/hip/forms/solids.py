"""Bones as smoothly joined sheets of varying thickness, sampled on a grid.

A sheet is a net of balls: the bone is what a ball covers that moves over the net while its radius changes
from corner to corner. The plates of the pelvis, its thick columns and its rami are all nets of this kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

OUTSIDE_MM = -6.0
"""Level of what lies farther from every solid than this."""


@dataclass(frozen=True)
class Grid:
    """A regular grid, its axes along lateral, anterior and superior.

    Attributes
    ----------
    low : ndarray of shape (3,)
        Its first point, mm.
    shape : tuple of int
        Points along each axis.
    step_mm : float
        From point to point.
    """

    low: np.ndarray
    shape: tuple[int, int, int]
    step_mm: float

    @classmethod
    def over(cls, low: np.ndarray, high: np.ndarray, step_mm: float) -> Grid:
        """Return the grid from one corner to another, shape (3,) each, mm."""
        x, y, z = (int(n) for n in np.ceil((np.asarray(high) - low) / step_mm) + 1)
        return cls(np.asarray(low, dtype=float), (x, y, z), step_mm)

    @cached_property
    def axes(self) -> tuple[np.ndarray, ...]:
        """Coordinates along each axis, mm, float32."""
        return tuple(
            (start + self.step_mm * np.arange(count)).astype(np.float32)
            for start, count in zip(self.low, self.shape)
        )

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice, slice]:
        """Return the points between two corners, shape (3,) each, mm; they may lie outside."""
        first = np.clip(np.ceil((low - self.low) / self.step_mm), 0, self.shape).astype(int)
        last = np.clip(np.floor((high - self.low) / self.step_mm) + 1, 0, self.shape).astype(int)
        x, y, z = (slice(int(a), int(max(a, b))) for a, b in zip(first, last))
        return x, y, z

    def points(self, box: tuple[slice, slice, slice]) -> np.ndarray:
        """Return the points of a box, shape (n, 3), float32."""
        grids = np.meshgrid(*(axis[part] for axis, part in zip(self.axes, box)), indexing="ij")
        return np.stack(grids, axis=-1).reshape(-1, 3)


def refined(sheet: np.ndarray) -> np.ndarray:
    """Halve the meshes of a net through its knots, smoothly (four-point scheme of Dyn, Levin, Gregory 1987).

    Parameters
    ----------
    sheet : ndarray of shape (rows, columns, k)

    Returns
    -------
    ndarray of shape (2 rows - 1, 2 columns - 1, k)
    """
    for axis in (0, 1):
        knots = np.moveaxis(sheet, axis, 0)
        if len(knots) == 1:
            continue
        ends = (2.0 * knots[:1] - knots[1:2], 2.0 * knots[-1:] - knots[-2:-1])
        long = np.concatenate([ends[0], knots, ends[1]])
        between = (9.0 * (long[1:-2] + long[2:-1]) - long[:-3] - long[3:]) / 16.0
        fine = np.empty((2 * len(knots) - 1, *knots.shape[1:]))
        fine[::2], fine[1::2] = knots, between
        sheet = np.moveaxis(fine, 0, axis)
    return sheet


def sheets_level(grid: Grid, sheets: list[np.ndarray], seam_mm: float, blur_mm: float) -> np.ndarray:
    """Unite sheets.

    Parameters
    ----------
    grid : Grid
        Where.
    sheets : list of ndarray of shape (rows, columns, 4)
        Nets of balls: centre and radius, mm. A net of one row is a rod.
    seam_mm : float
        Width over which a seam of two sheets is filled.
    blur_mm : float
        Standard deviation of a blur that rounds the creases along the meshes.

    Returns
    -------
    ndarray of the shape of the grid
        Positive inside, about a distance in mm near the surface; `OUTSIDE_MM` far away.
    """
    whole = np.full(grid.shape, OUTSIDE_MM, dtype=np.float32)
    for sheet in sheets:
        net = refined(sheet)
        low = (net[..., :3] - net[..., 3:]).min(axis=(0, 1)) + OUTSIDE_MM
        high = (net[..., :3] + net[..., 3:]).max(axis=(0, 1)) - OUTSIDE_MM
        box = grid.box(low, high)
        if min(part.stop - part.start for part in box) == 0:
            continue
        axes = [axis[part] for axis, part in zip(grid.axes, box)]
        level = np.full([len(axis) for axis in axes], OUTSIDE_MM, dtype=np.float32)
        for corners in _triangles(net):
            _add_triangle(level, axes, corners, grid.step_mm)
        whole[box] = -smooth_minimum(-whole[box], -level, seam_mm)
    return ndimage.gaussian_filter(whole, blur_mm / grid.step_mm, mode="nearest", truncate=3.0)


def _triangles(net: np.ndarray) -> np.ndarray:
    """Two triangles of a mesh each, or one flat one of each part of a rod, shape (n, 3, 4)."""
    if len(net) == 1:
        return np.stack([net[0, :-1], net[0, 1:], net[0, 1:]], axis=1)
    a, b, c, d = (part.reshape(-1, 4) for part in (net[:-1, :-1], net[:-1, 1:], net[1:, :-1], net[1:, 1:]))
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([d, c, b], axis=1)])


def _add_triangle(level: np.ndarray, axes: list[np.ndarray], corners: np.ndarray, step: float) -> None:
    """Raise a level, in place, to that of a triangle of balls, shape (3, 4)."""
    centres, radii = corners[:, :3], corners[:, 3]
    low = (centres - radii[:, None]).min(axis=0) + OUTSIDE_MM
    high = (centres + radii[:, None]).max(axis=0) - OUTSIDE_MM
    start = np.array([axis[0] for axis in axes], dtype=float)
    here = Grid(start, tuple(level.shape), step).box(low, high)
    x, y, z = (axis[part] - np.float32(at) for axis, part, at in zip(axes, here, centres[0]))
    x, y, z = x[:, None, None], y[:, None], z
    ab, ac = ((centres[k] - centres[0]).astype(np.float32) for k in (1, 2))
    to_b, to_c = (np.float32(radii[k] - radii[0]) for k in (1, 2))
    bb, cc, bc = (np.float32(left @ right) for left, right in ((ab, ab), (ac, ac), (ab, ac)))
    pb = (x * ab[0] + y * ab[1]) + z * ab[2]
    pc = (x * ac[0] + y * ac[1]) + z * ac[2]
    pp = (x * x + y * y) + z * z

    def at(v: np.ndarray, w: np.ndarray) -> np.ndarray:
        squared = pp + v * (v * bb - 2 * pb) + w * (w * cc - 2 * pc) + 2 * bc * (v * w)
        return v * to_b + w * to_c - np.sqrt(np.maximum(squared, 0.0))

    zero = np.float32(0.0)
    best = at(np.clip(pb / max(bb, 1e-6), 0, 1), zero)
    area = bb * cc - bc * bc
    if area > 1e-3:
        w = np.clip((pc - pb - bc + bb) / np.maximum(bb + cc - 2 * bc, 1e-6), 0, 1)
        np.maximum(best, at(zero, np.clip(pc / cc, 0, 1)), out=best)
        np.maximum(best, at(1 - w, w), out=best)
        v, w = (cc * pb - bc * pc) / area, (bb * pc - bc * pb) / area
        inside = (v > 0) & (w > 0) & (v + w < 1)
        best[inside] = np.maximum(best[inside], at(np.where(inside, v, 0), np.where(inside, w, 0))[inside])
    target = level[here]
    np.maximum(target, best + np.float32(radii[0]), out=target)


def unevenness(
    grid: Grid, sd_mm: float, length_mm: float, random: np.random.Generator | None, waves: int = 48
) -> np.ndarray:
    """Return a random smooth level: a sum of standing waves with a Gaussian spectrum.

    Parameters
    ----------
    grid : Grid
        Where.
    sd_mm, length_mm : float
        Its standard deviation, and the length of a Gaussian correlation.
    random : numpy.random.Generator, optional
        Without it always the same.
    waves : int
        Of the sum.

    Returns
    -------
    ndarray of the shape of the grid
    """
    random = np.random.default_rng(0) if random is None else random
    number = random.standard_normal((waves, 3)) / length_mm
    phase = random.uniform(0.0, 2.0 * np.pi, (waves, 3))
    x, y, z = (
        np.cos(axis[:, None] * number[:, k] + phase[:, k]).astype(np.float32)
        for k, axis in enumerate(grid.axes)
    )
    planes = (x[:, None] * y).reshape(-1, waves)
    return (planes @ z.T).reshape(grid.shape) * np.float32(sd_mm * np.sqrt(8.0 / waves))


def smooth_minimum(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Return the smaller of two levels, with the edge rounded over `width` mm."""
    overlap = np.maximum(width - np.abs(a - b), 0.0) / width
    return np.minimum(a, b) - 0.25 * width * overlap**2


def smooth_step(x: np.ndarray) -> np.ndarray:
    """Return 0 below 0, 1 above 1, and a smooth rise between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)

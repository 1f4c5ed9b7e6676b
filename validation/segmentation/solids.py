"""Body parts that are not hips, drawn as smooth solids with a cortex: good enough to mislead, and quick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from CorticalBoneMappingLib.core.volume import Volume

Depth = Callable[[np.ndarray], np.ndarray]
"""From points (n, 3) in RAS mm to their depth below a surface (n,) in mm, about a distance."""

_BLUR_MM = 0.5


@dataclass(frozen=True)
class Solid:
    """A shell around an inside; without a shell, something soft.

    Attributes
    ----------
    depth : callable
        Of the whole solid.
    inside_hu : float
        Within the shell.
    shell_hu : float
        Of the shell.
    shell_mm : float or callable
        Thickness of the shell; a callable gives it from points (n, 3).
    """

    depth: Depth
    inside_hu: float
    shell_hu: float = 0.0
    shell_mm: float | Callable[[np.ndarray], np.ndarray] = 0.0


def bone(
    depth: Depth, shell_mm: float | Callable[[np.ndarray], np.ndarray], inside_hu: float = 220.0
) -> Solid:
    """Give a bone: a cortex of 1250 HU around trabecular bone."""
    return Solid(depth, inside_hu, 1250.0, shell_mm)


def draw(
    solids: Sequence[Solid],
    low: Sequence[float],
    high: Sequence[float],
    voxel_mm: Sequence[float],
    noise_hu: float,
    seed: int,
) -> Volume:
    """Draw solids in air, later ones over earlier ones.

    Parameters
    ----------
    solids : sequence of Solid
        What there is.
    low, high : sequence of float
        Corners of the field, RAS mm.
    voxel_mm : sequence of float
        Along R, A and S.
    noise_hu : float
        White, before the blur that gives it its texture.
    seed : int
        Of the noise.

    Returns
    -------
    Volume
        Whole HU; columns are counted to the left, rows to the back.
    """
    low, high, voxel = (np.asarray(values, dtype=np.float64) for values in (low, high, voxel_mm))
    count = np.ceil((high - low) / voxel).astype(int)
    matrix = np.diag([-voxel[0], -voxel[1], voxel[2], 1.0])
    matrix[:3, 3] = [high[0], high[1], low[2]]
    empty = Volume(np.zeros(count[::-1], dtype=np.float32), matrix)
    j, i = np.indices(count[1::-1])
    for k, plane in enumerate(empty.array):
        points = empty.points_of(np.stack([i, j, np.full_like(i, k)], axis=-1)).reshape(-1, 3)
        plane[:] = _plane(solids, points.astype(np.float32), float(voxel[0])).reshape(plane.shape)
    hu = empty.array + noise_hu * np.random.default_rng(seed).standard_normal(empty.array.shape, np.float32)
    hu = ndimage.gaussian_filter(hu, (0.0, _BLUR_MM / voxel[1], _BLUR_MM / voxel[0]))
    hu = np.clip(np.round(hu), -1024, 3071).astype(np.float32)
    return Volume(hu, matrix, "drawn CT", "CT", float(voxel[2]))


def _plane(solids: Sequence[Solid], points: np.ndarray, edge_mm: float) -> np.ndarray:
    hu = np.full(len(points), -1000.0, dtype=np.float32)
    for solid in solids:
        depth = solid.depth(points)
        near = depth > -edge_mm
        if not near.any():
            continue
        depth, places = depth[near], points[near]
        shell = solid.shell_mm(places) if callable(solid.shell_mm) else solid.shell_mm
        whole, core = (np.clip(0.5 + level / edge_mm, 0.0, 1.0) for level in (depth, depth - shell))
        hu[near] += whole * (solid.shell_hu - hu[near]) + core * (solid.inside_hu - solid.shell_hu)
    return hu


def ball(centre: Sequence[float], radius: float) -> Depth:
    """Give a ball."""
    return ellipsoid(centre, (radius, radius, radius))


def ellipsoid(centre: Sequence[float], semi_axes: Sequence[float], power: float = 2.0) -> Depth:
    """Give an ellipsoid along R, A, S; a higher power makes it a rounded box."""
    middle, semi = (np.asarray(values, dtype=np.float32) for values in (centre, semi_axes))

    def depth(points: np.ndarray) -> np.ndarray:
        level = (np.abs((points - middle) / semi) ** power).sum(axis=1) ** (1.0 / power)
        return (1.0 - level) * semi.min()

    return depth


def cone(start: Sequence[float], stop: Sequence[float], radius: float, last_radius: float) -> Depth:
    """Give a round-ended cone from one place to another."""
    a, along = np.asarray(start, np.float32), np.subtract(stop, start).astype(np.float32)

    def depth(points: np.ndarray) -> np.ndarray:
        share = np.clip((points - a) @ along / (along @ along), 0.0, 1.0)
        away = np.linalg.norm(points - a - share[:, None] * along, axis=1)
        return radius + share * (last_radius - radius) - away

    return depth


def bent_rod(line: np.ndarray, radius: float) -> Depth:
    """Give a rod along a dense polyline (n, 3)."""
    tree = cKDTree(line)

    def depth(points: np.ndarray) -> np.ndarray:
        away, _ = tree.query(points, distance_upper_bound=radius + 5.0)
        return (radius - np.minimum(away, radius + 5.0)).astype(np.float32)

    return depth


def joined(parts: Sequence[Depth], rounding_mm: float = 6.0) -> Depth:
    """Give the union of solids, the notches between them rounded."""

    def depth(points: np.ndarray) -> np.ndarray:
        level = parts[0](points)
        for part in parts[1:]:
            other = part(points)
            overlap = np.maximum(rounding_mm - np.abs(level - other), 0.0) / rounding_mm
            level = np.maximum(level, other) + 0.25 * rounding_mm * overlap**2
        return level

    return depth


def without(whole: Depth, hole: Depth) -> Depth:
    """Give a solid with another taken out of it."""
    return lambda points: np.minimum(whole(points), -hole(points))

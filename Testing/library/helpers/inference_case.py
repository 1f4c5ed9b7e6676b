"""A small study whose every number follows from a seed: what inference is compared on with other programs.

Imports nothing of the library, so that the script that asks the other programs can use it too.
"""

import numpy as np
from scipy.spatial import ConvexHull

N_MAPS = 24


def mesh(n_points: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Points of an ellipsoid, and its triangles looking outward."""
    height = 1.0 - (2.0 * np.arange(n_points) + 1.0) / n_points
    turn = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(n_points)
    ring = np.sqrt(1.0 - height**2)
    ball = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    triangles = ConvexHull(ball).simplices.astype(np.int64)
    corners = ball[triangles]
    inward = np.einsum("ti,ti->t", np.cross(corners[:, 1], corners[:, 2]), corners[:, 0]) < 0
    triangles[inward] = triangles[inward, ::-1]
    triangles = triangles[np.lexsort(np.sort(triangles, axis=1).T)]
    return ball * [18.0, 20.0, 30.0], triangles


def maps(points: np.ndarray, n_maps: int = N_MAPS) -> np.ndarray:
    """Smooth noise, rougher at one end than at the other; a group effect at the tips of z."""
    random = np.random.default_rng(20)
    noise = np.zeros((n_maps, len(points)))
    stretched = points * (1.0 + 0.25 * np.sign(points[:, :1]) * (points[:, :1] / 18.0) ** 2)
    for _ in range(60):
        wave = random.normal(scale=0.12, size=3)
        phase = stretched @ wave + random.uniform(0.0, 2.0 * np.pi)
        noise += random.normal(size=(n_maps, 1)) * np.cos(phase)
        noise += random.normal(size=(n_maps, 1)) * np.sin(phase)
    effect = 9.0 * np.exp(-(((points[:, 2] - 30.0) / 10.0) ** 2)) - 9.0 * np.exp(
        -(((points[:, 2] + 30.0) / 9.0) ** 2)
    )
    return noise + group(n_maps)[:, None] * effect


def group(n_maps: int = N_MAPS) -> np.ndarray:
    """0 for the first half, 1 for the second."""
    return (np.arange(n_maps) >= n_maps // 2).astype(float)


def age(n_maps: int = N_MAPS) -> np.ndarray:
    """A covariate, centred."""
    years = np.random.default_rng(21).normal(70.0, 8.0, n_maps)
    return years - years.mean()


def design(n_maps: int = N_MAPS) -> np.ndarray:
    """Intercept, group, age."""
    return np.stack([np.ones(n_maps), group(n_maps), age(n_maps)], axis=1)


def tested(points: np.ndarray) -> np.ndarray:
    """All but a cap at one end of y."""
    return points[:, 1] < 17.0

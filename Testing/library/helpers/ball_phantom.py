"""An eccentric ball whose cortex is known, scanned by brute force."""

from functools import cache

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume

FINE_MM = 0.2
OUTER_MM, INNER_MM = 18.0, 15.1
INNER_CENTRE = 2.35 * np.array([0.70, 0.55, 0.45]) / np.linalg.norm([0.70, 0.55, 0.45])
SOFT, CORTEX, TRABECULAR = 20.0, 1200.0, 220.0
SIGMA = 0.55
BINS = ((0.5, 0.8), (0.8, 1.2), (1.2, 2.0), (2.0, 3.0), (3.0, 5.3))


@cache
def fine_ball(neighbour_mm=None, shell=True):
    """A ball on 0.2 mm voxels; its cortex, between two eccentric balls, is 0.55 to 5.25 mm thick."""
    half = 25.0
    axis = (np.arange(int(2 * half / FINE_MM)) + 0.5) * FINE_MM - half
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)

    def share(radius, centre):
        distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
        return np.clip((radius - distance) / FINE_MM + 0.5, 0, 1).astype(np.float32)

    bone, marrow = share(OUTER_MM, np.zeros(3)), share(INNER_MM, INNER_CENTRE)
    if shell:
        ball = SOFT + (CORTEX - SOFT) * bone + (TRABECULAR - CORTEX) * marrow
    else:
        ball = SOFT + (TRABECULAR - SOFT) * bone
    if neighbour_mm is not None:
        ball += 800.0 * (1.0 - share(OUTER_MM + neighbour_mm, np.zeros(3))) * (z > 0)
    return ball.astype(np.float32), half


def scanned(pixel=3, slice_=5, noise=14.0, seed=1, **ball):
    """Blur, sample and add noise; `pixel` and `slice_` count fine voxels."""
    fine, half = fine_ball(**ball)
    kernel = np.ones(slice_) / slice_
    blurred = ndimage.convolve1d(fine, kernel, axis=0)[slice_ // 2 :: slice_]
    for axis in (1, 2):
        blurred = ndimage.gaussian_filter1d(blurred, SIGMA / FINE_MM, axis=axis)
    array = blurred[:, pixel // 2 :: pixel, pixel // 2 :: pixel]
    matrix = np.diag([pixel * FINE_MM, pixel * FINE_MM, slice_ * FINE_MM, 1.0])
    matrix[:3, 3] = [(n // 2 + 0.5) * FINE_MM - half for n in (pixel, pixel, slice_)]
    rough = np.random.default_rng(seed).normal(0.0, noise, array.shape)
    return Volume((array + rough).astype(np.float32), matrix)


def surface_near_the_ball(n_points=1500, error_mm=0.8):
    """Triangles about the outer ball, off by up to `error_mm` as a segmentation is."""
    index = np.arange(n_points) + 0.5
    polar, turn = np.arccos(1 - 2 * index / n_points), np.pi * (1 + 5**0.5) * index
    unit = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    triangles = ConvexHull(unit).simplices.astype(np.int64)
    corners = unit[triangles]
    inward = np.linalg.det(corners) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    radius = OUTER_MM + error_mm * np.sin(3.0 * unit[:, 0] + 2.0 * unit[:, 2])
    return Surface(unit * radius[:, None], triangles)


def depth_of_ball(surface, radius, centre):
    """Depth at which the inward normal enters a ball."""
    start = surface.points - centre
    along = np.einsum("ij,ij->i", start, -surface.normals)
    return -along - np.sqrt(along**2 - np.einsum("ij,ij->i", start, start) + radius**2)


def truth(surface):
    outer = depth_of_ball(surface, OUTER_MM, np.zeros(3))
    return outer, depth_of_ball(surface, INNER_MM, INNER_CENTRE) - outer


def bias_by_bin(error, thickness):
    return [np.nanmean(error[(thickness >= low) & (thickness < high)]) for low, high in BINS]

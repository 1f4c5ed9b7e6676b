"""What HR-pQCT of a simulated bone shows, and the thickness that its published segmentation gives.

The outlines are found as by Buie et al. 2007, Bone 41:505 (two thresholds, opened and closed slice by slice),
with which Burghardt et al. 2010, Bone 47:519, measure cortical bone; sizes of kernels and thresholds are the
defaults of the Bonelab's own program for it (github.com/Bonelab/Bonelab, autocontour), in voxels of 82 µm.
Valentinitsch et al. 2012, Bone 51:480, find the same compartments by texture. The thickness is the length of
the line along the inward normal that is in the cortical compartment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from CorticalBoneMappingLib.simulation.hip.bone import Bone
from CorticalBoneMappingLib.simulation.scanner.voxelise import FineGrid, voxelise

_OUTER_MG, _INNER_MG = 450.0, 320.0  # thresholds of bone (mg HA/cm³)
_VOXEL_MM = 0.082  # that the sizes below belong to
_CLOSE, _OPEN = 15, 10  # widths of the square kernels, voxels
_SMOOTH, _LEVEL = 0.8, 100.0 / 127.0
_RESOLUTION_MM = 0.13  # FWHM of the scanner's point-spread function, about 1.6 voxels
_NOISE_MG = 60.0  # SD in a voxel; chosen by hand
_SOFT_MG = 40.0
_LONGEST_MM, _STEP_MM, _OUTSIDE_MM = 12.0, 0.02, 0.8


@dataclass(frozen=True)
class Slab:
    """Some slices of HR-pQCT.

    Attributes
    ----------
    density : ndarray of shape (z, y, x)
        mg/cm³.
    corner : ndarray of shape (3,)
        Outer corner of the first voxel, RAS mm; axes are R, A, S.
    voxel_mm : float
        Width of the cubic voxels.
    """

    density: np.ndarray
    corner: np.ndarray
    voxel_mm: float

    def index(self, points: np.ndarray) -> np.ndarray:
        """Voxels (z, y, x) of points (..., 3), not rounded."""
        return ((points - self.corner) / self.voxel_mm - 0.5)[..., ::-1]


def scan_slab(bone: Bone, low_mm: float, high_mm: float, voxel_mm: float, seed: int = 0) -> Slab:
    """Scan the slices of a bone between two heights.

    Parameters
    ----------
    bone : Bone
        With or without a microstructure.
    low_mm, high_mm : float
        RAS z.
    voxel_mm : float
        0.061 or 0.082.
    seed : int
        Of the noise.

    Returns
    -------
    Slab
    """
    points = bone.surface.points
    near = points[(points[:, 2] > low_mm - 2.0) & (points[:, 2] < high_mm + 2.0)]
    margin = (_CLOSE + 3) * _VOXEL_MM
    corner = np.array([*(near.min(axis=0)[:2] - margin), low_mm])
    size = np.array([*(near.max(axis=0)[:2] + margin), high_mm]) - corner
    shape = tuple(int(n) for n in np.ceil(size / voxel_mm))
    grid = FineGrid(corner, np.eye(3), np.full(3, voxel_mm), shape)
    sampled = voxelise(bone, grid, lambda places: np.full(len(places), _SOFT_MG))
    density = np.full(shape[::-1], _SOFT_MG, dtype=np.float32)
    thick = grid.block[2]
    for row in range(grid.blocks[2]):
        layer = sampled.layer(row)
        if layer is not None:
            here = density[row * thick : (row + 1) * thick, layer.y, layer.x]
            here += layer.contrast[: len(here)]
    density = ndimage.gaussian_filter(density, _RESOLUTION_MM / 2.3548 / voxel_mm, mode="nearest")
    random = np.random.default_rng([seed, 9])
    density += np.float32(_NOISE_MG) * random.standard_normal(density.shape, dtype=np.float32)
    return Slab(density, corner, voxel_mm)


def cortical_compartment(slab: Slab) -> np.ndarray:
    """Find the cortex, slice by slice, shape (z, y, x), bool; see the module for the source."""
    times = _VOXEL_MM / slab.voxel_mm
    return np.stack([_cortex_of_slice(values, times) for values in slab.density])


def thickness_along(slab: Slab, cortex: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Measure the compartment along lines.

    Parameters
    ----------
    slab : Slab
    cortex : ndarray of shape (z, y, x)
        Of `cortical_compartment`.
    points, normals : ndarray of shape (n_points, 3)
        On the surface, and outward, RAS.

    Returns
    -------
    ndarray of shape (n_points,)
        mm; from the first voxel of the cortex to the first beyond it, not-a-number where the line leaves the
        slab before.
    """
    along = np.arange(-_OUTSIDE_MM, _LONGEST_MM, _STEP_MM)
    index = slab.index(points[:, None] - along[:, None] * normals[:, None])
    found = ndimage.map_coordinates(cortex.astype(np.float32), index.reshape(-1, 3).T, order=1, cval=np.nan)
    found = found.reshape(len(points), len(along))
    within = np.isfinite(found)
    inside = np.where(within, found, 0.0) >= 0.5
    first = np.argmax(inside, axis=1)
    rows = np.arange(len(points))[:, None]
    after = ~inside & (np.arange(len(along)) > first[:, None])
    end = np.argmax(after, axis=1)
    known = inside.any(axis=1) & after.any(axis=1) & within[rows[:, 0], end] & within[:, 0]
    return np.where(known, (end - first) * _STEP_MM, np.nan)


def _cortex_of_slice(density: np.ndarray, times: float) -> np.ndarray:
    bone = ndimage.median_filter(density > _OUTER_MG, 3)
    wide, narrow = 0.5 * _CLOSE * times, 0.5 * _OPEN * times
    outside = _largest(~_dilated(bone, wide))
    periosteal = ~_dilated(outside, wide)
    marrow = periosteal & (density <= _INNER_MG)
    # Marrow is widened until its struts are gone; what remains and hangs together is cortex and outside.
    rest = _dilated(_largest(~_dilated(marrow, narrow)), narrow)
    rest = ndimage.gaussian_filter(rest.astype(np.float32), _SMOOTH * times) > _LEVEL
    return periosteal & rest


def _dilated(mask: np.ndarray, radius: float) -> np.ndarray:
    """Dilated with a disc of a radius in voxels."""
    return ndimage.distance_transform_edt(~mask) <= radius if mask.any() else mask


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])

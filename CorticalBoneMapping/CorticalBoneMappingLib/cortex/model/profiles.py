"""Sample the CT along the normals of a surface, from outside to inside.

Slices are often thicker than the cortex, and interpolation between them is a blur of its own that
depends on where the line runs between two slices. So nothing is interpolated between slices: each
sample is moved, parallel to the slice axis, onto the nearest slice, and keeps its *true* distance from
the tangent plane. Within the slice, where pixels are finer than the blur, a cubic spline interpolates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ...core.errors import MeasurementError
from ...core.volume import Volume
from ...io.hu_checks import NO_VALUE_HU
from ..settings import CortexSettings

_CHUNK = 4096  # lines sampled at once: bounds memory to some tens of MB
_SPLINE_MARGIN_PIXELS = 8  # reach of the spline's prefilter


@dataclass(frozen=True)
class Profiles:
    """One sampled line per point.

    Attributes
    ----------
    depth : ndarray of shape (n_points, n_samples)
        Distance inward from the surface in mm, rising along the line (steps are uneven, see above).
    values : ndarray of shape (n_points, n_samples)
        CT values, in the unit in use; 0 where `valid` is False.
    valid : ndarray of bool, shape (n_points, n_samples)
        Whether the sample lies in the scan, and not in padding.
    across : ndarray of shape (n_points,)
        Cosine between the surface normal and the slice normal.
    samples_per_voxel : ndarray of shape (n_points,)
        Number of samples that share the noise of one voxel, since steps are finer than voxels.
    slice_thickness_mm : float
        Width of the slice profile.
    pixel_mm : float
        Mean pixel spacing within the slice.
    line : ndarray of shape (n_samples,)
        Distance inward at which each sample would lie, had it not been moved onto its slice, in mm.
    """

    depth: np.ndarray
    values: np.ndarray
    valid: np.ndarray
    across: np.ndarray
    samples_per_voxel: np.ndarray
    slice_thickness_mm: float
    pixel_mm: float
    line: np.ndarray

    def __len__(self) -> int:
        return len(self.depth)

    def take(self, which: np.ndarray) -> Profiles:
        """Return the profiles of some points only."""
        return replace(
            self,
            depth=self.depth[which],
            values=self.values[which],
            valid=self.valid[which],
            across=self.across[which],
            samples_per_voxel=self.samples_per_voxel[which],
        )


def sample_profiles(
    points: np.ndarray, normals: np.ndarray, volume: Volume, settings: CortexSettings
) -> Profiles:
    """Sample the CT along the inward normals of all points.

    Parameters
    ----------
    points, normals : ndarray of shape (n_points, 3)
        RAS mm; unit normals that point outward.
    volume : Volume
        CT in HU.
    settings : CortexSettings
        Length of the lines and step.

    Returns
    -------
    Profiles
        In HU.

    Raises
    ------
    MeasurementError
        If no point lies in the scan.
    """
    reach = max(settings.outside_mm, settings.inside_mm)
    size = np.array(volume.array.shape[::-1])
    index = volume.index_of(points)
    if not np.any(np.all((index >= -0.5) & (index <= size - 0.5), axis=1)):
        raise MeasurementError(f"The surface lies outside the scan ({volume.source}).")
    box = volume.crop(points, reach + _SPLINE_MARGIN_PIXELS * float(volume.spacing_mm[:2].max()))
    padding = ~(box.array >= NO_VALUE_HU)
    coefficients = _spline_coefficients(box, padding)
    line = _line(volume, settings)
    depth = np.empty((len(points), len(line)))
    values = np.zeros_like(depth)
    valid = np.empty(depth.shape, dtype=bool)
    across = normals @ volume.slice_normal
    for first in range(0, len(points), _CHUNK):
        part = slice(first, first + _CHUNK)
        ijk, depth[part] = _on_slices(box, points[part], normals[part], line)
        valid[part] = np.all((ijk >= -1e-6) & (ijk <= np.array(box.array.shape[::-1]) - 1 + 1e-6), axis=-1)
        places = np.moveaxis(ijk[..., ::-1], -1, 0)
        if padding.any():
            valid[part] &= ~ndimage.map_coordinates(padding, places, order=0, mode="nearest")
        values[part] = ndimage.map_coordinates(
            coefficients,
            places,
            output=np.float64,
            order=3,
            mode="mirror",
            prefilter=False,
        )
    values[~valid] = 0.0
    return Profiles(
        depth,
        values,
        valid,
        across,
        _samples_per_voxel(across, volume, line),
        slice_thickness_mm=volume.slice_thickness_mm or float(volume.spacing_mm[2]),
        pixel_mm=float(volume.spacing_mm[:2].mean()),
        line=line,
    )


def _spline_coefficients(box: Volume, padding: np.ndarray) -> np.ndarray:
    values = box.array.astype(np.float32)
    if min(values.shape) < 2:
        raise MeasurementError(f"{box.source}: one slice is not enough to measure a cortex.")
    if padding.any() and not padding.all():  # else the step to it would ring along the lines beside it
        nearest = ndimage.distance_transform_edt(
            padding, sampling=box.spacing_mm[::-1], return_distances=False, return_indices=True
        )
        values = values[tuple(nearest)]
    return ndimage.spline_filter(values, order=3, output=np.float32, mode="mirror")


def _line(volume: Volume, settings: CortexSettings) -> np.ndarray:
    """Nominal distances inward from the surface, in mm."""
    step = settings.step_mm or float(np.clip(volume.spacing_mm[:2].min() / 2.0, 0.2, 0.5))
    count = int(np.ceil((settings.outside_mm + settings.inside_mm) / step)) + 1
    return -settings.outside_mm + step * np.arange(count)


def _samples_per_voxel(across: np.ndarray, volume: Volume, line: np.ndarray) -> np.ndarray:
    """Mean length of a line in one voxel over the step of the samples, shape (n,)."""
    pixel, spacing = float(volume.spacing_mm[:2].mean()), float(volume.spacing_mm[2])
    crossed_per_mm = np.sqrt(np.maximum(1.0 - across**2, 0.0)) / pixel + np.abs(across) / spacing
    return np.maximum(1.0 / (crossed_per_mm * (line[1] - line[0])), 1.0)


def _on_slices(
    box: Volume, points: np.ndarray, normals: np.ndarray, line: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, m, 3) of the samples, each moved onto its nearest slice, and their depth (n, m)."""
    rotation = box.ras_to_ijk[:3, :3]
    ijk = box.index_of(points)[:, None, :] - line[:, None] * (normals @ rotation.T)[:, None, :]
    moved = np.rint(ijk[..., 2]) - ijk[..., 2]
    ijk[..., 2] += moved
    across_mm = (normals @ box.slice_normal)[:, None] * box.spacing_mm[2]
    return ijk, line - moved * across_mm

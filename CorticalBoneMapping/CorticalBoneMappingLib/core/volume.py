"""A CT volume or a label map: voxels and where they are.

Inside the library every position is RAS in mm. Files and SimpleITK speak LPS; `volume_files` converts
at the edge, once.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property

import numpy as np
from scipy import ndimage

GIVEN = "given"
"""Where a slice thickness comes from that the user gave."""


@dataclass(frozen=True)
class Volume:
    """Voxels with their place in the patient.

    Attributes
    ----------
    array : ndarray of shape (n_k, n_j, n_i)
        HU as float32 for a CT, integers for a label map; axis 0 runs across the slices (files may store them
        otherwise: see `slice_axis`).
    ijk_to_ras : ndarray of shape (4, 4)
        From voxel index (i, j, k) to RAS mm.
    source : str
        Where it came from, for messages.
    modality : str or None
        DICOM modality, if known.
    slice_thickness_mm : float or None
        Width of the slice profile, if the file states it; else take the slice spacing.
    kvp : float or None
        Peak voltage of the X-ray tube, if the file states it.
    slice_thickness_from : str or None
        Where the slice thickness comes from: `GIVEN` by the user, or the name of a file beside the scan; None
        for the scan's own header.
    warnings : tuple of str
        What makes numbers from this volume less certain, a sentence each; every result made from it repeats
        them.
    stored_axes : tuple of int or None
        Which axis (0, 1, 2) of the file each of i, j, k is; None if nobody has asked which is across the
        slices.

    Examples
    --------
    >>> volume = Volume(np.zeros((10, 20, 30), np.float32), np.diag([0.5, 0.5, 2.0, 1.0]))
    >>> volume.spacing_mm.tolist()
    [0.5, 0.5, 2.0]
    >>> volume.index_of(np.array([[1.0, 1.0, 4.0]])).tolist()
    [[2.0, 2.0, 2.0]]
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    source: str = "volume"
    modality: str | None = None
    slice_thickness_mm: float | None = None
    kvp: float | None = None
    _: KW_ONLY
    slice_thickness_from: str | None = None
    warnings: tuple[str, ...] = ()
    stored_axes: tuple[int, int, int] | None = None

    @cached_property
    def spacing_mm(self) -> np.ndarray:
        """Voxel spacing along i, j, k in mm, shape (3,)."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)

    @cached_property
    def slice_normal(self) -> np.ndarray:
        """Unit vector (RAS) across the slices, shape (3,)."""
        return self.ijk_to_ras[:3, 2] / self.spacing_mm[2]

    @cached_property
    def ras_to_ijk(self) -> np.ndarray:
        """From RAS mm to continuous voxel index, shape (4, 4)."""
        return np.linalg.inv(self.ijk_to_ras)

    def index_of(self, points_ras: np.ndarray) -> np.ndarray:
        """Continuous (i, j, k) of points.

        Parameters
        ----------
        points_ras : ndarray of shape (..., 3)
            Points in mm.

        Returns
        -------
        ndarray of shape (..., 3)
        """
        return points_ras @ self.ras_to_ijk[:3, :3].T + self.ras_to_ijk[:3, 3]

    def points_of(self, index_ijk: np.ndarray) -> np.ndarray:
        """RAS mm of voxel indices, shape (..., 3)."""
        return np.asarray(index_ijk) @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]

    def sample(self, points_ras: np.ndarray, order: int = 1) -> np.ndarray:
        """Interpolate at points; not-a-number outside the voxel centres.

        Parameters
        ----------
        points_ras : ndarray of shape (..., 3)
            Points in mm.
        order : int
            Spline order: 0 nearest, 1 linear, 3 cubic.

        Returns
        -------
        ndarray of shape (...)
            Values in the unit of the volume, float32.
        """
        coordinates = np.moveaxis(self.index_of(points_ras)[..., ::-1], -1, 0)
        limit = np.array(self.array.shape).reshape((3,) + (1,) * (coordinates.ndim - 1)) - 1
        inside = np.all((coordinates >= -1e-6) & (coordinates <= limit + 1e-6), axis=0)
        values = ndimage.map_coordinates(
            self.array, coordinates, output=np.float32, order=order, mode="nearest"
        )
        values[~inside] = np.nan
        return values

    def crop(self, points_ras: np.ndarray, margin_mm: float) -> Volume:
        """Cut the box that holds some points and a margin; voxels keep their places.

        Parameters
        ----------
        points_ras : ndarray of shape (n, 3)
            Points in mm.
        margin_mm : float
            Margin on every side.

        Returns
        -------
        Volume
            Shares the voxels of this volume.
        """
        index = self.index_of(points_ras)
        margin = margin_mm / self.spacing_mm
        size = np.array(self.array.shape[::-1])
        low = np.clip(np.floor(index.min(axis=0) - margin).astype(int), 0, size - 1)
        high = np.clip(np.ceil(index.max(axis=0) + margin).astype(int) + 1, low + 1, size)
        matrix = self.ijk_to_ras.copy()
        matrix[:3, 3] = self.points_of(low)
        box = self.array[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
        return replace(self, array=box, ijk_to_ras=matrix)


def without_voxels(shape: tuple[int, ...]) -> np.ndarray:
    """Give an array for a volume of which only the header was read: all not-a-number, taking no memory."""
    return np.broadcast_to(np.float32(np.nan), shape)

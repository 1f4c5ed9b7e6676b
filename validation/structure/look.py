"""The cancellous bone of a real femoral head in CT, and that of simulated ones at its voxel size and blur."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan
from CorticalBoneMappingLib.simulation.hip.structured import structured

SCALES_MM = (1.5, 2.5, 4.0, 8.0)
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_RADIUS_MM = 15.0  # of the sphere in the head, clear of the subchondral plate
# The crop: centre of its head (voxels i, j, k), by eye; its spacing is not known, see the data's README.
_CROP_HEAD = np.array([18.0, 33.0, 31.0])
# Blur of its outer edges of thick cortex, and noise of its muscle less what is smoother than 2.5 mm.
_SCANNER = ScannerSettings(
    voxel_mm=1.27,
    slice_spacing_mm=2.4,
    psf_sigma_mm=1.05,
    noise_hu=8.0,
    noise_correlation_mm=1.0,
    noise_correlation_z_mm=1.5,
    rods=False,
    shaft_cut_mm=60.0,
)


@dataclass(frozen=True)
class Head:
    """The head of one CT.

    Attributes
    ----------
    name : str
        In tables.
    volume : Volume
        The CT, HU.
    centre : ndarray of shape (3,)
        Of the head, RAS mm.
    """

    name: str
    volume: Volume
    centre: np.ndarray

    @property
    def voxels_mm(self) -> np.ndarray:
        """Along z, y, x."""
        return np.linalg.norm(self.volume.ijk_to_ras[:3, :3], axis=0)[::-1]

    def inside(self) -> np.ndarray:
        """Voxels of the sphere, shape (z, y, x)."""
        k, j, i = np.indices(self.volume.array.shape)
        places = self.volume.points_of(np.stack([i, j, k], axis=-1))
        return np.linalg.norm(places - self.centre, axis=-1) < _RADIUS_MM

    def values(self) -> np.ndarray:
        """HU in the sphere."""
        return self.volume.array[self.inside()].astype(float)

    def rough(self, scale_mm: float) -> float:
        """SD of the sphere's HU less their Gaussian mean of SD `scale_mm`."""
        hu = self.volume.array.astype(float)
        return float((hu - ndimage.gaussian_filter(hu, scale_mm / self.voxels_mm))[self.inside()].std())

    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Frequencies (per mm) and power (HU² mm²) in the plane of the slices, mean over 10 slices."""
        voxel = self.voxels_mm[1]
        half = round(_RADIUS_MM / voxel)
        i, j, k = np.round(np.linalg.solve(self.volume.ijk_to_ras[:3, :3], self._from_origin())).astype(int)
        square = self.volume.array[k - 5 : k + 5, j - half : j + half, i - half : i + half].astype(float)
        square = square - square.mean(axis=(1, 2), keepdims=True)
        window = np.outer(np.hanning(2 * half), np.hanning(2 * half))
        power = np.abs(np.fft.fft2(square * window)) ** 2 * voxel**2 / (window**2).sum()
        along = np.fft.fftfreq(2 * half, voxel)
        radius = np.hypot(along[:, None], along)
        edges = np.arange(0.5, half + 0.6) / (2 * half * voxel)
        of = np.digitize(radius, edges)
        mean = power.mean(axis=0)
        rings = range(1, len(edges))
        return 0.5 * (edges[1:] + edges[:-1]), np.array([mean[of == ring].mean() for ring in rings])

    def _from_origin(self) -> np.ndarray:
        return self.centre - self.volume.ijk_to_ras[:3, 3]


def real_head(folder: Path) -> Head:
    """Read the crop of a real CT.

    Parameters
    ----------
    folder : Path
        Of the data, with ``hip_ct_crop/ct.nrrd``.

    Returns
    -------
    Head
    """
    volume = read_volume(folder / "hip_ct_crop" / "ct.nrrd")
    # The file's axes are those of an array; dome and neck show that its slices run downwards.
    matrix = np.diag([*(np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0) * [1.0, -1.0, -1.0]), 1.0])
    volume = replace(volume, ijk_to_ras=matrix)
    return Head("real CT", volume, volume.points_of(_CROP_HEAD[None])[0])


def simulated_head(seed: int, with_structure: bool = True) -> Head:
    """Simulate a left hip and scan it as the crop was scanned.

    Parameters
    ----------
    seed : int
        The person.
    with_structure : bool
        Or smooth.

    Returns
    -------
    Head
    """
    hip = simulate_hip(seed, "left")
    made = simulate_scan(structured(hip, seed) if with_structure else hip, _SCANNER)
    name = f"{'simulated' if with_structure else 'smooth'} {seed}"
    return Head(name, made.volume, made.hip.head_centre)

"""Filtered back-projection on the voxel grid, with the kernels that a console offers."""

from __future__ import annotations

import numpy as np
from scipy import fft, sparse

from .projection import Geometry

# Cut-off (1/mm) of the Hann window; how much frequencies around `at` (1/mm) are raised.
KERNELS: dict[str, tuple[float, float, float]] = {
    "soft": (0.85, 0.0, 1.0),
    "standard": (1.1, 0.0, 1.0),
    "bone": (1.4, 0.9, 0.5),
}


def filter_response(kernel: str, frequency: np.ndarray) -> np.ndarray:
    """Give what a kernel does to the ramp filter.

    Parameters
    ----------
    kernel : str
        ``"soft"``, ``"standard"`` or ``"bone"``.
    frequency : ndarray
        1/mm.

    Returns
    -------
    ndarray
        Factor; 1 at frequency 0, above 1 where the kernel enhances edges.
    """
    cutoff, boost, at = KERNELS[kernel]
    hann = np.where(np.abs(frequency) < cutoff, 0.5 + 0.5 * np.cos(np.pi * frequency / cutoff), 0.0)
    ratio = (frequency / at) ** 2
    return hann * (1.0 + boost * ratio * np.exp(1.0 - ratio))


class BackProjector:
    """Reconstructs slices of one field.

    Parameters
    ----------
    geometry : Geometry
        Views and detector.
    kernel : str
        Of `KERNELS`.
    x, y : ndarray of shape (n_x,), (n_y,)
        Pixel centres in mm from the axis of rotation.
    """

    def __init__(self, geometry: Geometry, kernel: str, x: np.ndarray, y: np.ndarray) -> None:
        self.geometry, self.x, self.y = geometry, x, y
        self._length = fft.next_fast_len(2 * geometry.n_detectors, real=True)
        self._response = self._ramp() * filter_response(kernel, fft.rfftfreq(self._length, geometry.pitch_mm))

    def reconstruct(self, sinograms: np.ndarray) -> np.ndarray:
        """Give the slices.

        Parameters
        ----------
        sinograms : ndarray of shape (n_slices, n_views, n_detectors)
            Line integrals, value · mm.

        Returns
        -------
        ndarray of shape (n_slices, n_y, n_x)
            Values, float32.
        """
        n = self.geometry.n_detectors
        image = np.zeros((len(self.y) * len(self.x), len(sinograms)), dtype=np.float32)
        for view, theta in enumerate(self.geometry.angles):
            spectrum = fft.rfft(sinograms[:, view], self._length, axis=1) * self._response
            filtered = fft.irfft(spectrum, self._length, axis=1)[:, :n]
            image += self._interpolation(theta) @ np.ascontiguousarray(filtered.T, dtype=np.float32)
        image *= np.float32(np.pi / self.geometry.n_views)
        return image.T.reshape(len(sinograms), len(self.y), len(self.x))

    def noise_variance(self, variance: np.ndarray, x: float, y: float) -> float:
        """Give the variance of a slice at a place.

        Parameters
        ----------
        variance : ndarray of shape (n_views, n_detectors)
            Of the samples of the sinogram, which are independent.
        x, y : float
            The place, mm.

        Returns
        -------
        float
            Mean over the places between two detector samples.
        """
        kernel = fft.irfft(self._response, self._length)
        same, next_one = kernel @ kernel, kernel @ np.roll(kernel, 1)
        angles = self.geometry.angles
        t = (x * np.cos(angles) + y * np.sin(angles)) / self.geometry.pitch_mm
        seen = variance[np.arange(len(angles)), np.round(t).astype(int) + self.geometry.n_detectors // 2]
        return float((2.0 * same + next_one) / 3.0 * seen.sum() * (np.pi / self.geometry.n_views) ** 2)

    def _ramp(self) -> np.ndarray:
        """The band-limited ramp from its samples in space, which keeps the mean right.

        Kak and Slaney 1988, Principles of Computerized Tomographic Imaging, eq. 61.
        """
        n = np.arange(self._length)
        n = np.minimum(n, self._length - n)
        odd = n % 2 == 1
        samples = np.where(odd, -1.0 / (np.pi * np.where(odd, n, 1)) ** 2, 0.0)
        samples[0] = 0.25
        return fft.rfft(samples / self.geometry.pitch_mm).real.astype(np.float32)

    def _interpolation(self, theta: float) -> sparse.csr_matrix:
        """Linear interpolation of a view at every pixel."""
        n = self.geometry.n_detectors
        t = np.add.outer(self.y * np.sin(theta), self.x * np.cos(theta)).ravel()
        t = np.clip(t / self.geometry.pitch_mm + n // 2, 0.0, n - 1.001)
        low = t.astype(np.int32)
        share = (t - low).astype(np.float32)
        indices = np.stack([low, low + 1], axis=1).ravel()
        weights = np.stack([1.0 - share, share], axis=1).ravel()
        pointer = np.arange(len(t) + 1, dtype=np.int32) * 2
        return sparse.csr_matrix((weights, indices, pointer), shape=(len(t), n))

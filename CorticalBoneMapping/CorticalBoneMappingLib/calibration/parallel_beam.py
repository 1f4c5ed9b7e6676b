"""Parallel projection of coarse slices and filtered back-projection, for many slices at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft, sparse


@dataclass(frozen=True)
class ParallelBeam:
    """Views over half a turn around the middle of a slice.

    Attributes
    ----------
    shape : tuple of int
        (n_rows, n_columns) of a slice.
    pixel_mm : float
        Of the slice and of the detector.
    n_views : int
        Over half a turn.
    """

    shape: tuple[int, int]
    pixel_mm: float
    n_views: int = 120

    @property
    def angles(self) -> np.ndarray:
        """Of the detector to the rows, radians, shape (n_views,)."""
        return np.pi * (np.arange(self.n_views) + 0.5) / self.n_views

    @property
    def n_detectors(self) -> int:
        """Samples of a view: the diagonal of the slice fits on them."""
        return int(np.ceil(np.hypot(*self.shape))) + 4

    def project(self, slices: np.ndarray) -> np.ndarray:
        """Line integrals.

        Parameters
        ----------
        slices : ndarray of shape (n_slices, n_rows, n_columns)

        Returns
        -------
        ndarray of shape (n_slices, n_views, n_detectors), float32
            In the unit of the slices times mm.
        """
        flat = slices.reshape(len(slices), -1).astype(np.float32)
        rays = (self._splat @ flat.T).T * np.float32(self.pixel_mm)
        return rays.reshape(len(slices), self.n_views, self.n_detectors)

    def reconstruct(self, rays: np.ndarray) -> np.ndarray:
        """Filtered back-projection (Kak and Slaney 1988, equation 3.61) with a Hann window against streaks.

        Parameters
        ----------
        rays : ndarray of shape (n_slices, n_views, n_detectors)

        Returns
        -------
        ndarray of shape (n_slices, n_rows, n_columns), float32
        """
        size = fft.next_fast_len(2 * self.n_detectors, real=True)
        filtered = fft.irfft(fft.rfft(rays, size, axis=-1) * _ramp(size, self.pixel_mm), size, axis=-1)
        filtered = filtered[..., : self.n_detectors].astype(np.float32)
        return self.back_project(filtered) * np.float32(np.pi)

    def back_project(self, rays: np.ndarray) -> np.ndarray:
        """Mean over the views of the value on the ray through each pixel; shapes as of `reconstruct`."""
        slices = (self._splat.T @ rays.reshape(len(rays), -1).T).T / np.float32(self.n_views)
        return slices.reshape(len(rays), *self.shape)

    @cached_property
    def _splat(self) -> sparse.csr_matrix:
        """What each pixel gives to the two detectors nearest to its shadow, (n_rays, n_pixels)."""
        rows, columns = (np.arange(n) - 0.5 * (n - 1) for n in self.shape)
        cos, sin = np.cos(self.angles), np.sin(self.angles)
        place = np.multiply.outer(sin, rows)[:, :, None] + np.multiply.outer(cos, columns)[:, None, :]
        place = (place + 0.5 * (self.n_detectors - 1)).reshape(self.n_views, -1)
        left = np.floor(place).astype(np.int32)
        share = (place - left).astype(np.float32)
        first = left + self.n_detectors * np.arange(self.n_views, dtype=np.int32)[:, None]
        ray = np.stack([first, first + 1]).ravel()
        pixel = np.broadcast_to(np.arange(place.shape[1], dtype=np.int32), (2, *place.shape)).ravel()
        value = np.stack([1.0 - share, share]).ravel()
        return sparse.csr_matrix((value, (ray, pixel)), (self.n_views * self.n_detectors, place.shape[1]))


def _ramp(size: int, pixel_mm: float) -> np.ndarray:
    """Transform of the band-limited ramp, sampled in space so that its mean is right."""
    n = fft.fftfreq(size, 1.0 / size)
    odd = n % 2 == 1
    kernel = np.zeros(size)
    kernel[odd] = -1.0 / (np.pi * n[odd]) ** 2
    kernel[0] = 0.25
    hann = 0.5 + 0.5 * np.cos(2.0 * np.pi * fft.rfftfreq(size))
    return (fft.rfft(kernel).real * hann / pixel_mm).astype(np.float32)

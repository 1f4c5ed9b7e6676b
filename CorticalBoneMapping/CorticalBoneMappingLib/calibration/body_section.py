"""The body in coarse slices of water and bone mineral: from the CT, and completed where that ends.

A scan of a hip is often reconstructed in a field smaller than the body, but the rays went through all of it.
`ParallelBeam` projects such slices and reconstructs them by filtered back-projection, many at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft, ndimage, sparse

from ..core.volume import Volume
from .attenuation import WATER_IN_SOLUTION

PIXEL_MM, SLICE_MM = 2.0, 4.0  # Docs/validation/beam_hardening.md, step 1
# Chosen by hand, not tuned, where no origin is given.
_PADDING_HU = -1100.0  # lower values are not measured
_BONE_HU = (100.0, 200.0)  # from here to there what is brighter than soft tissue becomes bone
_MOST_MINERAL = 1.6  # g/cm³; metal counts as the densest bone
_MUSCLE = 1.05  # attenuation relative to water: its density by ICRU report 44
_BEHIND_SKIN_MM = 15.0
_ROOM_MM = (5.0, 40.0)  # around the body, lateral and for the phantom
_RODS_MM = (-40.0, -20.0, 0.0, 20.0, 40.0)
_HEAD_RADIUS_MM, _HEAD_REACH_MM = 24.0, 60.0


@dataclass(frozen=True)
class Pelvis:
    """The body assumed where the CT ends: an ellipse of muscle, and the hip mirrored.

    A usual adult, chosen by hand: hip breadth about 35 cm, hip joints 17 to 18 cm apart.

    Attributes
    ----------
    width_mm, depth_mm : float
        Of the body at the hips, lying; the middle of the depth is as high as the femoral head.
    midline_mm : float
        From the middle of the body to the middle of the femoral head.
    """

    width_mm: float = 350.0
    depth_mm: float = 235.0
    midline_mm: float = 88.0


@dataclass(frozen=True)
class BodySection:
    """A coarse grid over a CT and the body around it, along the rows and columns of the CT.

    Attributes
    ----------
    first : ndarray of shape (2,)
        Index (i, j) in the CT of the first column and row; the first slice is the CT's.
    step : ndarray of shape (3,)
        Voxels of the CT from one pixel to the next along i, j, k.
    lateral_mm, anterior_mm : ndarray of shape (n_rows, n_columns)
        Of pixels from the middle of the body; lateral is positive on the side of the femur.
    hu : ndarray of shape (n_slices, n_rows, n_columns)
        Of the CT; not-a-number where it does not reach.
    pelvis : Pelvis
        The body where it does not reach.
    """

    first: np.ndarray
    step: np.ndarray
    lateral_mm: np.ndarray
    anterior_mm: np.ndarray
    hu: np.ndarray
    pelvis: Pelvis

    @classmethod
    def around(cls, volume: Volume, femur: np.ndarray, side: str, pelvis: Pelvis) -> BodySection:
        """Make the grid over an axial CT.

        Parameters
        ----------
        volume : Volume
            The CT in HU.
        femur : ndarray of shape (n, 3)
            Points of the femur, RAS mm: its head gives the middle of the body.
        side : {"left", "right"}
            Of the femur.
        pelvis : Pelvis
            The body.
        """
        outward = np.array([1.0 if side == "right" else -1.0, 1.0, 1.0])
        middle = _head(femur, outward[0]) - outward * [pelvis.midline_mm, 0.0, 0.0]
        half = 0.5 * np.array([pelvis.width_mm, pelvis.depth_mm]) + _ROOM_MM
        corners = middle + np.array([[a * half[0], b * half[1], 0.0] for a in (-1, 1) for b in (-1, 1)])
        index = volume.index_of(corners)[:, :2]
        size = np.array(volume.array.shape[::-1])
        step = np.maximum([PIXEL_MM, PIXEL_MM, SLICE_MM] / volume.spacing_mm, [0.0, 0.0, 1.0])
        first, last = np.minimum(index.min(axis=0), 0.0), np.maximum(index.max(axis=0), size[:2] - 1.0)
        columns, rows = (first[n] + step[n] * np.arange((last - first)[n] // step[n] + 1) for n in (0, 1))
        slices = step[2] * np.arange((size[2] - 1) // step[2] + 1)
        plane = np.stack(np.broadcast_arrays(columns, rows[:, None], volume.index_of(middle)[2]), axis=-1)
        away = (volume.points_of(plane) - middle) * outward
        smooth = ndimage.uniform_filter(volume.array, np.maximum(np.round(step[::-1]), 1).astype(int))
        place = np.meshgrid(slices, rows, columns, indexing="ij")
        hu = ndimage.map_coordinates(smooth, place, order=1, cval=np.nan, output=np.float32)
        hu[~(hu > _PADDING_HU)] = np.nan
        return cls(first, step, away[..., 0], away[..., 1], hu, pelvis)

    def tissues(self, lost_hu: np.ndarray, brightness: float) -> tuple[np.ndarray, np.ndarray]:
        """Return water and mineral of the whole body; see `water_and_mineral`.

        Parameters
        ----------
        lost_hu : ndarray
            HU to be taken off first, of the shape of `hu`.
        brightness : float
            Attenuation of 1 g/cm³ of mineral, relative to water.
        """
        seen = np.isfinite(self.hu)
        hu = np.where(seen, np.nan_to_num(self.hu) - lost_hu, -1000.0)
        water, mineral = water_and_mineral(hu, brightness)
        inside = self.lateral_mm / self.pelvis.width_mm, self.anterior_mm / self.pelvis.depth_mm
        body = np.hypot(*inside) < 0.5
        hip = (mineral * body)[:, :, self._mirrored_columns()]
        hidden = ~seen & body
        mineral = np.where(hidden & (self.lateral_mm < 0), hip, mineral)
        filled = np.where(mineral > 0, WATER_IN_SOLUTION[0] + WATER_IN_SOLUTION[1] * mineral, _MUSCLE)
        return np.where(hidden, filled, water).astype(np.float32), mineral.astype(np.float32)

    def under_patient(self, image: np.ndarray) -> float:
        """Return the mean of an image (n_slices, n_rows, n_columns) where the rods of a phantom lie."""
        lateral = self.pelvis.midline_mm + np.array(_RODS_MM)
        behind = -0.5 * self.pelvis.depth_mm - _BEHIND_SKIN_MM
        away = np.hypot(
            self.lateral_mm.ravel()[:, None] - lateral, self.anterior_mm.ravel()[:, None] - behind
        )
        return float(image.reshape(len(image), -1)[:, away.argmin(axis=0)].mean())

    def in_slices(self, image: np.ndarray, slices: slice, shape: tuple[int, ...]) -> np.ndarray:
        """Interpolate an image on the grid at the voxels of some slices of the CT, of a CT of that shape."""
        offset = np.array([slices.start / self.step[2], *(-self.first / self.step[:2])[::-1]])
        shape = (slices.stop - slices.start, *shape[1:])
        return ndimage.affine_transform(
            image, np.diag(1.0 / self.step[::-1]), offset, shape, np.float32, order=1, mode="nearest"
        )

    def _mirrored_columns(self) -> np.ndarray:
        """Of each column the one as far on the other side of the middle of the body."""
        lateral = self.lateral_mm.mean(axis=0)
        return np.abs(lateral[:, None] + lateral).argmin(axis=0)


def water_and_mineral(hu: np.ndarray, brightness: float) -> tuple[np.ndarray, np.ndarray]:
    """Convert HU to water and bone mineral: above soft tissue, bone is K2HPO4 in water.

    Parameters
    ----------
    hu : ndarray
        Of any shape.
    brightness : float
        Attenuation of 1 g/cm³ of mineral, relative to water.

    Returns
    -------
    water, mineral : ndarray
        g/cm³.
    """
    attenuation = np.maximum(1.0 + hu / 1000.0, 0.0)
    low, high = _BONE_HU
    bone = np.clip((hu - low) / (high - low), 0.0, 1.0)
    density = (attenuation - WATER_IN_SOLUTION[0]) / (brightness + WATER_IN_SOLUTION[1])
    mineral = bone * np.clip(density, 0.0, _MOST_MINERAL)
    solvent = WATER_IN_SOLUTION[0] + WATER_IN_SOLUTION[1] * mineral
    return bone * solvent + (1.0 - bone) * attenuation, mineral


def _head(femur: np.ndarray, outward: float) -> np.ndarray:
    """Middle of the femoral head: a radius outward from the innermost point of the upper femur."""
    upper = femur[femur[:, 2] > femur[:, 2].max() - _HEAD_REACH_MM]
    innermost = upper[np.argmin(outward * upper[:, 0])]
    return innermost + np.array([outward * _HEAD_RADIUS_MM, 0.0, 0.0])


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

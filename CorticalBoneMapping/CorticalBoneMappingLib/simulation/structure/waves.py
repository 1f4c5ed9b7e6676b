"""Random fields as sums of plane waves: they have no grid, turn with the bone, and are cheap on blocks.

A sum of many cosines of random directions and phases is very nearly a Gaussian random field (Cahn 1965, J
Chem Phys 42:93; Soyarslan et al. 2018, Acta Materialia 149:326, and Kumar et al. 2020, npj Computational
Materials 6:73, make networks like those of trabeculae of it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_CHUNK = 400_000  # phases at a time: they stay in the processor's cache


@dataclass(frozen=True)
class Waves:
    """A random field of mean 0 and variance 1.

    Attributes
    ----------
    vectors : ndarray of shape (n_waves, 3)
        Wave vectors, rad/mm.
    phases : ndarray of shape (n_waves,)
        At the origin, rad.
    """

    vectors: np.ndarray
    phases: np.ndarray

    @classmethod
    def of_wavelength(
        cls,
        radians_per_mm: float,
        random: np.random.Generator,
        along: np.ndarray,
        stretch: float = 1.0,
        count: int = 160,
    ) -> Waves:
        """Draw a field of one wavelength, stretched along a direction.

        Parameters
        ----------
        radians_per_mm : float
            Root mean square of the gradient, and of the length of the wave vectors.
        random : numpy.random.Generator
        along : ndarray of shape (3,)
            Unit vector of the direction that structures are longer in.
        stretch : float
            How many times longer.
        count : int
            Waves.

        Returns
        -------
        Waves
        """
        vectors = random.standard_normal((count, 3))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors *= np.exp(0.1 * random.standard_normal((count, 1)))
        waves = cls(vectors, random.uniform(0.0, 2.0 * np.pi, count)).stretched(along, stretch)
        return replace(waves, vectors=waves.vectors * (radians_per_mm / waves.radians_per_mm))

    @classmethod
    def of_correlation(cls, length_mm: float, random: np.random.Generator, count: int = 96) -> Waves:
        """Draw a field whose correlation at the distance d is exp(−d² / 2 length²)."""
        vectors = random.standard_normal((count, 3)) / length_mm
        return cls(vectors, random.uniform(0.0, 2.0 * np.pi, count))

    @property
    def radians_per_mm(self) -> float:
        """Root mean square of the gradient."""
        return float(np.sqrt((self.vectors**2).sum(axis=1).mean()))

    def stretched(self, along: np.ndarray, times: float) -> Waves:
        """Return the field stretched along a unit vector (3,)."""
        return replace(
            self, vectors=self.vectors + np.outer(self.vectors @ along, along) * (1.0 / times - 1.0)
        )

    def at(self, points: np.ndarray) -> np.ndarray:
        """Give the field at points (n, 3) in mm, shape (n,), float32."""
        values = np.empty(len(points), dtype=np.float32)
        if not len(points):
            return values
        # Single precision is enough for phases from the middle of the points.
        middle = points.mean(axis=0)
        vectors, phases = self.vectors.T.astype(np.float32), self._phases(middle[None])
        offsets = (points - middle).astype(np.float32)
        step = max(1, _CHUNK // len(self.phases))
        for start in range(0, len(points), step):
            some = slice(start, start + step)
            values[some] = np.cos(offsets[some] @ vectors + phases).sum(axis=1)
        return values * np.float32(np.sqrt(2.0 / len(self.phases)))

    def on_blocks(self, centres: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Give the field at the same offsets from many centres, by a product of two matrices.

        Parameters
        ----------
        centres : ndarray of shape (n_blocks, 3)
            mm.
        offsets : ndarray of shape (n_offsets, 3)
            mm.

        Returns
        -------
        ndarray of shape (n_blocks, n_offsets)
            float32.
        """
        size = np.float32(np.sqrt(2.0 / len(self.phases)))
        at_centre, beside = self._phases(centres), (offsets @ self.vectors.T).astype(np.float32).T
        left = np.concatenate([np.cos(at_centre), -np.sin(at_centre)], axis=1)
        return (size * left) @ np.concatenate([np.cos(beside), np.sin(beside)])

    def moved(self, rotation: np.ndarray, centre: np.ndarray, shift: np.ndarray) -> Waves:
        """Return the field of a bone that was rotated (3, 3) about a centre (3,), then shifted (3,)."""
        vectors = self.vectors @ rotation.T
        return Waves(vectors, self.phases + self.vectors @ centre - vectors @ (centre + shift))

    def _phases(self, points: np.ndarray) -> np.ndarray:
        """Of each wave at each point, as float32 within one turn of 0."""
        phases = points @ self.vectors.T + self.phases
        phases -= 2.0 * np.pi * np.round(phases / (2.0 * np.pi))
        return phases.astype(np.float32)

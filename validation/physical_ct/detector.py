"""From line integrals to what the scanner reconstructs: transmission, photon noise, water correction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .materials import Beam

_LEAST_SIGNAL = 0.5  # photons; starved rays are clamped, as the logarithm needs
_MOST_POISSON = 200.0  # beyond it a Gaussian of the same variance is as good, and ten times as fast


@dataclass(frozen=True)
class Detector:
    """One detector row behind the patient.

    Attributes
    ----------
    beam : Beam
        What shines on it.
    photons : float
        Of an unattenuated ray in one view; infinite for a scan without noise.
    """

    beam: Beam
    photons: float = np.inf

    def measure(
        self, water: np.ndarray, mineral: np.ndarray, random: np.random.Generator | None = None
    ) -> np.ndarray:
        """Measure rays.

        Parameters
        ----------
        water, mineral : ndarray of shape (n_views, n_detectors)
            Line integrals in g/cm³ · mm.
        random : numpy.random.Generator, optional
            Of the photons.

        Returns
        -------
        ndarray of shape (n_views, n_detectors)
            Millimetres of water that would attenuate the beam as much: the standard correction of
            beam hardening, right for water and soft tissue, wrong behind bone.
        """
        signal = _swept(self.beam.transmission(water, mineral))
        if np.isfinite(self.photons):
            signal *= np.float32(self.photons)
            signal = np.maximum(_counts(signal, random), _LEAST_SIGNAL) / np.float32(self.photons)
        return self._corrected(-np.log(signal))

    def variance(self, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        """Give the variance (mm²) of `measure` for one photon; it falls in proportion to their number."""
        signal = self.beam.transmission(water, mineral)
        step = 1e-3
        slope = (self._corrected(step - np.log(signal)) - self._corrected(-np.log(signal))) / step
        return slope**2 / signal

    def _corrected(self, signal: np.ndarray) -> np.ndarray:
        depth = np.zeros_like(signal)
        for coefficient in self.beam.water_correction[:0:-1]:
            depth += signal.dtype.type(coefficient)
            depth *= signal
        return depth


def _swept(signal: np.ndarray) -> np.ndarray:
    """Average the views over the angle that the gantry turns through while it takes one.

    Views blur along their circles, by 0.1 mm (standard deviation) at the hip: less than their distance, so
    1/24 of each neighbour has the second moment of the full average. View −1 is the last, seen from behind.
    """
    behind = np.roll(signal[[-1, 0], ::-1], 1, axis=1)
    before, after = np.concatenate([behind[:1], signal[:-1]]), np.concatenate([signal[1:], behind[1:]])
    return signal + (before + after - 2.0 * signal) * signal.dtype.type(1.0 / 24.0)


def _counts(expected: np.ndarray, random: np.random.Generator) -> np.ndarray:
    counts = random.standard_normal(expected.shape, dtype=np.float32)
    counts *= np.sqrt(expected)
    counts += expected
    few = expected < _MOST_POISSON
    counts[few] = random.poisson(expected[few])
    return counts

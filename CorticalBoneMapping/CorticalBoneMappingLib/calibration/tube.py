"""The beam of a CT tube, and what a scanner makes of it behind water and bone.

Spectrum: Kramers' law (Kramers 1923, Phil Mag 46:836) behind aluminium, weighed by energy as scintillators
do. A scanner corrects each ray as if all it met were water; behind bone mineral that is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from .attenuation import mass_attenuation

# Hubbell and Seltzer 1995, NISTIR 5632: aluminium, cm²/g, total with coherent scatter.
_KEV = np.array([30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0])
_ALUMINIUM = np.array([1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378])
_ALUMINIUM_G_PER_CM3 = 2.699
_LOWEST_KEV, _BIN_KEV = 30.0, 4.0  # below 30 keV nothing passes the filter and a body
# Paths that are tabulated, in g/cm² over mm: 600 mm of water and 80 mm of compact bone.
_MOST_WATER, _MOST_MINERAL, _STEP = 700.0, 120.0, 2.0


@dataclass(frozen=True)
class Tube:
    """A tube and its filter.

    Attributes
    ----------
    kvp : float
        Peak voltage, 70 to 150 kV.
    filter_mm : float
        Aluminium in the beam, all of the tube's and the scanner's filters taken as such.
    """

    kvp: float = 120.0
    filter_mm: float = 10.0

    def water_equivalent(self, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        """Millimetres of water that a scanner takes a ray for, of any one shape.

        Parameters
        ----------
        water, mineral : ndarray
            Line integrals of water and of K2HPO4, g/cm³ · mm.
        """
        return self._look_up(self._table, water, mineral)

    def mineral_brightness(self, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        """Give ∂`water_equivalent` / ∂mineral: how bright a trace of mineral is behind all the rest."""
        return self._look_up(np.gradient(self._table, _STEP, axis=1), water, mineral)

    def _look_up(self, table: np.ndarray, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        place = np.stack([water, mineral]) / _STEP
        return ndimage.map_coordinates(table, place, order=1, mode="nearest", output=np.float32)

    @cached_property
    def _table(self) -> np.ndarray:
        """`water_equivalent` at water × mineral, a step apart."""
        water, mineral = (np.arange(0.0, most + _STEP, _STEP) for most in (_MOST_WATER, _MOST_MINERAL))
        kev, share = self._spectrum
        per_mm = [0.1 * np.array([mass_attenuation(name, e) for e in kev]) for name in ("water", "K2HPO4")]
        by_water = np.exp(-np.multiply.outer(water, per_mm[0])) * share
        signal = -np.log(by_water @ np.exp(-np.multiply.outer(per_mm[1], mineral)))
        deeper = np.arange(0.0, 3 * _MOST_WATER, _STEP)
        of_water = -np.log(np.exp(-np.multiply.outer(deeper, per_mm[0])) @ share)
        return np.interp(signal, of_water, deeper)

    @property
    def _spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Middle of energy bins (keV), and the share of the unattenuated signal in each."""
        count = int(np.ceil((self.kvp - _LOWEST_KEV) / _BIN_KEV))
        edges = np.linspace(_LOWEST_KEV, self.kvp, count + 1)
        kev = 0.5 * (edges[:-1] + edges[1:])
        filtered = np.exp(np.interp(np.log(kev), np.log(_KEV), np.log(_ALUMINIUM)))
        signal = (self.kvp - kev) * np.exp(-0.1 * self.filter_mm * _ALUMINIUM_G_PER_CM3 * filtered)
        return kev, signal / signal.sum()

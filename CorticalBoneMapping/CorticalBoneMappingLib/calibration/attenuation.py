"""Attenuation of X-rays by tissues and dipotassium phosphate (K2HPO4), and the beam of a CT tube.

Mass attenuation coefficients, total with coherent scatter: Hubbell and Seltzer 1995, NISTIR 5632 (tissues as
in ICRU report 44). A CT of a real beam behaves much like one of an effective energy, which tissues of known
composition show. Spectrum: Kramers' law (Kramers 1923, Phil Mag 46:836) behind aluminium, weighted by energy
as scintillators do. A scanner corrects each ray as if all it met were water; behind bone mineral that is not
enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline

_KEV = np.array([30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0])
_CM2_PER_G = {
    "water": (0.3756, 0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505),
    "adipose": (0.3063, 0.2396, 0.2123, 0.1974, 0.1800, 0.1688, 0.1500),
    "muscle": (0.3783, 0.2685, 0.2262, 0.2048, 0.1823, 0.1693, 0.1492),
    "cortical bone": (1.331, 0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480),
    "H": (0.3570, 0.3458, 0.3355, 0.3260, 0.3091, 0.2944, 0.2651),
    "O": (0.3779, 0.2585, 0.2132, 0.1907, 0.1678, 0.1551, 0.1361),
    "P": (1.700, 0.8096, 0.4916, 0.3494, 0.2324, 0.1865, 0.1432),
    "K": (3.413, 1.541, 0.8679, 0.5678, 0.3251, 0.2345, 0.1582),
}
_K2HPO4_GRAMS = {"K": 78.1966, "H": 1.0079, "P": 30.9738, "O": 63.9976}
MINDWAYS_SLOPE, MINDWAYS_OFFSET_HU = -0.2174, 999.6
"""From Mindways' solid rods to K2HPO4 in water: added to HU per mg/cm³, and to HU (its certificate)."""

# A solution of ρ g/cm³ K2HPO4 holds 0.9996 − 0.2174 ρ g/cm³ of water (the same certificate).
WATER_IN_SOLUTION = (0.9996, MINDWAYS_SLOPE)
# Aluminium, cm²/g at `_KEV`, and g/cm³ (Hubbell and Seltzer 1995).
_ALUMINIUM = np.array([1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378])
_ALUMINIUM_G_PER_CM3 = 2.699
# Numerical: below 30 keV nothing passes the filter and a body; bins of 4 keV.
_LOWEST_KEV, _BIN_KEV = 30.0, 4.0
# Numerical: paths that are tabulated, in g/cm² over mm, reach 600 mm of water and 80 mm of compact bone.
_MOST_WATER, _MOST_MINERAL, _STEP = 700.0, 120.0, 2.0


@dataclass(frozen=True)
class ReferenceTissue:
    """A tissue whose composition and density are known well enough to calibrate by.

    Attributes
    ----------
    material : str
        Name in the table of attenuation; "air" attenuates nothing.
    density : float
        g/cm³.
    relative_sd : float
        Standard deviation of the attenuation between people, with what is not known about it.
    """

    material: str
    density: float
    relative_sd: float

    def hu(self, kev: float) -> float:
        """Return the HU at an energy (keV) in a scanner without error."""
        return 1000.0 * (self.relative_attenuation(kev) - 1.0)

    def relative_attenuation(self, kev: float) -> float:
        """Return the linear attenuation relative to water at an energy (keV)."""
        if self.material == "air":
            return 0.0
        return float(self.density * mass_attenuation(self.material, kev) / mass_attenuation("water", kev))


# Densities: adipose tissue is 0.97 to 0.93 g/cm³ as its lipid rises from 61 to 87 % (Woodard and White 1986,
# Br J Radiol 59:1209), that under the skin is at the lipid end; muscle and cortical bone as in ICRU 44. The
# spreads are chosen by hand: 15 HU in fat, 15 HU in muscle (fat within it), 7 % in the cortex (porosity).
REFERENCE_TISSUES = {
    "air": ReferenceTissue("air", 0.0012, 0.0),
    "adipose": ReferenceTissue("adipose", 0.93, 0.0165),
    "muscle": ReferenceTissue("muscle", 1.05, 0.0145),
    "cortical bone": ReferenceTissue("cortical bone", 1.92, 0.07),
}


def mass_attenuation(material: str, kev: float) -> float:
    """Return the mass attenuation coefficient, a log-log cubic spline through the energies of the table.

    Parameters
    ----------
    material : str
        ``"water"``, ``"adipose"``, ``"muscle"``, ``"cortical bone"`` or ``"K2HPO4"``.
    kev : float
        Energy, 30 to 150 keV.

    Returns
    -------
    float
        cm²/g.
    """
    if material == "K2HPO4":
        grams = sum(_K2HPO4_GRAMS.values())
        return sum(g / grams * mass_attenuation(element, kev) for element, g in _K2HPO4_GRAMS.items())
    return float(np.exp(_spline(material)(np.log(kev))))


def hu_per_density(kev: float) -> float:
    """Return HU per mg/cm³ of K2HPO4 in water at an energy (keV), less the water that it displaces."""
    return mass_attenuation("K2HPO4", kev) / mass_attenuation("water", kev) + WATER_IN_SOLUTION[1]


def effective_energy(sigma: float) -> float:
    """Return the energy (keV) at which K2HPO4 has `sigma` HU per mg/cm³; 40 to 140 at the ends.

    The brightness falls with the energy, so there is exactly one.
    """
    kev = np.linspace(40.0, 140.0, 401)
    found = np.array([hu_per_density(energy) for energy in kev])
    return float(np.interp(sigma, found[::-1], kev[::-1]))


@cache
def _spline(material: str) -> CubicSpline:
    return CubicSpline(np.log(_KEV), np.log(_CM2_PER_G[material]))


@dataclass(frozen=True)
class Tube:
    """A tube and its filter.

    Attributes
    ----------
    kvp : float
        Peak voltage, 70 to 150 kV.
    filter_mm : float
        Aluminium that represents all filters of the tube and the scanner; 10 mm by default
        (Docs/validation/beam_hardening.md, step 2).
    """

    kvp: float = 120.0
    filter_mm: float = 10.0

    def water_equivalent(self, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        """Return the water (mm) that attenuates a ray as much, which a scanner assumes; any one shape.

        Parameters
        ----------
        water, mineral : ndarray
            Line integrals of water and of K2HPO4, g/cm³ · mm.
        """
        return self._look_up(self._table, water, mineral)

    def mineral_brightness(self, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        """Return ∂`water_equivalent` / ∂mineral: the brightness of a trace of mineral behind all the rest."""
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

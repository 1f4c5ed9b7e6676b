"""What X-rays meet: attenuation of tissue and bone mineral, and the spectrum of the tube.

Every material is a sum of water and dipotassium phosphate (K2HPO4) in g/cm³, (W, K): its linear attenuation
at energy E is W (μ/ρ)_water(E) + K (μ/ρ)_K2HPO4(E). Two materials describe every other one without an edge
of absorption in the range of the spectrum (Alvarez and Macovski 1976, Phys Med Biol 21:733). A bone voxel
of K2HPO4-equivalent density ρ *is* the solution of ρ mg/cm³ in water, in which W = 0.9996 − 0.2174 ρ/1000
(the same displacement of water that a Mindways certificate subtracts).

Mass attenuation coefficients: Hubbell and Seltzer, NIST tables (NISTIR 5632), total with coherent scatter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_KEV = np.array([20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0])
_CM2_PER_G = {
    "water": (0.8096, 0.3756, 0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505),
    "adipose": (0.5677, 0.3063, 0.2396, 0.2123, 0.1974, 0.1800, 0.1688, 0.1500),
    "muscle": (0.8205, 0.3783, 0.2685, 0.2262, 0.2048, 0.1823, 0.1693, 0.1492),
    "H": (0.3695, 0.3570, 0.3458, 0.3355, 0.3260, 0.3091, 0.2944, 0.2651),
    "O": (0.8651, 0.3779, 0.2585, 0.2132, 0.1907, 0.1678, 0.1551, 0.1361),
    "P": (5.352, 1.700, 0.8096, 0.4916, 0.3494, 0.2324, 0.1865, 0.1432),
    "K": (10.93, 3.413, 1.541, 0.8679, 0.5678, 0.3251, 0.2345, 0.1582),
    "Al": (3.441, 1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378),
    "Cu": (33.79, 10.92, 4.862, 2.613, 1.593, 0.7630, 0.4584, 0.2217),
}
_K2HPO4_GRAMS = {"K": 78.1966, "H": 1.0079, "P": 30.9738, "O": 63.9976}
_FILTER_G_PER_CM2 = {"Al": 0.7 * 2.699, "Cu": 0.01 * 8.96}  # 7 mm and 0.1 mm, the tube's own included
_DENSITY = {"adipose": 0.95, "muscle": 1.05}  # g/cm³, ICRU 44
_DISPLACED_WATER = (0.9996, -0.2174)


def mass_attenuation(material: str, kev: np.ndarray) -> np.ndarray:
    """Give the mass attenuation coefficient, log-log between the energies of the table.

    Parameters
    ----------
    material : str
        ``"water"``, ``"adipose"``, ``"muscle"``, ``"K2HPO4"``, or an element of the table.
    kev : ndarray of shape (n,)
        Energies, 20 to 150 keV.

    Returns
    -------
    ndarray of shape (n,)
        cm²/g.
    """
    if material == "K2HPO4":
        grams = sum(_K2HPO4_GRAMS.values())
        return sum(g / grams * mass_attenuation(element, kev) for element, g in _K2HPO4_GRAMS.items())
    return np.exp(np.interp(np.log(kev), np.log(_KEV), np.log(_CM2_PER_G[material])))


def solution(density: np.ndarray | float, filled: np.ndarray | float = 1.0) -> tuple:
    """Give (W, K) in g/cm³ of bone.

    Parameters
    ----------
    density : float or ndarray
        K2HPO4-equivalent, mg/cm³ of the whole voxel.
    filled : float or ndarray
        Which part of the voxel is bone.

    Returns
    -------
    water, mineral : float or ndarray
    """
    mineral = density * 1e-3
    return _DISPLACED_WATER[0] * filled + _DISPLACED_WATER[1] * mineral, mineral


def tissue(name: str) -> tuple[float, float]:
    """Give (W, K) in g/cm³ of ``"adipose"`` or ``"muscle"``: least squares from 40 to 110 keV."""
    kev = np.linspace(40.0, 110.0, 36)
    basis = np.stack([mass_attenuation("water", kev), mass_attenuation("K2HPO4", kev)], axis=1)
    water, mineral = np.linalg.lstsq(basis, _DENSITY[name] * mass_attenuation(name, kev), rcond=None)[0]
    return float(water), float(mineral)


@dataclass(frozen=True)
class Beam:
    """X-rays as an energy-integrating detector weighs them.

    Attributes
    ----------
    kev : ndarray of shape (n,)
        Energies of the bins.
    weight : ndarray of shape (n,)
        Share of the unattenuated signal in each bin; sum 1.
    """

    kev: np.ndarray
    weight: np.ndarray

    @cached_property
    def per_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Attenuation of water and of K2HPO4 by 1 mm of 1 g/cm³, each of shape (n,)."""
        water, mineral = (0.1 * mass_attenuation(name, self.kev) for name in ("water", "K2HPO4"))
        return water, mineral

    def transmission(self, water: np.ndarray, mineral: np.ndarray) -> np.ndarray:
        """Give the detected share of the beam behind line integrals in g/cm³ · mm, of any one shape."""
        total = np.zeros_like(water)
        exponent, term = np.empty_like(water), np.empty_like(water)
        for share, a, b in zip(self.weight, *self.per_mm):
            np.multiply(water, -a, out=exponent)
            np.multiply(mineral, -b, out=term)
            exponent += term
            np.exp(exponent, out=exponent)
            exponent *= share
            total += exponent
        return total

    @cached_property
    def water_correction(self) -> np.ndarray:
        """Coefficients, lowest first, of the polynomial from −ln(transmission) to mm of water."""
        depth = np.linspace(0.0, 480.0, 400)
        signal = -np.log(self.transmission(depth, np.zeros_like(depth)))
        powers = np.stack([signal**n for n in range(1, 8)], axis=1)
        scale = powers.max(axis=0)
        return np.concatenate([[0.0], np.linalg.lstsq(powers / scale, depth, rcond=None)[0] / scale])

    @property
    def hu_per_density(self) -> float:
        """HU per mg/cm³ of a dilute K2HPO4 solution behind 240 mm of water."""
        water, mineral = self.per_mm
        behind = self.weight * np.exp(-240.0 * water)
        return float(behind @ mineral / (behind @ water) + _DISPLACED_WATER[1])


def tube(kvp: float, bins: int = 12) -> Beam:
    """Give the beam of a tube: Kramers' law behind 7 mm of aluminium and 0.1 mm of copper.

    Parameters
    ----------
    kvp : float
        Peak voltage, 70 to 150 kV.
    bins : int
        Number of energy bins from 25 keV.

    Returns
    -------
    Beam
    """
    edges = np.linspace(25.0, kvp, bins + 1)
    kev = 0.5 * (edges[:-1] + edges[1:])
    filtration = sum(g * mass_attenuation(name, kev) for name, g in _FILTER_G_PER_CM2.items())
    energy = (kvp - kev) * np.exp(-filtration)  # Kramers 1923: photons go as (kvp − E)/E
    return Beam(kev, energy / energy.sum())


def monochromatic(kvp: float) -> Beam:
    """Give the single energy at which dilute K2HPO4 is as bright as in the beam of that tube."""
    target = tube(kvp).hu_per_density
    low, high = 30.0, 140.0
    while high - low > 1e-6:  # brightness falls with energy
        middle = 0.5 * (low + high)
        brighter = Beam(np.array([middle]), np.ones(1)).hu_per_density > target
        low, high = (middle, high) if brighter else (low, middle)
    return Beam(np.array([low]), np.ones(1))

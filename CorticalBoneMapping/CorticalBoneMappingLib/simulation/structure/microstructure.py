"""The microstructure of a bone: what a fine cell at some depth is made of.

From the outside: compact bone whose porosity rises inwards; a trabecularised zone in which the bone fraction
falls to that of cancellous bone, through one half where the smooth bone's cortex ends; a network of struts
and plates in marrow. The mean density deep inside is the smooth bone's, and that of compact bone too.

Numbers and sources
-------------------
Porosity rises inwards: Bousson et al. 2001, J Bone Miner Res 16:1308 (periosteal, middle and endosteal third
of the femoral cortex), Thomas et al. 2005, J Anat 206:115. A trabecularised inner zone: Zebaze et al. 2010,
Lancet 375:1729; Zebaze et al. 2013, Bone 54:8. Spacing and thickness of trabeculae of the femoral head (0.64
and 0.19 mm at a fraction of 0.26): Hildebrand et al. 1999, J Bone Miner Res 14:1167. The ends of the ranges
(4 and 14 %, 0.2 to 1.4 mm), the roughness and every correlation length are chosen by hand within what these
report.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from ...core.errors import SettingError
from .network import Network, gradient_of_sheets
from .waves import Waves

# name -> (lowest, highest, unit)
_BOUNDS = {
    "strut_spacing_mm": (0.4, 3.0, "mm"),
    "stretch": (1.0, 3.0, ""),
    "bundle_variation": (0.0, 0.6, ""),
    "bundle_correlation_mm": (1.0, 20.0, "mm"),
    "strut_density": (600.0, 1600.0, "mg/cm³"),
    "marrow_density": (-150.0, 50.0, "mg/cm³"),
    "porosity_outside": (0.0, 0.4, ""),
    "porosity_inside": (0.0, 0.45, ""),
    "pore_variation": (0.0, 1.0, ""),
    "pore_correlation_mm": (0.15, 2.0, "mm"),
    "zone_least_mm": (0.0, 5.0, "mm"),
    "zone_most_mm": (0.0, 5.0, "mm"),
    "zone_correlation_mm": (1.0, 50.0, "mm"),
    "streak_spacing_mm": (3.0, 100.0, "mm"),
    "streak_mm": (0.0, 5.0, "mm"),
    "roughness_mm": (0.0, 0.4, "mm"),
    "roughness_correlation_mm": (0.5, 5.0, "mm"),
}
_HIGHEST_FRACTION = 0.45  # of cancellous bone: the cortex ends where the fraction falls through one half
_ALONG_MUSCLES, _STREAK_STRETCH = np.array([0.0, 0.0, 1.0]), 3.0  # chosen by hand
_BUNDLE_STRETCH = 2.0  # times that of the struts; by the look of the real CT
_LEAST_COMPACT = 0.3  # of the cortex that the trabecularised zone leaves compact; chosen by hand


@dataclass(frozen=True)
class Structure:
    """What a person's bone is like below the resolution of CT.

    Attributes
    ----------
    strut_spacing_mm : float
        From plate to plate where bone is dense; sparse rods are 1.6 times as far apart.
    stretch : float
        How much longer structures are along the main direction of load.
    bundle_variation, bundle_correlation_mm : float
        SD of the logarithm of the fraction of cancellous bone about the smooth bone's, and its correlation
        length across the main direction of load: bundles of trabeculae and gaps between them.
    strut_density, marrow_density : float
        mg/cm³.
    porosity_outside, porosity_inside : float
        Of compact bone at the surface and where the trabecularised zone begins.
    pore_variation, pore_correlation_mm : float
        SD of the logarithm of porosity from place to place, and its correlation length.
    zone_least_mm, zone_most_mm, zone_correlation_mm : float
        Width of the trabecularised zone: its logarithm is even between these, smooth over the length.
    roughness_mm, roughness_correlation_mm : float
        SD of the periosteum about its smooth surface, and its correlation length (exp(−d² / 2 length²)).
    streak_spacing_mm, streak_mm : float
        Distance of streaks of fat in the muscle around the bone, and SD of their width, which is below 0, so
        that there is none, in half of the muscle; chosen by hand.

    Raises
    ------
    SettingError
        If a value is outside its bounds.
    """

    strut_spacing_mm: float = 0.72
    stretch: float = 1.7
    bundle_variation: float = 0.13
    bundle_correlation_mm: float = 3.5
    strut_density: float = 1150.0
    marrow_density: float = -65.0
    porosity_outside: float = 0.04
    porosity_inside: float = 0.14
    pore_variation: float = 0.5
    pore_correlation_mm: float = 0.4
    zone_least_mm: float = 0.2
    zone_most_mm: float = 1.4
    zone_correlation_mm: float = 8.0
    roughness_mm: float = 0.1
    roughness_correlation_mm: float = 0.8
    streak_spacing_mm: float = 12.0
    streak_mm: float = 1.6

    def __post_init__(self) -> None:
        for name, (lowest, highest, unit) in _BOUNDS.items():
            value = getattr(self, name)
            if not lowest <= value <= highest:  # also refuses not-a-number
                label = name.replace("_", " ")
                wanted = f"choose a value from {lowest:g} to {highest:g} {unit}".strip()
                raise SettingError(f"The {label} of the bone is {value:g}: {wanted}.")


class Made(NamedTuple):
    """What cells are expected to be made of.

    Attributes
    ----------
    fraction : ndarray
        Bone, without pores, in the cell.
    network : ndarray
        Share of the cell that the network fills; 1 in compact bone.
    porosity : ndarray
        Of what the network fills.
    matrix : ndarray
        Density of bone without pores, mg/cm³.
    """

    fraction: np.ndarray
    network: np.ndarray
    porosity: np.ndarray
    matrix: np.ndarray


@dataclass(frozen=True)
class Microstructure:
    """The structure of one bone, fixed to it.

    Attributes
    ----------
    structure : Structure
        Its numbers.
    network : Network
        Of struts.
    bundles, pores, zone, roughness, streaks : Waves
        Random fields of mean 0 and variance 1.
    """

    structure: Structure
    network: Network
    bundles: Waves
    pores: Waves
    zone: Waves
    roughness: Waves
    streaks: Waves

    @classmethod
    def of(cls, structure: Structure, along: np.ndarray, seed: int | list[int]) -> Microstructure:
        """Draw the structure of a bone.

        Parameters
        ----------
        structure : Structure
            Its numbers.
        along : ndarray of shape (3,)
            Main direction of load, a unit vector in RAS.
        seed : int or list of int
            The bone.

        Returns
        -------
        Microstructure
        """
        random = np.random.default_rng(seed)
        return cls(
            structure,
            Network.of_spacing(structure.strut_spacing_mm, random, along, structure.stretch),
            Waves.of_correlation(structure.bundle_correlation_mm, random, 48).stretched(
                along, _BUNDLE_STRETCH * structure.stretch
            ),
            Waves.of_correlation(structure.pore_correlation_mm, random),
            Waves.of_correlation(structure.zone_correlation_mm, random, 48),
            Waves.of_correlation(structure.roughness_correlation_mm, random),
            Waves.of_wavelength(
                gradient_of_sheets(structure.streak_spacing_mm), random, _ALONG_MUSCLES, _STREAK_STRETCH, 48
            ),
        )

    def moved(self, rotation: np.ndarray, centre: np.ndarray, shift: np.ndarray) -> Microstructure:
        """Return that of a bone which was rotated (3, 3) about a centre (3,), then shifted (3,)."""
        fields = {
            name: getattr(self, name)
            for name in ("network", "bundles", "pores", "zone", "roughness", "streaks")
        }
        moved = {name: field.moved(rotation, centre, shift) for name, field in fields.items()}
        return replace(self, **moved)

    def bundled(self, points: np.ndarray, trabecular: np.ndarray) -> np.ndarray:
        """Mean density (n,) of cancellous bone at points (n, 3), from the smooth bone's `trabecular` (n,)."""
        marrow, variation = self.structure.marrow_density, self.structure.bundle_variation
        uneven = np.exp(variation * self.bundles.at(points) - 0.5 * variation**2)
        return marrow + (trabecular - marrow) * uneven

    def zone_mm(self, points: np.ndarray) -> np.ndarray:
        """Width (n,) of the trabecularised zone at points (n, 3), where the cortex is thick enough for it."""
        low, high = self.structure.zone_least_mm, self.structure.zone_most_mm
        least = max(low, 1e-3)
        return least * (max(high, least) / least) ** ndtr(self.zone.at(points))

    def within_streaks(self, points: np.ndarray) -> np.ndarray:
        """How deep (n,) points (n, 3) lie in streaks of fat, mm, negative outside."""
        to_middle = np.abs(self.streaks.at(points)) / self.streaks.radians_per_mm
        # Their width varies with an independent field, below 0 in half of the muscle: there are none.
        return 0.5 * self.structure.streak_mm * self.zone.at(points) - to_middle

    def zone_range(
        self, thickness: np.ndarray, zone_mm: np.ndarray, trabecular: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give where the trabecularised zone begins and how wide it is.

        Parameters
        ----------
        thickness : ndarray of shape (...)
            Of the cortex: the depth at which the bone fraction is one half, mm.
        zone_mm : ndarray of shape (...)
            Of `zone_mm`.
        trabecular : ndarray of shape (...)
            Mean density of the cancellous bone there, mg/cm³.

        Returns
        -------
        start, width : ndarray of shape (...)
            Depth and width, mm. Three tenths of a thin cortex stay compact.
        """
        inner = 1.0 - self.structure.porosity_inside
        before = (inner - 0.5) / (inner - self.trabecular_fraction(trabecular))
        width = np.minimum(zone_mm, (1.0 - _LEAST_COMPACT) * thickness / before)
        return thickness - before * width, width

    def trabecular_fraction(self, trabecular: np.ndarray) -> np.ndarray:
        """Bone fraction of cancellous bone of a mean density in mg/cm³."""
        marrow, strut = self.structure.marrow_density, self.structure.strut_density
        return np.clip((trabecular - marrow) / (strut - marrow), 0.0, _HIGHEST_FRACTION)

    def expected(
        self,
        depth: np.ndarray,
        thickness: np.ndarray,
        zone_mm: np.ndarray,
        cortical: np.ndarray,
        trabecular: np.ndarray,
    ) -> Made:
        """Give what bone is made of on average.

        Parameters
        ----------
        depth : ndarray of shape (...)
            Below the smooth periosteal surface, mm; all arrays of shapes that broadcast.
        thickness, zone_mm, trabecular : ndarray
            As in `zone_range`.
        cortical : ndarray
            Mean density of compact bone, mg/cm³.

        Returns
        -------
        Made
        """
        s = self.structure
        start, width = self.zone_range(thickness, zone_mm, trabecular)
        into_zone = np.clip((depth - start) / np.maximum(width, 1e-3), 0.0, 1.0)
        into_compact = np.clip(depth / np.maximum(start, 1e-3), 0.0, 1.0)
        porosity = s.porosity_outside + (s.porosity_inside - s.porosity_outside) * into_compact
        level = self.trabecular_fraction(trabecular)
        fraction = 1.0 - porosity + into_zone * (level - (1.0 - s.porosity_inside))
        porosity = porosity * (1.0 - into_zone)
        compact = cortical / (1.0 - 0.5 * (s.porosity_outside + s.porosity_inside))
        matrix = compact + into_zone * (s.strut_density - compact)
        return Made(fraction, np.clip(fraction / (1.0 - porosity), 0.0, 1.0), porosity, matrix)

    def fraction(self, made: Made, network: np.ndarray, pores: np.ndarray) -> np.ndarray:
        """Bone fraction of cells whose share of network and value of the pores' field are known."""
        variation = self.structure.pore_variation
        uneven = np.exp(np.float32(variation) * pores - np.float32(0.5 * variation**2))
        return network * (1.0 - np.minimum(made.porosity * uneven, 0.9))

    def density(self, made: Made, network: np.ndarray, fraction: np.ndarray) -> np.ndarray:
        """Density (mg/cm³) of cells of a share of network and bone fraction; pores hold water, 0."""
        return fraction * made.matrix + (1.0 - network) * np.float32(self.structure.marrow_density)

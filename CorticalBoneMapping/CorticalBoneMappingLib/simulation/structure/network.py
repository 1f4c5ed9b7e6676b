"""A network of plates and rods whose bone fraction is given at each place.

Bone is where g1² + a g2² < r², of two independent Gaussian fields g1 and g2: for a = 0 these are sheets
around the places where g1 vanishes (the two-cut level set of Berk 1987, Phys Rev Lett 58:2718), for a = 1
rods around the lines where both vanish. Dense cancellous bone is plate-like, sparse bone rod-like (structure
model index of Hildebrand et al. 1999, J Bone Miner Res 14:1167), so a falls with the wanted fraction, and r
follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import erf

from .waves import Waves

_LEVELS = 2048  # of the wanted fraction in the table
_RODS_BELOW, _PLATES_ABOVE = 0.06, 0.25  # bone fraction; chosen by hand
_LEAST_ROUND = 0.02  # of a: plates with few holes


def gradient_of_sheets(spacing_mm: float) -> float:
    """Rms gradient (per mm) of a field whose sheets g = 0 are some mm apart.

    They have the area 2 k / (π √3) per volume for the rms gradient k of an isotropic field (Berk 1987).
    """
    return float(0.5 * np.pi * np.sqrt(3.0) / spacing_mm)


@dataclass(frozen=True)
class Network:
    """Plates and rods.

    Attributes
    ----------
    first, second : Waves
        The two fields, of the same spectrum.
    """

    first: Waves
    second: Waves

    @classmethod
    def of_spacing(
        cls, spacing_mm: float, random: np.random.Generator, along: np.ndarray, stretch: float
    ) -> Network:
        """Draw a network.

        Parameters
        ----------
        spacing_mm : float
            Mean distance from plate to plate; rods are 1.6 times as far apart.
        random : numpy.random.Generator
        along : ndarray of shape (3,)
            Unit vector of the main direction.
        stretch : float
            How much longer structures are along it.

        Returns
        -------
        Network
        """
        k = gradient_of_sheets(spacing_mm)
        return cls(*(Waves.of_wavelength(k, random, along, stretch) for _ in range(2)))

    def at(self, points: np.ndarray, fraction: np.ndarray) -> np.ndarray:
        """Give the bone's share (n,), nearly 0 or 1, at points (n, 3) of wanted fraction (n,)."""
        return _covered(self.first.at(points), self.second.at(points), fraction, 0.05)

    def on_blocks(
        self, centres: np.ndarray, offsets: np.ndarray, fraction: np.ndarray, cell_mm: float
    ) -> np.ndarray:
        """Give the share of cells that bone fills.

        Parameters
        ----------
        centres : ndarray of shape (n_blocks, 3)
            mm.
        offsets : ndarray of shape (n_cells, 3)
            Of the cells from the centre of their block, mm.
        fraction : ndarray of shape (n_blocks, n_cells)
            Wanted fraction: the mean of what is returned.
        cell_mm : float
            Size of a cell, over which the boundary of a strut is spread.

        Returns
        -------
        ndarray of shape (n_blocks, n_cells)
            float32.
        """
        first, second = (waves.on_blocks(centres, offsets) for waves in (self.first, self.second))
        return _covered(first, second, fraction, round(cell_mm * self.first.radians_per_mm, 2))

    def moved(self, rotation: np.ndarray, centre: np.ndarray, shift: np.ndarray) -> Network:
        """Return the network of a bone that was rotated about a centre, then shifted; see `Waves.moved`."""
        return Network(*(waves.moved(rotation, centre, shift) for waves in (self.first, self.second)))


def _covered(first: np.ndarray, second: np.ndarray, fraction: np.ndarray, softness: float) -> np.ndarray:
    roundness, radius = _levels(softness)
    level = (np.asarray(fraction, dtype=np.float32) * np.float32(_LEVELS) + np.float32(0.5)).astype(np.int16)
    distance = np.sqrt(first**2 + roundness[level] * second**2)
    return np.clip(np.float32(0.5) + (radius[level] - distance) / np.float32(softness), 0.0, 1.0)


@lru_cache(maxsize=16)
def _levels(softness: float) -> tuple[np.ndarray, np.ndarray]:
    """For each level of fraction a, and the r at which the mean of the softened share is that fraction."""
    wanted = np.arange(_LEVELS + 1) / _LEVELS
    roundness = np.clip((_PLATES_ABOVE - wanted) / (_PLATES_ABOVE - _RODS_BELOW), _LEAST_ROUND, 1.0)
    radius = np.concatenate([np.linspace(-softness, 1.2, 400), np.geomspace(1.21, 6.0, 200)])
    found = np.empty_like(wanted)
    some = np.concatenate([np.arange(0, _LEVELS // 3, 12), np.arange(_LEVELS // 3, _LEVELS + 1)])
    shares: dict[float, np.ndarray] = {}
    for level in some:
        a = float(roundness[level])
        if a not in shares:
            parts = radius + softness * ((np.arange(16) + 0.5) / 16 - 0.5)[:, None]
            shares[a] = _share_within(parts, a).mean(axis=0)
        found[level] = np.interp(wanted[level], shares[a], radius)
    found = np.interp(wanted, wanted[some], found[some])
    found[0], found[-1] = -softness, 10.0
    return roundness.astype(np.float32), found.astype(np.float32)


def _share_within(radius: np.ndarray, a: float) -> np.ndarray:
    """Probability of g1² + a g2² < r² for independent standard normal g1, g2."""
    nodes, weights = np.polynomial.legendre.leggauss(32)
    angle = 0.25 * np.pi * (nodes + 1.0)
    r = np.maximum(radius, 0.0)[..., None]
    density = np.exp(-0.5 * (r * np.sin(angle)) ** 2) / np.sqrt(2.0 * np.pi) * r * np.cos(angle)
    return 0.5 * np.pi * (density * erf(r * np.cos(angle) / np.sqrt(2.0 * a)) * weights).sum(axis=-1)

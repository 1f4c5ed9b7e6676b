"""Trabecular morphometry of the simulated network, beside what is published of the proximal femur."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from CorticalBoneMappingLib.simulation.structure.microstructure import Microstructure, Structure

_STEP_MM = 0.025
_LINE_MM, _LINES = 30.0, 300
# Mean density of cancellous bone (mg/cm³), by the table of the simulator's sites.
SITES = {"head": 250.0, "neck": 130.0, "trochanter": 85.0, "shaft": 20.0}


class Morphometry(NamedTuple):
    """Of a piece of cancellous bone, by counts along lines (the parallel plate model of Parfitt 1983).

    Attributes
    ----------
    fraction : float
        Bone volume over total volume.
    per_mm, thickness_mm, separation_mm : float
        Trabecular number, thickness and separation.
    anisotropy : float
        Greatest over least mean intercept length.
    """

    fraction: float
    per_mm: float
    thickness_mm: float
    separation_mm: float
    anisotropy: float


def morphometry(density: float, seeds: range, structure: Structure | None = None) -> Morphometry:
    """Measure the network at a mean density.

    Parameters
    ----------
    density : float
        mg/cm³.
    seeds : range
        Networks that are pooled.
    structure : Structure, optional
        Its numbers.

    Returns
    -------
    Morphometry
    """
    along = np.array([0.0, 0.0, 1.0])
    steps = np.arange(0.0, _LINE_MM, _STEP_MM)
    filled, crossings = [], np.zeros((3, len(seeds)))
    for column, seed in enumerate(seeds):
        made = Microstructure.of(structure or Structure(), along, [seed, 32, 0])
        random = np.random.default_rng([seed, 5])
        for axis in range(3):
            starts = random.uniform(-60.0, 60.0, (_LINES // len(seeds), 3))
            line = steps[:, None] * np.eye(3)[axis]
            places = (starts[:, None] + line).reshape(-1, 3)
            wanted = made.trabecular_fraction(made.bundled(places, np.full(len(places), density)))
            share = made.network.on_blocks(starts, line, wanted.reshape(len(starts), -1), _STEP_MM)
            bone = share > 0.5
            filled.append(share.mean())
            crossings[axis, column] = (bone[:, 1:] != bone[:, :-1]).sum() / (len(starts) * _LINE_MM)
    rate = crossings.mean(axis=1)
    surface = 2.0 * rate.mean()  # per volume; the mean over all directions by that over three axes
    fraction = float(np.mean(filled))
    number = surface / 2.0
    return Morphometry(
        fraction, number, fraction / number, (1.0 - fraction) / number, float(rate[:2].mean() / rate[2])
    )

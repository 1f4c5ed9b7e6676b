"""Give a digital hip a microstructure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..structure.microstructure import Microstructure, Structure
from .bone import Bone, Hip

_MEDIAL_LEAN_DEG = 12.0  # of the main compressive trabeculae of the head from the vertical; chosen by hand


def draw_structure(seed: int | Sequence[int]) -> Structure:
    """Draw a person's structure.

    Spacing ± 10 %, porosities ± 25 %, width of the zone ± 20 %, roughness ± 15 %, anisotropy ± 10 %; these
    standard deviations are chosen by hand.

    Parameters
    ----------
    seed : int or sequence of int
        The person.

    Returns
    -------
    Structure
    """
    normal = np.clip(np.random.default_rng([*_numbers(seed), 31]).standard_normal(5), -2.0, 2.0)
    mean, times = Structure(), np.exp(normal * [0.10, 0.25, 0.20, 0.15, 0.10])
    return replace(
        mean,
        strut_spacing_mm=mean.strut_spacing_mm * times[0],
        porosity_outside=mean.porosity_outside * times[1],
        porosity_inside=mean.porosity_inside * times[1],
        zone_least_mm=mean.zone_least_mm * times[2],
        zone_most_mm=mean.zone_most_mm * times[2],
        roughness_mm=mean.roughness_mm * times[3],
        stretch=max(1.0, mean.stretch * times[4]),
    )


STRUCTURES = ("none", "measured")
"""Names of what a simulated hip can have: smooth bone, or a structure with numbers of real bone."""


def structured(
    hip: Hip, seed: int | Sequence[int], structure: Structure | None = None, others: bool = True
) -> Hip:
    """Return the hip with microstructure.

    Parameters
    ----------
    hip : Hip
        Smooth; its thickness and densities become local means.
    seed : int or sequence of int
        The person: with the same seed the same struts, wherever the hip lies; others on the other side.
    structure : Structure, optional
        Else drawn with the seed.
    others : bool
        Whether the hip bone has a microstructure too, not only the femur.

    Returns
    -------
    Hip
    """
    structure = draw_structure(seed) if structure is None else structure
    lean = np.radians(_MEDIAL_LEAN_DEG)
    along = np.array([0.0, 0.0, np.cos(lean)]) - np.sin(lean) * hip.lateral

    own = [*_numbers(seed), 32, *([1] if hip.side == "left" else [])]

    def with_structure(bone: Bone, number: int) -> Bone:
        return replace(bone, microstructure=Microstructure.of(structure, along, [*own, number]))

    femur = with_structure(hip.femur, 0)
    if not others or not hip.other_bones:
        return replace(hip, femur=femur)
    first, *rest = hip.other_bones
    return replace(hip, femur=femur, other_bones=(with_structure(first, 1), *rest))


def _numbers(seed: int | Sequence[int]) -> list[int]:
    return [seed] if isinstance(seed, int | np.integer) else list(seed)

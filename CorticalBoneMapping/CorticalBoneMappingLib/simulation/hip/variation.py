"""How a person's femur differs from one of the same dimensions: random fields, roughness, osteophytes, fovea.

The fields have the size and the lengths of what thirteen real people leave over once the mean femur has their
dimensions; the program that measured it was not kept. Roughness, osteophytes and fovea were chosen by hand;
not tuned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from .femur_map import PointMap, unit
from .femur_shape import HEAD_CENTRE, HEAD_RADIUS_MM, NECK_BASE, PLACE

# Length (mm) of the Gaussian correlation, and SD (mm) of each component. Set so that simulated people leave
# over what the thirteen real ones do.
FIELDS = ((30.0, 1.3), (12.0, 0.4), (6.0, 0.4))
# Where the fields are larger or smaller: place, how much is added to 1, and how far it reaches (mm).
_FIELD_PLACES = (
    (HEAD_CENTRE, -0.65, 18.0),
    (PLACE["greater_trochanter"], 0.6, 15.0),
    (PLACE["lesser_trochanter"], 0.3, 12.0),
)
SIDES_SHARE = 0.85
"""Correlation of the fields of a person's two sides; two men have 0.84 and 0.87."""
_WAVES = 64

# Along the shaft the fields change more slowly: so many mm of it count as one.
_SHAFT_STRETCH, _SHAFT_BEGINS_MM = 2.5, 8.0

# Roughness: SD (mm) at wavelengths from and to (mm); more where muscles insert, less on the head's cartilage.
_ROUGHNESS_SD_MM = 0.05
_ROUGHNESS_WAVES_MM = (3.0, 8.0)
_ROUGHNESS_WAVES = 128
_ROUGHNESS_PLACES = (
    (HEAD_CENTRE, -0.7, 15.0),
    (PLACE["greater_trochanter"], 2.0, 13.0),
    (PLACE["lateral_face"], 1.2, 12.0),
    (PLACE["front"], 0.5, 12.0),
    (PLACE["back"], 0.8, 12.0),
    (PLACE["lesser_trochanter"], 1.2, 9.0),
)

_COLLAR_CHANCE, _GREATER_CHANCE, _LESSER_CHANCE = 0.2, 0.3, 0.15
_SPUR_MM = (0.5, 3.0)  # height
_SPUR_REACH_MM = (2.2, 4.2)  # SD of the spur: 5 to 10 mm wide
_COLLAR_AT_MM = 12.0  # from the head's centre along the neck
_FOVEA_TO = np.array([-0.945, -0.281, 0.169])  # from the head's centre, found on the mean femur
_FOVEA_DEEPER_MM, _FOVEA_SHIFT_MM = 0.9, 1.5  # SD
_FOVEA_REACH_MM = 5.0


@dataclass(frozen=True)
class Variation:
    """Which kinds of variation a person's femur has.

    Attributes
    ----------
    fields : float
        Multiplies the smooth random fields.
    roughness : float
        Multiplies the roughness of the surface.
    osteophytes : bool
        Whether some people have them; the fovea varies with the fields.
    """

    fields: float = 1.0
    roughness: float = 1.0
    osteophytes: bool = True


@dataclass(frozen=True)
class PersonVariation:
    """One person's variation: two maps from points (n, 3) in the mean femur to displacements (n, 3), mm.

    Attributes
    ----------
    fields : callable
        The smooth random fields, which change the dimensions.
    details : callable
        Roughness, fovea, osteophytes.
    """

    fields: PointMap
    details: PointMap


def draw_variation(
    random: np.random.Generator,
    own: np.random.Generator | None = None,
    variation: Variation | None = None,
) -> PersonVariation:
    """Draw a person's variation of shape.

    Parameters
    ----------
    random : numpy.random.Generator
        The person's; as many numbers are drawn whatever is switched off.
    own : numpy.random.Generator, optional
        The left side's own: with it the femur differs from the right one as real people's two femurs do.
    variation : Variation, optional
        Which kinds; all by default.
    """
    chosen = variation or Variation()
    smooth = [_smooth_field(random, own, *each) for each in FIELDS]
    rough = _roughness(random if own is None else own)
    fovea, osteophytes = _fovea(random, own), _osteophytes(random, own)

    def fields(points: np.ndarray) -> np.ndarray:
        strength = chosen.fields * _strength(points, _FIELD_PLACES)
        places = _stretched(points)
        return strength[:, None] * sum(field(places) for field in smooth)

    def details(points: np.ndarray) -> np.ndarray:
        moved = chosen.fields * fovea(points)
        if chosen.roughness:
            moved += chosen.roughness * _strength(points, _ROUGHNESS_PLACES)[:, None] * rough(points)
        for spur in osteophytes if chosen.osteophytes else ():
            moved += spur(points)
        return moved

    return PersonVariation(fields, details)


def fields_covariance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the covariance of a component of the smooth random fields, between people.

    Parameters
    ----------
    one, other : ndarray of shape (n, 3) and (m, 3)
        Places in the mean femur, mm.

    Returns
    -------
    ndarray of shape (n, m)
        mm².
    """
    squared = cdist(_stretched(one), _stretched(other), "sqeuclidean")
    alike = sum(deviation**2 * np.exp(-0.5 * squared / length**2) for length, deviation in FIELDS)
    return alike * np.outer(_strength(one, _FIELD_PLACES), _strength(other, _FIELD_PLACES))


def _strength(points: np.ndarray, places: tuple[tuple[np.ndarray, float, float], ...]) -> np.ndarray:
    """One, and more or less around some places, shape (n,)."""
    strength = np.ones(len(points))
    for place, more, reach in places:
        strength += more * _bell(points, place, reach)
    return strength


def _stretched(points: np.ndarray) -> np.ndarray:
    """Places at which the fields are evaluated: closer together along the shaft, from its beginning on."""
    up = unit(PLACE["shaft_proximal"] - PLACE["shaft_distal"])
    below = (PLACE["shaft_proximal"] - points) @ up
    softly = _SHAFT_BEGINS_MM * np.logaddexp(0.0, below / _SHAFT_BEGINS_MM)
    return points + ((1.0 - 1.0 / _SHAFT_STRETCH) * softly)[:, None] * up


def _bell(points: np.ndarray, place: np.ndarray, reach: float) -> np.ndarray:
    return np.exp(-0.5 * ((points - place) ** 2).sum(axis=1) / reach**2)


def _smooth_field(
    random: np.random.Generator, own: np.random.Generator | None, length: float, deviation: float
) -> PointMap:
    """Vector field with a Gaussian correlation: a sum of plane waves."""
    wave = random.standard_normal((_WAVES, 3)) / length
    phase = random.uniform(0, 2 * np.pi, _WAVES)
    direction = random.standard_normal((_WAVES, 3))
    if own is not None:
        other = own.standard_normal((_WAVES, 3))
        direction = SIDES_SHARE * direction + np.sqrt(1.0 - SIDES_SHARE**2) * other
    return _waves(wave, phase, direction * deviation * np.sqrt(2.0 / _WAVES))


def _roughness(random: np.random.Generator) -> PointMap:
    """Vector field of short waves; across the surface it is roughness, along it too small to be seen."""
    shortest, longest = _ROUGHNESS_WAVES_MM
    number = 2 * np.pi / random.uniform(shortest, longest, _ROUGHNESS_WAVES)
    to = random.standard_normal((_ROUGHNESS_WAVES, 3))
    wave = number[:, None] * to / np.linalg.norm(to, axis=1, keepdims=True)
    phase = random.uniform(0, 2 * np.pi, _ROUGHNESS_WAVES)
    direction = random.standard_normal((_ROUGHNESS_WAVES, 3))
    return _waves(wave, phase, direction * _ROUGHNESS_SD_MM * np.sqrt(2.0 / _ROUGHNESS_WAVES))


def _waves(wave: np.ndarray, phase: np.ndarray, direction: np.ndarray) -> PointMap:
    return lambda points: np.cos(points @ wave.T + phase) @ direction


def _fovea(random: np.random.Generator, own: np.random.Generator | None) -> PointMap:
    """The pit of the head's ligament lies deeper or less deep, and a little elsewhere."""
    numbers = random.standard_normal(4)
    if own is not None:
        numbers = SIDES_SHARE * numbers + np.sqrt(1.0 - SIDES_SHARE**2) * own.standard_normal(4)
    place = HEAD_CENTRE + (HEAD_RADIUS_MM - 2.0) * _FOVEA_TO
    deeper = -_FOVEA_DEEPER_MM * np.clip(numbers[0], -2, 2) * _FOVEA_TO
    shift = _FOVEA_SHIFT_MM * np.clip(numbers[1:], -2, 2)
    shift -= shift @ _FOVEA_TO * _FOVEA_TO
    return lambda points: (
        _bell(points, place, _FOVEA_REACH_MM)[:, None] * deeper
        + _bell(points, place, 2 * _FOVEA_REACH_MM)[:, None] * shift
    )


def _osteophytes(random: np.random.Generator, own: np.random.Generator | None) -> list[PointMap]:
    """Those that this person has; on the left the same ones, of another height."""
    chance, height, reach = (
        random.uniform(size=3),
        random.uniform(*_SPUR_MM, 3),
        random.uniform(*_SPUR_REACH_MM, 3),
    )
    around, aside = random.uniform(0, 2 * np.pi), random.standard_normal((2, 3))
    if own is not None:
        height = np.minimum(height * np.exp(0.4 * own.standard_normal(3)), _SPUR_MM[1])
        aside = aside + 0.3 * own.standard_normal((2, 3))
    reach = np.maximum(reach, height)  # no steeper: the map must not fold
    found = []
    if chance[0] < _COLLAR_CHANCE:
        found.append(_collar(0.7 * height[0], reach[0], around))
    tips = ("greater_trochanter", _GREATER_CHANCE), ("lesser_trochanter", _LESSER_CHANCE)
    for number, (name, largest) in enumerate(tips):
        if chance[1 + number] < largest:
            found.append(_spur(name, height[1 + number], reach[1 + number], aside[number]))
    return found


def _spur(name: str, height: float, reach: float, aside: np.ndarray) -> PointMap:
    """A spur at the tip of a trochanter, upwards and outwards, where the tendon pulls."""
    up = unit(PLACE["shaft_proximal"] - PLACE["shaft_distal"])
    outward = PLACE[name] - PLACE["shaft_proximal"]
    outward = unit(outward - outward @ up * up)
    upward = 1.0 if name == "greater_trochanter" else 0.4
    push = height * unit(upward * up + (1.3 - upward) * outward + 0.25 * aside)
    place = PLACE[name] + 2.0 * aside
    return lambda points: _bell(points, place, reach)[:, None] * push


def _collar(height: float, reach: float, around: float) -> PointMap:
    """A rim around the neck at the edge of the head's cartilage, highest at one side."""
    axis = unit(NECK_BASE - HEAD_CENTRE)
    first = unit(np.cross(axis, [0.0, 1.0, 0.0]))
    highest = np.cos(around) * first + np.sin(around) * np.cross(axis, first)
    radius = 0.8 * HEAD_RADIUS_MM

    def push(points: np.ndarray) -> np.ndarray:
        from_head = points - HEAD_CENTRE
        along = from_head @ axis
        across = from_head - along[:, None] * axis
        distance = np.linalg.norm(across, axis=1)
        towards = across @ highest / np.maximum(distance, 1e-9)
        band = np.exp(-0.5 * ((along - _COLLAR_AT_MM) / reach) ** 2)
        far = np.exp(-(np.maximum(distance - radius, 0.0) ** 2) / (2 * radius**2))
        strength = height * band * far * (0.35 + 0.65 * np.exp(1.5 * (towards - 1.0)))
        return strength[:, None] * across / radius

    return push

"""A population of femurs: dimensions drawn from published anthropometry.

Means, standard deviations and correlations, and where they are from:

========================  ==============  ===========================================================
dimension                 mean ± SD       source
========================  ==============  ===========================================================
head diameter             46.1 ± 4.8 mm   Noble et al. 1988, Clin Orthop 235:148 (200 femurs); SD
                                          narrowed to 3.5 mm, since theirs is of two sexes pooled with
                                          magnified radiographs
femoral offset            47.0 ± 6.8 mm   mean: Rubin et al. 1992, J Bone Joint Surg Br 74:28; SD:
                                          Carmona et al., 3-D CT of 628 hips (their mean 42.9 mm)
neck–shaft angle          122.2 ± 5.7°    Hartel et al. 2016, PLoS One 11:e0149480, 3-D CT of 1,070
                                          femurs; median, and interquartile range / 1.349
anteversion               14.2 ± 9.6°     Hartel et al. 2016, likewise
neck and shaft width      1 ± 0.07        relative to the mean shape; the order of the coefficients of
                                          variation in dry-femur series (PMC9532221)
trochanter sizes          1 ± 0.08        as neck width; no better figure found
========================  ==============  ===========================================================

Correlations: head diameter with neck width 0.50, with femoral length 0.33 and with the neck–shaft angle −0.14
(PMC9532221, Table 2); offset against neck–shaft angle strongly negative (Soodmand et al. 2019, Orthop Surg
11:135; −0.5 taken); the rest are moderate guesses, marked as such in `_CORRELATIONS`.

One person's femur is a smooth map of the mean shape that carries every point along. Landmarks on the mean
shape (rings on shaft and neck, the head, the trochanters) are moved to where the person's dimensions put
them; a cubic radial spline moves all that lies between, and a smooth random field adds what dimensions do not
describe. So the correspondence between two persons is known at every point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from scipy.interpolate import RBFInterpolator

from .femur_shape import (
    GREATER_TROCHANTER_TIP,
    HEAD_CENTRE,
    HEAD_RADIUS_MM,
    LESSER_TROCHANTER_TIP,
    NECK_BASE,
    SHAFT_AXIS,
)


@dataclass(frozen=True)
class FemurDimensions:
    """Dimensions of one proximal femur.

    Attributes
    ----------
    head_diameter_mm : float
        Diameter of the femoral head.
    offset_mm : float
        Distance of the head's centre from the shaft's axis.
    neck_shaft_angle_deg : float
        Angle between neck and shaft, 3-D.
    anteversion_deg : float
        How far the neck points forward of the coronal plane of the body.
    neck_width, shaft_width : float
        Relative to the mean shape.
    greater_trochanter, lesser_trochanter : float
        How far they protrude, relative to the mean shape.
    """

    head_diameter_mm: float = 46.1
    offset_mm: float = 47.0
    neck_shaft_angle_deg: float = 122.2
    anteversion_deg: float = 14.2
    neck_width: float = 1.0
    shaft_width: float = 1.0
    greater_trochanter: float = 1.0
    lesser_trochanter: float = 1.0


_STANDARD_DEVIATIONS = FemurDimensions(3.5, 6.8, 5.7, 9.6, 0.07, 0.07, 0.08, 0.08)
_NAMES = [field.name for field in fields(FemurDimensions)]
_CORRELATIONS = {
    ("head_diameter_mm", "neck_width"): 0.50,
    ("head_diameter_mm", "neck_shaft_angle_deg"): -0.14,
    ("offset_mm", "neck_shaft_angle_deg"): -0.50,
    ("head_diameter_mm", "offset_mm"): 0.40,  # guess: both grow with the size of the body
    ("head_diameter_mm", "shaft_width"): 0.40,  # guess, likewise
    ("neck_width", "shaft_width"): 0.35,  # guess, likewise
}
# Beyond this a draw would be a deformity rather than a variant of the normal.
_LARGEST_DEVIATION = 2.0


def draw_dimensions(random: np.random.Generator) -> FemurDimensions:
    """Draw one person's dimensions.

    Parameters
    ----------
    random : numpy.random.Generator
        Random numbers.

    Returns
    -------
    FemurDimensions
        From the normal distribution above, within 2 standard deviations of each mean.
    """
    correlation = np.eye(len(_NAMES))
    for (first, second), value in _CORRELATIONS.items():
        i, j = _NAMES.index(first), _NAMES.index(second)
        correlation[i, j] = correlation[j, i] = value
    root = np.linalg.cholesky(correlation)
    while True:
        deviation = root @ random.standard_normal(len(_NAMES))
        if np.all(np.abs(deviation) <= _LARGEST_DEVIATION):
            break
    mean, spread = FemurDimensions(), _STANDARD_DEVIATIONS
    return FemurDimensions(
        **{name: getattr(mean, name) + float(d) * getattr(spread, name) for name, d in zip(_NAMES, deviation)}
    )


def dimensions_of_mean_shape() -> FemurDimensions:
    """Return the dimensions that the undeformed mean shape has, by its own construction."""
    up = _unit(SHAFT_AXIS[0] - SHAFT_AXIS[1])
    arm = HEAD_CENTRE - SHAFT_AXIS[0]
    neck = _unit(HEAD_CENTRE - NECK_BASE)
    return FemurDimensions(
        head_diameter_mm=2 * HEAD_RADIUS_MM,
        offset_mm=float(np.linalg.norm(arm - arm @ up * up)),
        neck_shaft_angle_deg=float(180.0 - np.degrees(np.arccos(neck @ up))),
        anteversion_deg=0.0,
    )


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


PointMap = Callable[[np.ndarray], np.ndarray]

# Chosen by hand; not tuned.
_SHAFT_LEVELS_MM = (-70.0, -100.0, -130.0, -155.0)
_SHAFT_RADIUS_MM = 14.0
_NECK_RADIUS_MM = 13.0
_NECK_FRACTIONS = (0.45, 0.8)
_FIELD_LENGTH_MM = 25.0
_FIELD_SD_MM = 0.6
# Part of the difference in anteversion that twists head and neck against the trochanters; the rest is torsion
# of the shaft below the scan and turns the whole proximal femur.
_NECK_TWIST = 0.3


def individual_map(dimensions: FemurDimensions, random: np.random.Generator | None = None) -> PointMap:
    """Make the map from the mean shape to a person's femur.

    Parameters
    ----------
    dimensions : FemurDimensions
        The person's dimensions.
    random : numpy.random.Generator, optional
        Adds a smooth random deformation (SD 0.6 mm, length 25 mm); without it the map follows the dimensions
        alone.

    Returns
    -------
    callable
        From points (n, 3) on the mean shape to points (n, 3) on the person's right femur, both in mm, in the
        frame of the bone; the person's is turned about the shaft by the anteversion.
    """
    source, target = _landmarks(dimensions)
    spline = RBFInterpolator(source, target - source, kernel="cubic", degree=1)
    wobble = _random_field(random) if random is not None else None
    turn = _about_z(np.radians(dimensions.anteversion_deg) * (1.0 - _NECK_TWIST))

    def mapped(points: np.ndarray) -> np.ndarray:
        moved = points + spline(points)
        if wobble is not None:
            moved = moved + wobble(points)
        return moved @ turn.T

    return mapped


def _landmarks(dimensions: FemurDimensions) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks on the mean shape and where this person has them, each (n, 3)."""
    mean = dimensions_of_mean_shape()
    head_centre, turn = _head_place(dimensions, mean)
    size = dimensions.head_diameter_mm / mean.head_diameter_mm
    width = np.sqrt(size)  # widths follow the size of the body less than in proportion

    ball = _sphere_directions()
    pairs = [(HEAD_CENTRE + HEAD_RADIUS_MM * ball, head_centre + size * HEAD_RADIUS_MM * ball @ turn.T)]
    neck, neck_target = (_free_neck(c, r) for c, r in ((HEAD_CENTRE, 1.0), (head_centre, size)))
    for fraction in _NECK_FRACTIONS:
        ring = _NECK_RADIUS_MM * _ring(neck)
        ring_target = width * dimensions.neck_width * ring @ turn.T
        pairs.append((NECK_BASE + fraction * neck + ring, NECK_BASE + fraction * neck_target + ring_target))
    axis = SHAFT_AXIS[1] - SHAFT_AXIS[0]
    for level in _SHAFT_LEVELS_MM:
        centre = SHAFT_AXIS[0] + axis * (level - SHAFT_AXIS[0][2]) / axis[2]
        ring = _SHAFT_RADIUS_MM * _ring(axis)
        pairs.append((centre + ring, centre + width * dimensions.shaft_width * ring))
    for place, prominence in (
        (GREATER_TROCHANTER_TIP, dimensions.greater_trochanter),
        (np.array([23.0, 10.0, -14.0]), dimensions.greater_trochanter),  # lateral face
        (np.array([8.0, 26.0, -6.0]), 1.0),  # front of the trochanter
        (np.array([6.0, -17.0, -8.0]), 1.0),  # back of the trochanter
        (LESSER_TROCHANTER_TIP, dimensions.lesser_trochanter),
    ):
        root = np.array([2.0, 3.0, place[2] - 0.5 * (place[2] - NECK_BASE[2])])
        pairs.append((place[None], (root + width * prominence * (place - root))[None]))
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _free_neck(head_centre: np.ndarray, size: float) -> np.ndarray:
    """The neck as far as the head leaves it free, from its base; rings on it never meet the head."""
    neck = head_centre - NECK_BASE
    length = np.linalg.norm(neck)
    return neck * (length - size * HEAD_RADIUS_MM) / length


def _head_place(dimensions: FemurDimensions, mean: FemurDimensions) -> tuple[np.ndarray, np.ndarray]:
    """The new centre of the head, and how head and neck turn with it."""
    up = SHAFT_AXIS[0] - SHAFT_AXIS[1]
    up = up / np.linalg.norm(up)
    neck = HEAD_CENTRE - NECK_BASE
    across = neck - neck @ up * up
    # The offset counts from the shaft's axis, the neck from its base: the difference stays as it is.
    reach = np.linalg.norm(across) + dimensions.offset_mm - mean.offset_mm
    rise = reach / np.tan(np.radians(180.0 - dimensions.neck_shaft_angle_deg))
    twist = _about_z(np.radians(dimensions.anteversion_deg) * _NECK_TWIST)
    target = twist @ (reach * across / np.linalg.norm(across)) + rise * up
    return NECK_BASE + target, _between(neck, target)


def _between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Shortest rotation from one direction to another."""
    a, b = first / np.linalg.norm(first), second / np.linalg.norm(second)
    v = np.cross(a, b)
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1.0 + a @ b)


def _about_z(angle: float) -> np.ndarray:
    # Anteversion turns the medial neck (-x) of a right femur forward (+y): clockwise seen from above.
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def _ring(axis: np.ndarray, count: int = 8) -> np.ndarray:
    axis = axis / np.linalg.norm(axis)
    first = np.cross(axis, [0.0, 1.0, 0.0])
    first /= np.linalg.norm(first)
    angle = 2 * np.pi * np.arange(count)[:, None] / count
    return np.cos(angle) * first + np.sin(angle) * np.cross(axis, first)


def _sphere_directions() -> np.ndarray:
    """The 14 directions to faces and corners of a cube, and the centre."""
    corners = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T / np.sqrt(3)
    return np.concatenate([np.eye(3), -np.eye(3), corners, np.zeros((1, 3))])


def _random_field(random: np.random.Generator, waves: int = 64) -> PointMap:
    """Smooth random displacement: a sum of plane waves with a Gaussian spectrum."""
    wave = random.standard_normal((waves, 3)) / _FIELD_LENGTH_MM
    phase = random.uniform(0, 2 * np.pi, waves)
    direction = random.standard_normal((waves, 3)) * _FIELD_SD_MM * np.sqrt(2.0 / waves)
    return lambda points: np.cos(points @ wave.T + phase) @ direction

"""A population of femurs: dimensions with the means, spreads and correlations of real people.

DRAFT
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

from .femur_map import NECK_TWIST, PointMap, Skeleton, about_z, dimension_map
from .femur_shape import DIMENSIONS, PLACE, RESPONSE
from .measured import MEASURED

LEAN_DEG = 9.0
"""By how much the shaft of a person who lies on the back leads forward on its way down, mean of six femurs."""


@dataclass(frozen=True)
class FemurDimensions:
    """Dimensions of one proximal femur, as `measure_anatomy` finds them.

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
    neck_height_mm, neck_depth_mm : float
        Of the neck's narrowest section, from top to bottom and from front to back.
    greater_mm, lesser_mm : float
        How far the tip of the greater trochanter lies above the head's centre along the shaft, and that of the
        lesser one below.
    shaft_radius_mm : float
        Of the shaft below the lesser trochanter.
    greater_size, lesser_size : float
        How far the trochanters protrude, relative to the mean shape.
    lean_deg : float
        How far the shaft leads forward on its way down, as the person lies.
    """

    head_diameter_mm: float = 45.4
    offset_mm: float = 43.2
    neck_shaft_angle_deg: float = 124.2
    anteversion_deg: float = 14.2
    neck_height_mm: float = 32.0
    neck_depth_mm: float = 28.5
    greater_mm: float = 10.8
    lesser_mm: float = 49.1
    shaft_radius_mm: float = 14.5
    greater_size: float = 1.0
    lesser_size: float = 1.0
    lean_deg: float = LEAN_DEG


_STANDARD_DEVIATIONS = FemurDimensions(3.4, 5.7, 5.6, 9.6, 3.0, 2.6, 5.6, 7.4, 1.1, 0.08, 0.08, 3.0)
_NAMES = [field.name for field in fields(FemurDimensions)]
# Of the dimensions in `MEASURED`, in their order, in the thirteen people of the mean femur.
_CORRELATIONS = np.array(
    [
        [1.00, 0.66, -0.55, 0.90, 0.74, 0.56, 0.12, 0.78],
        [0.66, 1.00, -0.89, 0.51, 0.36, 0.74, -0.18, 0.59],
        [-0.55, -0.89, 1.00, -0.40, -0.37, -0.87, 0.48, -0.34],
        [0.90, 0.51, -0.40, 1.00, 0.65, 0.33, 0.37, 0.81],
        [0.74, 0.36, -0.37, 0.65, 1.00, 0.41, -0.08, 0.67],
        [0.56, 0.74, -0.87, 0.33, 0.41, 1.00, -0.64, 0.24],
        [0.12, -0.18, 0.48, 0.37, -0.08, -0.64, 1.00, 0.34],
        [0.78, 0.59, -0.34, 0.81, 0.67, 0.24, 0.34, 1.00],
    ]
)
# Beyond this a draw would be a deformity rather than a variant of the normal.
_LARGEST_DEVIATION = 2.5


def draw_dimensions(random: np.random.Generator) -> FemurDimensions:
    """Draw one person's dimensions.

    Parameters
    ----------
    random : numpy.random.Generator
        Random numbers.

    Returns
    -------
    FemurDimensions
        From the normal distribution above, within 2.5 standard deviations of each mean.
    """
    correlation = np.eye(len(_NAMES))
    rows = [_NAMES.index(name) for name in MEASURED]
    correlation[np.ix_(rows, rows)] = _CORRELATIONS
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
    """Return the dimensions that the mean shape has, as measured; its neck points straight medially."""
    return FemurDimensions(**DIMENSIONS, anteversion_deg=0.0)


_FIELD_LENGTH_MM = 25.0
_FIELD_SD_MM = 0.6


def individual_map(dimensions: FemurDimensions, random: np.random.Generator | None = None) -> PointMap:
    """Make the map from the mean shape to a person's femur.

    Parameters
    ----------
    dimensions : FemurDimensions
        The person's dimensions.
    random : numpy.random.Generator, optional
        Adds a smooth random deformation; without it the map follows the dimensions alone.

    Returns
    -------
    callable
        From points (n, 3) on the mean shape to points (n, 3) on the person's right femur, both in mm, in the
        frame of the bone; the person's is turned about the shaft by the anteversion.
    """
    skeleton = Skeleton(PLACE, {**DIMENSIONS, "greater_size": 1.0, "lesser_size": 1.0})
    wanted = asdict(dimensions)
    change = np.array([wanted[name] - DIMENSIONS[name] for name in MEASURED])
    asked = np.linalg.solve(RESPONSE, change)
    wanted.update({name: DIMENSIONS[name] + float(more) for name, more in zip(MEASURED, asked)})
    wanted = {name: value for name, value in wanted.items() if name in skeleton.dimensions}
    to_person = dimension_map(skeleton, wanted, dimensions.anteversion_deg * NECK_TWIST)
    wobble = _random_field(random) if random is not None else None
    turn = about_z(np.radians(dimensions.anteversion_deg) * (1.0 - NECK_TWIST))
    turn = _about_x(np.radians(dimensions.lean_deg - LEAN_DEG)) @ turn

    def mapped(points: np.ndarray) -> np.ndarray:
        moved = to_person(points)
        if wobble is not None:
            moved = moved + wobble(points)
        return moved @ turn.T

    return mapped


def _about_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _random_field(random: np.random.Generator, waves: int = 64) -> PointMap:
    """Smooth random displacement: a sum of plane waves with a Gaussian spectrum."""
    wave = random.standard_normal((waves, 3)) / _FIELD_LENGTH_MM
    phase = random.uniform(0, 2 * np.pi, waves)
    direction = random.standard_normal((waves, 3)) * _FIELD_SD_MM * np.sqrt(2.0 / waves)
    return lambda points: np.cos(points @ wave.T + phase) @ direction

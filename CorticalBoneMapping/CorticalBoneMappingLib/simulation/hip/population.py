"""A population of femurs: dimensions with the means, spreads and correlations of real people.

Means and SDs are those of 39 real femurs of seven sources (CT and MR), measured by this project's
`measure_anatomy`: head diameter 45.0 ± 3.4 mm, offset 43.0 ± 5.7, neck-shaft angle 124.3 ± 5.6°, neck 31.9 ±
3.0 by 28.3 ± 2.6, greater trochanter 10.4 ± 5.6 above the head's centre, lesser 49.3 ± 7.4 below. Where the
20 from CT have another mean, the value lies between. Published ones, in part defined otherwise: angle 124.7 ±
6.2°, anteversion 14.5 ± 8.1°, offset 42.9 ± 6.8 mm (Carmona et al. 2019, 628 people); angle median 122.2°,
anteversion median 14.2°, quartiles 7.4 and 20.4 (Hartel et al. 2016, PLoS ONE 11:e0149480, 1070 femurs).

Correlations are those of the thirteen people of the mean femur (tools/real_people.py), a twentieth nearer to
none because thirteen are few, but for trochanter height and angle, which the 39 femurs have: −0.90 mm/°.

Women and men differ by the head (49 and 43 mm in 170 people, by calliper, published from a German collection:
'Determination of sex from femora'; 5 mm here), the anteversion (16.4 and 12.1°) and the angle (123.0 and
121.5°; Hartel et al. 2016); in neck, offset, shaft and trochanters about in proportion to the head. The
spread within a sex is what leaves the SD of all as above.

A person's two sides differ by SDs that give the absolute differences published: anteversion 4.3° and offset
2.5 mm (Dimitriou et al. 2016, 61 people), angle 2.9° and head 1.2 % (Laumonerie et al. 2018, 345 people),
neck less than 4 %, shaft less than 3.5 % (Young et al. 2013, Clin Orthop Relat Res 471:1593, 160 pairs); the
trochanters' are those of two men.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

from .femur_map import PointMap, Skeleton, about_z, dimension_changes, dimension_map, lesser_change
from .femur_shape import DIMENSIONS, PLACE, RESPONSE
from .measured import MEASURED
from .variation import PersonVariation, Variation, draw_variation

LEAN_DEG = 9.0
"""How far the shaft of a person who lies on the back leads forward on its way down, mean of six femurs."""
WOMAN, MAN = "woman", "man"


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
        How far the tip of the greater trochanter lies above the head's centre along the shaft, and that of
        the lesser one below.
    shaft_radius_mm : float
        Of the shaft below the lesser trochanter.
    greater_size, lesser_size : float
        How far the trochanters protrude, relative to the mean shape.
    neck_twist_deg : float
        How far of the anteversion head and neck are twisted against the trochanters, compared with the mean
        shape.
    lean_deg : float
        How far the shaft leads forward on its way down, as the person lies.
    sex : str or None
        `WOMAN`, `MAN`, or None if it is nobody's in particular.
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
    neck_twist_deg: float = 0.0
    lean_deg: float = LEAN_DEG
    sex: str | None = None


_NAMES = [field.name for field in fields(FemurDimensions) if field.name != "sex"]
_MEAN = np.array([getattr(FemurDimensions(), name) for name in _NAMES])
# In the order of the dimensions: SD of all people, mean of the men less that of the women, SD of the
# difference between a person's two sides. The SDs of sizes and twist are those of the thirteen people.
_SD = np.array([3.4, 5.7, 5.4, 9.6, 3.0, 2.5, 5.4, 6.4, 1.15, 0.10, 0.07, 4.3, 3.0])
_MEN_MORE = np.array([5.0, 4.0, -1.5, -4.3, 3.8, 2.8, 2.0, 4.0, 1.3, 0.0, 0.0, 0.0, 0.0])
_SIDES_SD = np.array([0.6, 2.5, 2.7, 4.8, 1.0, 0.9, 2.0, 2.5, 0.4, 0.05, 0.05, 2.0, 0.5])
# Of the dimensions in `MEASURED`, in their order, in the thirteen people of the mean femur.
_OF_THIRTEEN = np.array(
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
_SHRUNK = 0.95
_TWIST_AND_ANTEVERSION = 0.6  # chosen by hand
_ANGLE_AND_TROCHANTER = -0.90  # the slope in 39 femurs, mm/°, and their correlation: both have an SD of 5.6
# One draw in a hundred lies farther out, all dimensions together (chi-squared of 13): a deformity, drawn
# again.
_FARTHEST = 27.7


def _correlations() -> np.ndarray:
    """Of all dimensions, women and men together, shape (13, 13)."""
    measured = _SHRUNK * _OF_THIRTEEN
    angle, greater = MEASURED.index("neck_shaft_angle_deg"), MEASURED.index("greater_mm")
    measured[[angle, greater], [greater, angle]] = _ANGLE_AND_TROCHANTER
    np.fill_diagonal(measured, 1.0)
    rows = [_NAMES.index(name) for name in MEASURED]
    correlation = np.eye(len(_NAMES))
    correlation[np.ix_(rows, rows)] = measured
    twist, anteversion = _NAMES.index("neck_twist_deg"), _NAMES.index("anteversion_deg")
    correlation[[twist, anteversion], [anteversion, twist]] = _TWIST_AND_ANTEVERSION
    return correlation


_HALF = 0.5 * _MEN_MORE


def _within_a_sex() -> np.ndarray:
    """Covariance with which half women and half men have the SDs and correlations of all."""
    correlation = _correlations()
    between = np.where(correlation != 0.0, np.outer(_HALF, _HALF), 0.0)
    return correlation * np.outer(_SD, _SD) - between


_WITHIN = _within_a_sex()


def draw_dimensions(random: np.random.Generator, sex: str | None = None) -> FemurDimensions:
    """Draw one person's dimensions.

    Parameters
    ----------
    random : numpy.random.Generator
        Random numbers.
    sex : {"woman", "man"}, optional
        By default one of them, with equal chances.

    Returns
    -------
    FemurDimensions
        Of the person's right femur; see `other_side`.
    """
    drawn = MAN if random.uniform() < 0.5 else WOMAN
    sex = drawn if sex is None else sex
    return _dimensions(_mean_of(sex) + _deviation(random), sex)


def _deviation(random: np.random.Generator) -> np.ndarray:
    """From the mean of the person's sex."""
    while True:
        normal = random.standard_normal(len(_NAMES))
        if normal @ normal <= _FARTHEST:
            return np.linalg.cholesky(_WITHIN) @ normal


def _mean_of(sex: str | None) -> np.ndarray:
    return _MEAN + {MAN: 1.0, WOMAN: -1.0}.get(sex or "", 0.0) * _HALF


def _dimensions(values: np.ndarray, sex: str | None) -> FemurDimensions:
    return FemurDimensions(**dict(zip(_NAMES, map(float, values))), sex=sex)


def other_side(dimensions: FemurDimensions, random: np.random.Generator) -> FemurDimensions:
    """Draw the dimensions of a person's left femur from those of the right one.

    Parameters
    ----------
    dimensions : FemurDimensions
        Of the right femur.
    random : numpy.random.Generator
        The left side's own random numbers.

    Returns
    -------
    FemurDimensions
        So far apart as the two sides of real people, and with the same distribution over all people.
    """
    mean = _mean_of(dimensions.sex)
    spread = np.sqrt(np.diag(_WITHIN))
    alike = 1.0 - 0.5 * (_SIDES_SD / spread) ** 2  # correlation of the two sides
    right = np.array([getattr(dimensions, name) for name in _NAMES])
    return _dimensions(
        mean + alike * (right - mean) + np.sqrt(1.0 - alike**2) * _deviation(random), dimensions.sex
    )


def dimensions_of_mean_shape() -> FemurDimensions:
    """Return the dimensions that the mean shape has, as measured; its neck points straight medially."""
    return FemurDimensions(**DIMENSIONS, anteversion_deg=0.0)


def individual_map(
    dimensions: FemurDimensions,
    random: np.random.Generator | None = None,
    own: np.random.Generator | None = None,
    variation: Variation | None = None,
) -> PointMap:
    """Make the map from the mean shape to a person's femur.

    Parameters
    ----------
    dimensions : FemurDimensions
        The person's dimensions.
    random : numpy.random.Generator, optional
        Adds individual variation; without it the map follows the dimensions alone.
    own : numpy.random.Generator, optional
        Of the left side: its variation is then like the right one's, but not the same.
    variation : Variation, optional
        Which kinds of variation; all by default.

    Returns
    -------
    callable
        From points (n, 3) on the mean shape to points (n, 3) on the person's femur as a right one, both in
        mm, in the frame of the bone; the person's is turned about the shaft by the anteversion.
    """
    skeleton = Skeleton(PLACE, {**DIMENSIONS, "greater_size": 1.0, "lesser_size": 1.0})
    varied = draw_variation(random, own, variation) if random is not None else None
    wanted = asdict(dimensions)
    change = np.array([wanted[name] - DIMENSIONS[name] for name in MEASURED])
    if varied is not None:
        change -= dimension_changes(skeleton, varied.fields)
    asked = np.linalg.solve(RESPONSE, change)
    wanted.update({name: DIMENSIONS[name] + float(more) for name, more in zip(MEASURED, asked)})
    wanted = {name: value for name, value in wanted.items() if name in skeleton.dimensions}
    wanted["lesser_size"] = _protruding(skeleton, dimensions, varied)
    to_person = dimension_map(skeleton, wanted, dimensions.neck_twist_deg)
    turn = about_z(np.radians(dimensions.anteversion_deg - dimensions.neck_twist_deg))
    turn = _about_x(np.radians(dimensions.lean_deg - LEAN_DEG)) @ turn

    def mapped(points: np.ndarray) -> np.ndarray:
        moved = to_person(points)
        if varied is not None:
            moved = moved + varied.fields(points) + varied.details(points)
        return moved @ turn.T

    return mapped


# The lesser trochanter of the mean shape, from the bone beside it; in the thirteen people 8.8 ± 3.1 mm.
_PROTRUDES_MM = 9.0


def _protruding(skeleton: Skeleton, dimensions: FemurDimensions, varied: PersonVariation | None) -> float:
    """The lesser trochanter's size at which it protrudes in everybody: what changes it multiplies."""
    reach = np.linalg.norm(PLACE["lesser_trochanter"] - PLACE["shaft_proximal"])
    by_fields = lesser_change(skeleton, varied.fields) if varied is not None else 0.0
    more = (dimensions.lesser_size - 1.0) * reach + by_fields
    wanted = _PROTRUDES_MM * np.expm1(np.clip(more / _PROTRUDES_MM, -1.5, 0.8))
    return 1.0 + (wanted - by_fields) / reach


def _about_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])

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
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .femur_shape import HEAD_CENTRE, HEAD_RADIUS_MM, NECK_BASE, SHAFT_AXIS


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
        How far they stand out, relative to the mean shape.
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
        Source of chance.

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
    """Give the dimensions that the undeformed mean shape has, by its own construction."""
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

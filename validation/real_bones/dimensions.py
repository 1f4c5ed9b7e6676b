"""Dimensions of a proximal femur, and what the issue's table has of real ones."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from CorticalBoneMappingLib.anatomy import Anatomy


@dataclass(frozen=True)
class Dimensions:
    """Dimensions of one femur as `measure_anatomy` finds them; mm and degrees.

    Attributes
    ----------
    neck_shaft_angle_deg, head_radius_mm, offset_mm, neck_length_mm : float
        As in `Anatomy`.
    greater_above_mm : float
        Top of the greater trochanter above the head's centre, along the shaft's axis.
    lesser_below_mm : float
        Tip of the lesser trochanter below it.
    neck_width_mm, neck_depth_mm : float
        Narrowest section of the neck, top to bottom and front to back.
    """

    neck_shaft_angle_deg: float
    head_radius_mm: float
    offset_mm: float
    neck_length_mm: float
    greater_above_mm: float
    lesser_below_mm: float
    neck_width_mm: float
    neck_depth_mm: float


NAMES = tuple(field.name for field in fields(Dimensions))
LABELS = {
    "neck_shaft_angle_deg": "neck–shaft angle, °",
    "head_radius_mm": "head radius, mm",
    "offset_mm": "offset, mm",
    "neck_length_mm": "neck length, mm",
    "greater_above_mm": "greater trochanter above head centre, mm",
    "lesser_below_mm": "lesser trochanter below head centre, mm",
    "neck_width_mm": "neck, top to bottom, mm",
    "neck_depth_mm": "neck, front to back, mm",
}
REAL = {
    "neck_shaft_angle_deg": (124.3, 5.6),
    "head_radius_mm": (22.5, 1.7),
    "offset_mm": (43.0, 5.7),
    "neck_length_mm": (51.4, 4.7),
    "greater_above_mm": (10.4, 5.6),
    "lesser_below_mm": (49.3, 7.4),
    "neck_width_mm": (31.9, 3.0),
    "neck_depth_mm": (28.3, 2.6),
}
"""Mean and SD of 39 real femurs from seven sources (CT and MR), measured with the same tool."""
REAL_SLOPE = -0.90
"""Height of the greater trochanter on the neck–shaft angle in the same femurs, mm/°."""


def dimensions_of(anatomy: Anatomy) -> Dimensions:
    """Take the dimensions from an anatomy."""
    lesser = anatomy.frame.coordinates(anatomy.landmarks["lesser_trochanter"])[2]
    return Dimensions(
        neck_shaft_angle_deg=anatomy.neck_shaft_angle_deg,
        head_radius_mm=anatomy.head_radius_mm,
        offset_mm=anatomy.offset_mm,
        neck_length_mm=anatomy.neck_length_mm,
        greater_above_mm=anatomy.greater_height_mm,
        lesser_below_mm=-float(lesser),
        neck_width_mm=anatomy.neck_width_mm,
        neck_depth_mm=anatomy.neck_depth_mm,
    )


def table_of(people: list[Dimensions]) -> np.ndarray:
    """Stack dimensions, shape (people, 8), in the order of `NAMES`."""
    return np.array([[getattr(one, name) for name in NAMES] for one in people]).reshape(-1, len(NAMES))


def slope(table: np.ndarray) -> float:
    """Return the height of the greater trochanter on the neck–shaft angle, mm/°; not-a-number below three."""
    angle, height = table[:, NAMES.index("neck_shaft_angle_deg")], table[:, NAMES.index("greater_above_mm")]
    if len(table) < 3:
        return float("nan")
    return float(np.polyfit(angle, height, 1)[0])

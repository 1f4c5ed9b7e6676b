"""The dimensions of a femur as measured on its surface, by the names of `population.FemurDimensions`."""

from __future__ import annotations

import numpy as np

from ...anatomy import Anatomy

MEASURED = (
    "head_diameter_mm",
    "offset_mm",
    "neck_shaft_angle_deg",
    "neck_height_mm",
    "neck_depth_mm",
    "greater_mm",
    "lesser_mm",
    "shaft_radius_mm",
)
"""Those of the dimensions that `measure_anatomy` finds on a proximal femur."""


def measured_dimensions(anatomy: Anatomy) -> dict[str, float]:
    """Return the measured dimensions.

    Parameters
    ----------
    anatomy : Anatomy
        Of any proximal femur.

    Returns
    -------
    dict of str to float
        By the names in `MEASURED`. ``greater_mm`` is how far the top of the greater trochanter lies above the
        head's centre along the shaft, ``lesser_mm`` how far the tip of the lesser trochanter lies below.
    """
    up, head = anatomy.shaft_axis.direction, anatomy.landmarks["head_centre"]
    values = (
        2.0 * anatomy.head_radius_mm,
        anatomy.offset_mm,
        anatomy.neck_shaft_angle_deg,
        anatomy.neck_width_mm,
        anatomy.neck_depth_mm,
        anatomy.greater_height_mm,
        (head - anatomy.landmarks["lesser_trochanter"]) @ up,
        anatomy.shaft_radius_mm,
    )
    return dict(zip(MEASURED, map(float, np.array(values))))

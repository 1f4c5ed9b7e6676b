"""What is left of a small spot after it was carried to the average femur from many people and averaged."""

from __future__ import annotations

import numpy as np

from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.registration.result import carry
from CorticalBoneMappingLib.simulation.hip.femur_map import unit
from CorticalBoneMappingLib.simulation.hip.femur_shape import (
    DIMENSIONS,
    HEAD_CENTRE,
    HEAD_RADIUS_MM,
    LESSER_TROCHANTER_TIP,
    NECK_BASE,
    PLACE,
    SHAFT_AXIS,
    axis_at,
)

from .ours import Registered
from .subjects import Subject, Template, dense_mean

FWHM_MM = 10.0
_NEAR_MM = 12.0
_UP = unit(SHAFT_AXIS[0] - SHAFT_AXIS[1])
_ALONG_NECK = unit(NECK_BASE - HEAD_CENTRE)
_LATERAL = np.array([DIMENSIONS["shaft_radius_mm"], 0.0, 0.0])
_OVER_NECK = unit(_UP - _UP @ _ALONG_NECK * _ALONG_NECK)
_NECK_HEIGHT_MM, _NECK_DEPTH_MM = DIMENSIONS["neck_height_mm"], DIMENSIONS["neck_depth_mm"]
# On or near the mean shape; the closest place on it is taken.
PLACES = {
    "neck, superior": PLACE["neck_centre"] + 0.5 * _NECK_HEIGHT_MM * _OVER_NECK,
    "neck, inferior": PLACE["neck_centre"] - 0.5 * _NECK_HEIGHT_MM * _OVER_NECK,
    "neck, anterior": PLACE["neck_centre"] + 0.5 * _NECK_DEPTH_MM * np.cross(_OVER_NECK, _ALONG_NECK),
    "intertrochanteric, anterior": PLACE["front"],
    "greater trochanter, lateral": PLACE["lateral_face"],
    "lesser trochanter": PLACE["lesser_trochanter"],
    "head, superior": HEAD_CENTRE + HEAD_RADIUS_MM * _UP,
    "shaft, lateral": axis_at(LESSER_TROCHANTER_TIP[2] - 32.0) + _LATERAL,
}


def kept_depths(
    subjects: list[Subject], registered_template: list[Registered], template: Template
) -> dict[str, tuple[float, int]]:
    """Paint a spot of depth 1 at homologous points, carry it to the average, and average.

    Parameters
    ----------
    subjects : list of Subject
        Who is painted.
    registered_template : list of Registered
        The average on each.
    template : Template
        The average, and what its vertices mean.

    Returns
    -------
    dict of str to (float, int)
        By place: the greatest depth of the average map, and how many subjects have the place.
    """
    on_mean = closest_points(dense_mean(), np.array(list(PLACES.values()))).points(dense_mean())
    near = np.linalg.norm(template.mean_points[:, None] - on_mean, axis=2) < _NEAR_MM
    maps, there = zip(
        *[_carried(subject, each, on_mean) for subject, each in zip(subjects, registered_template)]
    )
    known = np.isfinite(maps)
    mean = np.where(known, maps, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    count = np.sum(there, axis=0)
    return {
        name: (float(mean[near[:, place], place].max()), int(count[place]))
        for place, name in enumerate(PLACES)
    }


def _carried(
    subject: Subject, registered_template: Registered, on_mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The spots of one subject on the average, shape (n_average, n_places), and whether it has the places."""
    centres = subject.truth(on_mean)
    squared = ((subject.surface.points[:, None] - centres) ** 2).sum(axis=2)
    spots = np.exp(-4.0 * np.log(2.0) * squared / FWHM_MM**2)
    place = closest_points(subject.surface, registered_template.surface.points)
    carried = carry(subject.surface, place, registered_template.covered, spots, "subject")
    there = subject.exists(centres, margin_mm=FWHM_MM)
    return np.where(there, carried, np.nan), there

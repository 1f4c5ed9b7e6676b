"""Measure the anatomy of a subject's femur, and deform the average femur to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..anatomy import Anatomy, anatomy_from_landmarks, measure_anatomy
from ..core.errors import SurfaceError
from ..core.surface import Surface
from ..registration import Registration

DEFORMATION = "bending"
"""Stored name of an array of the registered average: displacement of each point beyond the similarity, mm."""
EXPECTED_ERROR = "expected_error"
"""Stored name of an array: expected error of each vertex along the surface, mm (RMS)."""

MEASUREMENTS = (
    "head_radius_mm",
    "neck_shaft_angle_deg",
    "neck_shaft_angle_sd_deg",
    "offset_mm",
    "neck_length_mm",
    "neck_width_mm",
    "neck_depth_mm",
    "neck_trochanter_angle_deg",
    "greater_height_mm",
    "shaft_radius_mm",
    "head_residual_mm",
    "shaft_length_mm",
    "shaft_residual_mm",
)
"""Attributes of `Anatomy` that go into a record."""

_NEAR_MM = 15.0  # standard deviation of the weights around a landmark; chosen by hand


def registered_average(registration: Registration) -> Surface:
    """Return the average femur registered to a subject, with its deformation.

    Parameters
    ----------
    registration : Registration
        Of the subject.

    Returns
    -------
    Surface
        Subject's RAS; the arrays of the average, and `DEFORMATION` and `EXPECTED_ERROR` (mm), which are
        not-a-number where the subject has no counterpart.
    """
    moved_mm = np.linalg.norm(registration.points - _moved(registration, registration.average.points), axis=1)
    moved_mm = np.where(registration.covered, moved_mm, np.nan).astype(np.float32)
    registered_template = registration.deformed.with_arrays(**registration.average.arrays)
    arrays = {DEFORMATION: moved_mm, EXPECTED_ERROR: registration.expected_error.astype(np.float32)}
    return registered_template.with_arrays(dict.fromkeys(arrays, "mm"), **arrays)


def similarity_to_subject(registration: Registration) -> np.ndarray:
    """Return the similarity from the average femur to the subject, shape (4, 4).

    For a left femur the mirror is part of it, so its determinant is negative.
    """
    mirror = np.diag([-1.0 if registration.side == "left" else 1.0, 1.0, 1.0, 1.0])
    return mirror @ registration.matrix


def subject_anatomy(
    bone: Surface, registration: Registration, landmarks: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Measure the anatomy of a registered femur.

    Parameters
    ----------
    bone : Surface
        The subject's.
    registration : Registration
        Of it.
    landmarks : mapping of str to ndarray of shape (3,)
        Of the average femur. Registered to the subject, they are the start of the search.

    Returns
    -------
    dict
        As `anatomy_record`; if a part is missing, only ``missing``, which names it.
    """
    side = registration.side
    try:
        return anatomy_record(anatomy_from_landmarks(bone, side, _carried(registration, landmarks)))
    except SurfaceError:
        try:  # the search by shape alone does not depend on the registration
            return anatomy_record(measure_anatomy(bone, side))
        except SurfaceError as error:
            return {"missing": str(error)}


def anatomy_record(anatomy: Anatomy, condyles: Sequence[Sequence[float]] = ()) -> dict[str, Any]:
    """Return an anatomy as plain values.

    Parameters
    ----------
    anatomy : Anatomy
        The anatomy.
    condyles : sequence of two points
        The most posterior points of the medial and the lateral condyle, RAS mm, if they are known from
        elsewhere; by default those that `anatomy` has.

    Returns
    -------
    dict
        ``side``, ``measurements`` (the unit ends each name; with ``anteversion_deg`` only if the condyles
        are known), ``landmarks_ras_mm`` and ``remarks`` (warnings).
    """
    measured = {name: getattr(anatomy, name) for name in MEASUREMENTS}
    condyles = condyles or anatomy.condyles or ()
    if condyles:
        measured["anteversion_deg"] = anatomy.anteversion_deg(*np.asarray(condyles, dtype=np.float64))
    return {
        "side": anatomy.side,
        "measurements": {name: round(value, 3) for name, value in measured.items()},
        "landmarks_ras_mm": {name: place.round(3).tolist() for name, place in anatomy.landmarks.items()},
        "remarks": list(anatomy.warnings),
    }


def _moved(registration: Registration, points: np.ndarray) -> np.ndarray:
    """Points of the average's space by the similarity alone, subject's RAS."""
    matrix = similarity_to_subject(registration)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _carried(registration: Registration, landmarks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Landmarks of the average, moved by the similarity and the displacement of the surface around them."""
    average = registration.average.points
    displacement = registration.points - _moved(registration, average)
    carried = {}
    for name, place in landmarks.items():
        distance = np.linalg.norm(average - place, axis=1)
        weights = registration.covered * np.exp(-0.5 * ((distance - distance.min()) / _NEAR_MM) ** 2)
        shift = weights @ displacement / max(weights.sum(), 1e-9)
        carried[name] = _moved(registration, place) + shift
    return carried

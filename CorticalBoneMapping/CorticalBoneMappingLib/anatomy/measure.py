"""Measure the anatomy of a femur on its surface, in any pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..core.errors import SettingError, SurfaceError
from ..core.side import Side, check_side
from ..core.surface import Surface
from ..mesh.surface_repair import repaired
from .condyles import find_condyles
from .frame import Axis, Frame
from .head import Head, find_head, fit_head
from .neck import Neck, fit_neck
from .result import Anatomy
from .shaft import Shaft, find_shaft, fit_shaft
from .trochanters import greater_trochanter_tip, greater_trochanter_top, lesser_trochanter_tip

# Chosen by hand, not tuned, where no origin is given.
_TYPICAL_ANGLE_DEG = 125.0  # between neck and shaft, only to begin with
_ROUNDS = 3  # the lesser trochanter needs the shaft, and the shaft the trochanter
_SHAFT_DISTAL = 2.0  # radii of the head below the lesser trochanter
_ROUND_HEAD = 0.05  # residual over radius; femurs without disease stay below 0.035
_SHORT_SHAFT_MM = 25.0
_USUAL_ANGLES_DEG = (105.0, 145.0)
_USUAL_RADII_MM = (18.0, 30.0)


def measure_anatomy(surface: Surface, side: Side) -> Anatomy:
    """Find the landmarks of a femur in any pose, by its shape alone.

    The head is the part of the bone that is most like a sphere, the shaft the part with straight walls; both
    give a frame in which neck, trochanters and, on a whole femur, the condyles are found.

    Parameters
    ----------
    surface : Surface
        RAS mm; whole, or cut anywhere below the lesser trochanter. Open ends and holes are closed, triangles
        that look inward are turned, each with a warning.
    side : {"left", "right"}
        Side of the body. A left femur is mirrored exactly, so both sides are measured alike.

    Returns
    -------
    Anatomy
        Positions are those of `surface`.

    Raises
    ------
    SettingError
        If the side is neither left nor right.
    SurfaceError
        If closing the surface failed, or head, neck, a trochanter or the shaft was not found; the text names
        it.
    """
    right, repairs = _as_right(surface, side)
    head = find_head(right)
    return _on_side(_measured(right, head, find_shaft(right, head), side), side, repairs)


def anatomy_from_landmarks(surface: Surface, side: Side, landmarks: Mapping[str, np.ndarray]) -> Anatomy:
    """Measure a femur on which some landmarks are roughly known, for instance carried by a registration.

    They are only where the search begins: the result is what is found on the surface.

    Parameters
    ----------
    surface : Surface
        As for `measure_anatomy`.
    side : {"left", "right"}
        Side of the body.
    landmarks : mapping of str to array_like of shape (3,)
        RAS mm, by the names of `result.LANDMARKS`; at least ``head_centre``, ``neck_centre``,
        ``shaft_proximal`` and ``shaft_distal``, each within half a head's radius.

    Returns
    -------
    Anatomy

    Raises
    ------
    SettingError
        If a landmark is missing, or the side is neither left nor right.
    SurfaceError
        As `measure_anatomy`.
    """
    needed = ("head_centre", "neck_centre", "shaft_proximal", "shaft_distal")
    missing = [name for name in needed if name not in landmarks]
    if missing:
        raise SettingError(f"To begin from landmarks, these are needed too: {', '.join(missing)}.")
    right, repairs = _as_right(surface, side)
    flip = np.array([-1.0 if side == "left" else 1.0, 1.0, 1.0])
    places = {name: np.asarray(landmarks[name], dtype=np.float64) * flip for name in needed}
    # The neck's centre lies about a radius from the head's, the shaft's landmarks two radii apart.
    apart = np.linalg.norm(places["shaft_proximal"] - places["shaft_distal"])
    head = fit_head(right, places["head_centre"], apart / _SHAFT_DISTAL)
    axis = Axis.through(places["shaft_distal"], places["shaft_proximal"])
    towards = places["neck_centre"] - head.centre
    return _on_side(_measured(right, head, axis, side, towards), side, repairs)


def _as_right(surface: Surface, side: str) -> tuple[Surface, tuple[str, ...]]:
    """Return the repaired surface as a right femur, and warnings of what was repaired."""
    check_side(side)
    found = repaired(surface)
    holes = (
        "A hole of the surface was" if found.n_holes == 1 else f"{found.n_holes} holes of the surface were"
    )
    filled = (f"{holes} filled; look at what was measured there.",) if found.n_holes else ()
    bone = surface if found.is_as_given else found.closed
    return (bone.mirrored() if side == "left" else bone), (*found.warnings, *filled)


def _on_side(anatomy: Anatomy, side: str, repairs: tuple[str, ...]) -> Anatomy:
    anatomy = replace(anatomy, warnings=(*repairs, *anatomy.warnings))
    return anatomy.mirrored() if side == "left" else anatomy


def _measured(
    right: Surface, head: Head, axis: Axis, side: str, towards_neck: np.ndarray | None = None
) -> Anatomy:
    radius = head.radius_mm
    for _ in range(_ROUNDS):
        lesser = lesser_trochanter_tip(right, head, Frame.of(head.centre, axis, "right"))
        if lesser is None:
            raise SurfaceError(_no_lesser_trochanter(right, head, axis, side))
        shaft = fit_shaft(right, head, axis, lesser)
        axis = shaft.axis
    frame = Frame.of(head.centre, axis, "right")
    if towards_neck is None:
        angle = np.radians(180.0 - _TYPICAL_ANGLE_DEG)
        towards_neck = np.sin(angle) * frame.lateral - np.cos(angle) * frame.superior
    neck = fit_neck(right, head, towards_neck)
    top = greater_trochanter_top(right, head, frame)
    landmarks = {
        "head_centre": head.centre,
        "neck_centre": neck.centre,
        "neck_base": Axis(head.centre, neck.direction).nearest_to(axis),
        "greater_trochanter": greater_trochanter_tip(right, head, frame, top),
        "lesser_trochanter": lesser,
        "shaft_proximal": axis.at(axis.along(lesser)),
        "shaft_distal": axis.at(axis.along(lesser) - _SHAFT_DISTAL * radius),
        **find_condyles(right, frame, radius),
    }
    return _described(landmarks, head, neck, shaft, frame, top)


def _described(
    landmarks: dict[str, np.ndarray], head: Head, neck: Neck, shaft: Shaft, frame: Frame, top: np.ndarray
) -> Anatomy:
    upward = frame.superior - frame.superior @ neck.direction * neck.direction
    anatomy = Anatomy(
        side="right",
        landmarks=landmarks,
        head_radius_mm=head.radius_mm,
        neck_width_mm=neck.width_mm(upward / np.linalg.norm(upward)),
        neck_depth_mm=neck.width_mm(np.cross(neck.direction, upward / np.linalg.norm(upward))),
        greater_height_mm=float(frame.coordinates(top)[2]),
        shaft_radius_mm=shaft.radius_mm,
        head_residual_mm=head.residual_mm,
        shaft_length_mm=shaft.length_mm,
        shaft_residual_mm=shaft.residual_mm,
    )
    return replace(anatomy, warnings=tuple(_unusual(anatomy)))


def _no_lesser_trochanter(right: Surface, head: Head, axis: Axis, side: str) -> str:
    """Return the text of the error; where the mirror image has a lesser trochanter, the side is wrong."""
    flip = np.array([-1.0, 1.0, 1.0])
    other = replace(head, centre=head.centre * flip, to_neck=head.to_neck * flip)
    frame = Frame.of(other.centre, Axis(axis.point * flip, axis.direction * flip), "right")
    if lesser_trochanter_tip(right.mirrored(), other, frame) is None:
        return (
            "The lesser trochanter was not found: nothing protrudes at the back of the bone below the neck. "
            "The scan has to reach below it."
        )
    opposite = "right" if side == "left" else "left"
    return (
        f"The lesser trochanter was not found where a {side} femur has it, but it is where a {opposite} one "
        f"has it. Give the side as '{opposite}'."
    )


def _unusual(anatomy: Anatomy) -> list[str]:
    """Return a warning for everything unusual."""
    warnings = []
    if anatomy.head_residual_mm > _ROUND_HEAD * anatomy.head_radius_mm:
        warnings.append(
            f"The head is not round (it lies {anatomy.head_residual_mm:.1f} mm from its sphere): "
            "centre, radius and all that follows from them are uncertain."
        )
    if anatomy.shaft_length_mm < _SHORT_SHAFT_MM:
        warnings.append(
            f"Only {anatomy.shaft_length_mm:.0f} mm of shaft are there to find its axis: "
            f"the neck–shaft angle is uncertain by {anatomy.neck_shaft_angle_sd_deg:.1f}° (SD)."
        )
    for value, (low, high), text in (
        (anatomy.neck_shaft_angle_deg, _USUAL_ANGLES_DEG, "A neck–shaft angle of {:.0f}°"),
        (anatomy.head_radius_mm, _USUAL_RADII_MM, "A head radius of {:.0f} mm"),
    ):
        if not low <= value <= high:
            warnings.append(text.format(value) + " is unusual: look at the landmarks.")
    return warnings

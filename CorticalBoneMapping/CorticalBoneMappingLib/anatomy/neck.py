"""The femoral neck: its axis and its narrowest section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import SurfaceError
from ..core.surface import Surface
from .head import Head
from .sections import Section, sections

# Chosen by hand; not tuned.
_FROM, _TO = 0.7, 2.3  # where the narrowest section is looked for, radii of the head from its centre
_STEP_MM = 1.0
_ROUNDS = 8
_AS_NARROW = 1.08  # sections up to this multiple of the least area count for the axis
_WIDEST = 0.95  # of the head's largest section: a bone without a waist has no neck


@dataclass(frozen=True)
class Neck:
    """The femoral neck.

    Attributes
    ----------
    centre : ndarray of shape (3,)
        Centre of the narrowest section across the neck, mm.
    direction : ndarray of shape (3,)
        Unit vector of the axis, from the head's centre to the neck's.
    narrowest : Section
        The section.
    """

    centre: np.ndarray
    direction: np.ndarray
    narrowest: Section

    def width_mm(self, direction: np.ndarray) -> float:
        """Return the extent of the narrowest section in a direction, mm."""
        return float(np.ptp(self.narrowest.starts @ direction))


def fit_neck(surface: Surface, head: Head, towards: np.ndarray) -> Neck:
    """Find the neck's axis: from the head's centre through the centre of the narrowest sections.

    Parameters
    ----------
    surface : Surface
        mm.
    head : Head
        As found.
    towards : ndarray of shape (3,)
        First guess of the direction from the head into the neck.

    Returns
    -------
    Neck

    Raises
    ------
    SurfaceError
        If the bone has no waist beside the head.
    """
    radius = head.radius_mm
    near = _part_near(surface, head.centre, 4.0 * radius)
    places = np.arange(_FROM * radius, _TO * radius, _STEP_MM)
    axis = towards / np.linalg.norm(towards)
    for _ in range(_ROUNDS):
        cuts = sections(near, head.centre + places[:, None] * axis, axis)
        cuts = [cut for cut in cuts if cut is not None]
        areas = np.array([cut.area_mm2 for cut in cuts])
        least = _first_waist(areas)
        if least is None or areas[least] > _WIDEST * np.pi * radius**2:
            raise SurfaceError("No femoral neck was found beside the head: the bone has no waist there.")
        centre = _mean_centre(cuts, areas, least)
        axis = (centre - head.centre) / np.linalg.norm(centre - head.centre)
    narrowest = cuts[least]
    place = (narrowest.centre - head.centre) @ axis
    return Neck(head.centre + place * axis, axis, narrowest)


def _part_near(surface: Surface, centre: np.ndarray, distance_mm: float) -> Surface:
    """The triangles near a point: a smaller surface to cut."""
    near = np.linalg.norm(surface.points - centre, axis=1) < distance_mm
    return Surface(surface.points, surface.triangles[near[surface.triangles].all(axis=1)])


def _first_waist(areas: np.ndarray) -> int | None:
    """The first minimum after which the area grows for good; None if there is none."""
    if len(areas) < 3:
        return None
    for index in range(1, len(areas) - 1):
        if areas[index] <= areas[:index].min() and np.max(areas[index:]) > 1.15 * areas[index]:
            ahead = areas[index : index + 12]
            if areas[index] <= ahead.min():
                return index
    return None


def _mean_centre(cuts: list[Section], areas: np.ndarray, least: int) -> np.ndarray:
    """Centre of the sections next to the narrowest that are about as narrow."""
    wide = np.flatnonzero(areas > _AS_NARROW * areas[least])
    first = wide[wide < least].max(initial=-1) + 1
    last = wide[wide > least].min(initial=len(areas))
    return np.mean([cut.centre for cut in cuts[first:last]], axis=0)

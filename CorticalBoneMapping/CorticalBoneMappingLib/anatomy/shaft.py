"""The axis of the femoral shaft below the lesser trochanter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SurfaceError
from ..surface import Surface
from .frame import Axis, Frame, unit
from .head import Head
from .sections import sections

_STEP_MM = 2.0
_FROM, _TO, _NEAREST = 0.85, 3.45, 0.2  # below the tip of the lesser trochanter, radii of the head
_LONG_ENOUGH_MM = 30.0  # of shaft; where less is there, it counts from nearer to the trochanter
_LEAST_LENGTH_MM = 4.0
_SAMPLES, _FLAT_MM, _SAME_WAY = 1500, 1.0, 0.97
_TO_THE_END = 0.55  # cosine; a cut just below the lesser trochanter lies 50° from the farthest point
_FLAT_AREA = 0.6  # of a cut over the square of the head's radius; a shaft's own section has about 1
# How far the centres of sections usually lie lateral and anterior of the axis, by the distance below the tip:
# means of four segmented femurs with heads of 24 mm radius. Levels are in radii of the head.
_LEVELS = np.arange(0.2, 3.5, 0.2)
_LATERAL = (
    _LEVELS,
    np.array(
        [-3.5, -2.1, -1.05, -0.7, -0.3, -0.05, 0.05, 0.1, 0.2, 0.2, 0.25, 0.2, 0.15, 0.0, -0.1, -0.2, -0.4]
    )
    / 24.0,
)
_ANTERIOR = (
    _LEVELS,
    np.array(
        [-4.3, -3.0, -1.6, -0.75, -0.3, -0.1, 0.05, 0.15, 0.2, 0.25, 0.25, 0.25, 0.15, 0.05, -0.1, -0.3, -0.5]
    )
    / 24.0,
)


@dataclass(frozen=True)
class Shaft:
    """The shaft as far as it is there.

    Attributes
    ----------
    axis : Axis
        Its direction points up, to the hip.
    radius_mm : float
        Of a circle with the mean area of the sections.
    length_mm : float
        How much of the shaft the axis was fitted to.
    residual_mm : float
        Root mean square distance of the sections' centres from the axis.
    """

    axis: Axis
    radius_mm: float
    length_mm: float
    residual_mm: float


def find_shaft(surface: Surface, head: Head) -> Axis:
    """Find the shaft of a femur whose head is known, in any pose.

    Where the bone was cut flat, the search begins in the direction of the cut; else at the bone's farthest
    point from the head. The axis is the direction to which the normals near that end are perpendicular.

    Parameters
    ----------
    surface : Surface
        mm.
    head : Head
        As found.

    Returns
    -------
    Axis
        A first estimate; it points up.

    Raises
    ------
    SurfaceError
        If there is no shaft below the trochanters.
    """
    radius = head.radius_mm
    down = _first_direction(surface, head)
    areas = surface.point_areas
    for _ in range(12):
        level = (surface.points - head.centre) @ down
        end = level.max()
        if end < 2.0 * radius:
            raise SurfaceError(
                "No shaft was found: the bone ends at or above the lesser trochanter. "
                "The scan has to reach below it."
            )
        top = max(end - 2.5 * radius, min(2.2 * radius, end - 0.8 * radius))
        wall = areas * ((level > top) & (np.abs(surface.normals @ down) < 0.7))
        around = surface.normals.T @ (wall[:, None] * surface.normals)
        across = np.linalg.eigh(around)[1]
        direction = across[:, 0]
        down = direction * np.sign(direction @ down)
    middle = (wall[:, None] * surface.points).sum(axis=0) / wall.sum()
    return Axis(middle, -down)


def _first_direction(surface: Surface, head: Head) -> np.ndarray:
    """Roughly down the shaft: across its flat end if it has one, else to the farthest point from the head."""
    random = np.random.default_rng(0)
    sample = random.choice(len(surface.points), _SAMPLES, p=surface.point_areas / surface.point_areas.sum())
    points, normals = surface.points[sample], surface.normals[sample]
    height = points @ normals.T  # a column for each direction
    on_plane = (height > height.max(axis=0) - _FLAT_MM) & (normals @ normals.T > _SAME_WAY)
    farthest = surface.points[np.linalg.norm(surface.points - head.centre, axis=1).argmax()]
    farthest = unit(farthest - head.centre)
    # A plane along the wall of a long shaft touches it in a long strip, but does not look to its end.
    contact = on_plane.sum(axis=0) * (normals @ farthest > _TO_THE_END)
    best = contact.argmax()
    if contact[best] / _SAMPLES * surface.point_areas.sum() < _FLAT_AREA * head.radius_mm**2:
        return farthest
    return unit(normals[on_plane[:, best]].mean(axis=0))


def fit_shaft(surface: Surface, head: Head, start: Axis, tip: np.ndarray, rounds: int = 2) -> Shaft:
    """Fit the axis of the shaft below the lesser trochanter.

    A line through the centres of sections across the shaft, from 0.85 to 3.45 radii of the head (20 to 80 mm)
    below the trochanter's tip or as far as the bone goes. The usual course of the centres is taken off, so
    that a short shaft gives the axis that a long one would.

    Parameters
    ----------
    surface : Surface
        Of a right femur, mm.
    head : Head
        As found.
    start : Axis
        First estimate; it points up.
    tip : ndarray of shape (3,)
        The tip of the lesser trochanter, mm.
    rounds : int
        Of fitting.

    Returns
    -------
    Shaft

    Raises
    ------
    SurfaceError
        If the bone ends too soon.
    """
    axis, radius = start, head.radius_mm
    for _ in range(rounds):
        at_tip, end = float(axis.along(tip)), _lowest_whole(surface, axis)
        first = min(max(at_tip - _FROM * radius, end + _LONG_ENOUGH_MM), at_tip - _NEAREST * radius)
        last = max(at_tip - _TO * radius, end)
        if first - last < _LEAST_LENGTH_MM:
            raise SurfaceError(
                f"The axis of the shaft cannot be found: the bone ends {max(at_tip - end, 0.0):.0f} mm below "
                f"the tip of the lesser trochanter; {_NEAREST * radius + _LEAST_LENGTH_MM:.0f} mm are needed."
            )
        levels = np.linspace(first, last, max(round((first - last) / _STEP_MM), 4))
        cuts = sections(surface, axis.at(levels[:, None]), axis.direction)
        cuts = [cut for cut in cuts if cut is not None]
        centres = np.array([cut.centre for cut in cuts])
        axis, residual = _line(centres, axis, head, at_tip)
    area = float(np.mean([cut.area_mm2 for cut in cuts]))
    return Shaft(axis, float(np.sqrt(area / np.pi)), float(first - last), residual)


def _line(centres: np.ndarray, axis: Axis, head: Head, at_tip: float) -> tuple[Axis, float]:
    """The line through centres of sections without their usual course, and what is left, mm."""
    frame = Frame.of(head.centre, axis, "right")
    along = axis.along(centres)
    below = (at_tip - along) / head.radius_mm
    course = head.radius_mm * np.column_stack([np.interp(below, *_LATERAL), np.interp(below, *_ANTERIOR)])
    straight = centres - course @ np.stack([frame.lateral, frame.anterior])
    middle = straight.mean(axis=0)
    off = axis.across(straight) - axis.across(middle)
    centred = along - along.mean()
    slope = centred @ off / (centred @ centred)
    residual = np.sqrt(((off - centred[:, None] * slope) ** 2).sum(axis=1).mean())
    return Axis(middle, unit(axis.direction + slope)), float(residual)


def _lowest_whole(surface: Surface, axis: Axis) -> float:
    """Lowest level at which the shaft is cut by a plane across its axis all around, mm along the axis.

    Where the end is oblique, the area across grows quickly with the level; a shaft's own flare is slower.
    """
    end = axis.along(surface.points).min()
    levels = end + np.arange(0.5, 22.0, 1.0)
    cuts = sections(surface, axis.at(levels[:, None]), axis.direction)
    areas = np.array([0.0 if cut is None else cut.area_mm2 for cut in cuts])
    whole = areas[:-3] > 0.85 * areas[3:]
    return float(levels[whole.argmax()] + 0.5)

"""Fit the axis of the femoral shaft below the lesser trochanter; find the flat end where it was cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.errors import SurfaceError
from ..core.surface import Surface
from .frame import Axis, Frame, evenly_spread, unit
from .head import Head
from .sections import sections

FLAT_MM = 0.6
"""How far points of a flat end may lie from its plane; chosen by hand, not tuned."""

# Chosen by hand, not tuned, where no origin is given.
_STEP_MM = 2.0
_TYPICAL_RADIUS = 0.65  # of a shaft over that of the head
_FROM, _TO, _NEAREST = 0.85, 3.45, 0.2  # radii of the head below the lesser trochanter (Docs/anatomy.md)
_LONG_ENOUGH_MM = 30.0  # of shaft; a shorter one is used from nearer to the trochanter
_LEAST_LENGTH_MM = 4.0
_SAMPLES, _N_DIRECTIONS, _ROUNDS = 3000, 120, 16
_END_ROUNDS = 3
_FARTHEST = 6.0  # radii of the head: beyond, a whole femur bows and widens to its condyles
_LEAST_END = 2.0  # radii of the head; above lies nothing but trochanters
# Share of the walls' normals along the axis. On 25 femurs, 10 of which are for measuring only, the shaft has
# 0.001 to 0.064, the straightest other place that reaches as far 0.12; simulated femurs that are cut 12 to
# 22 mm below the lesser trochanter have up to 0.10, a ball has 0.33.
_MOST_CURVATURE = 0.12
# How far the centres of sections lie lateral and anterior of the axis, by the distance below the tip of the
# lesser trochanter: means of 13 people (femur_surfaces and femur_surfaces_mpl), over the straight line
# through their centres from 0.85 to 3.45. Levels and distances are in radii of the head.
_LEVELS = np.arange(0.2, 3.5, 0.2)
_LATERAL = 1e-3 * np.array([-116, -72, -36, -20, -10, -4, 1, 5, 7, 8, 8, 6, 4, 1, -3, -6, -12])
_ANTERIOR = 1e-3 * np.array([-146, -102, -51, -25, -11, -3, 3, 5, 6, 7, 7, 6, 5, 2, -2, -7, -12])


@dataclass(frozen=True)
class Shaft:
    """The shaft, as much of it as is there.

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
    """Find the shaft of a femur whose head is known, in any pose, whole or cut.

    From every direction, the walls at the bone's end that way (or, of a whole femur, six radii of the head
    away) give the direction to which their normals are perpendicular, and so on until it converges. Of
    the converged directions, the one with the straightest walls is the shaft.

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
        If no shaft is below the trochanters.
    """
    walls = _Walls.of(surface, head)
    found = walls.thinned(_SAMPLES).perpendicular(evenly_spread(_N_DIRECTIONS))
    curvature = np.where(found.end_mm > _LEAST_END * head.radius_mm, found.curvature, np.inf)
    best = int(curvature.argmin())
    if curvature[best] > _MOST_CURVATURE:
        raise SurfaceError(
            "No shaft was found: the bone ends at or above the lesser trochanter. "
            "The scan has to reach below it."
        )
    found = walls.perpendicular(found.down[[best]])
    return Axis(head.centre + found.middle[0], -found.down[0])


class _ShaftCandidates(NamedTuple):
    """Converged directions, how far the bone reaches that way, curvature of the walls, and their middle."""

    down: np.ndarray
    end_mm: np.ndarray
    curvature: np.ndarray
    middle: np.ndarray


class _Walls(NamedTuple):
    """Triangles as places from the head's centre, normals and areas.

    Triangles, not vertices: the normals at the rim of a cut lie between those of wall and cut.
    """

    places: np.ndarray
    normals: np.ndarray
    areas: np.ndarray
    radius: float

    @classmethod
    def of(cls, surface: Surface, head: Head) -> _Walls:
        areas = surface.triangle_areas
        corners = surface.points[surface.triangles]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = cross / np.maximum(2.0 * areas, 1e-12)[:, None]
        return cls(corners.mean(axis=1) - head.centre, normals, areas, head.radius_mm)

    def thinned(self, count: int) -> _Walls:
        """Choose triangles in proportion to their areas, each of which then counts alike."""
        up_to = np.cumsum(self.areas)
        places = (np.arange(count) + 0.5) / count * up_to[-1]
        chosen = np.minimum(np.searchsorted(up_to, places), len(up_to) - 1)
        areas = np.full(count, up_to[-1] / count)
        return _Walls(self.places[chosen], self.normals[chosen], areas, self.radius)

    def perpendicular(self, down: np.ndarray) -> _ShaftCandidates:
        """Follow directions, shape (n, 3), to where the walls at the end are perpendicular to them.

        All borders are soft: a triangle that crosses one by a rounding error changes nothing.
        """
        radius = self.radius
        for _ in range(_ROUNDS):
            level = self.places @ down.T
            end = np.minimum(level.max(axis=0), _FARTHEST * radius)
            top = np.maximum(end - 2.5 * radius, np.minimum(2.2 * radius, end - 0.8 * radius))
            weights = np.clip((level - top) / (0.25 * radius), 0.0, 1.0)
            weights *= np.clip((end - level) / (0.1 * radius) + 1.0, 0.0, 1.0)
            weights *= np.clip((0.8 - np.abs(self.normals @ down.T)) / 0.2, 0.0, 1.0)
            weights *= self.areas[:, None]
            around = np.einsum("td,ti,tj->dij", weights, self.normals, self.normals, optimize=True)
            spread, axes = np.linalg.eigh(around)
            before, down = down, axes[:, :, 0]
            down = down * np.where((down * before).sum(axis=1) < 0, -1.0, 1.0)[:, None]
        middle = weights.T @ self.places / np.maximum(weights.sum(axis=0), 1e-12)[:, None]
        return _ShaftCandidates(down, end, spread[:, 0] / np.maximum(spread.sum(axis=1), 1e-12), middle)


def fit_shaft(surface: Surface, head: Head, start: Axis, tip: np.ndarray, rounds: int = 2) -> Shaft:
    """Fit the axis of the shaft below the lesser trochanter.

    A line through the centres of sections across the shaft, from 0.85 to 3.45 radii of the head (20 to 80 mm)
    below the trochanter's tip or as far as the bone goes. The usual course of the centres is subtracted, so
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
        at_tip, end = float(axis.along(tip)), _lowest_whole(surface, axis, radius)
        first = min(max(at_tip - _FROM * radius, end + _LONG_ENOUGH_MM), at_tip - _NEAREST * radius)
        last = max(at_tip - _TO * radius, end)
        if first - last < _LEAST_LENGTH_MM:
            raise SurfaceError(
                f"The axis of the shaft was not found: the bone ends {max(at_tip - end, 0.0):.0f} mm below "
                f"the tip of the lesser trochanter; {_NEAREST * radius + _LEAST_LENGTH_MM:.0f} mm are needed."
            )
        levels = np.linspace(first, last, max(round((first - last) / _STEP_MM), 4))
        cuts = sections(surface, axis.at(levels[:, None]), axis.direction)
        cuts = [cut for cut in cuts if cut is not None]
        centres = np.array([cut.centre for cut in cuts])
        axis, residual = _line(centres, axis, head, at_tip)
    area = float(np.mean([cut.area_mm2 for cut in cuts]))
    return Shaft(axis, float(np.sqrt(area / np.pi)), float(first - last), residual)


class FlatEnd(NamedTuple):
    """The plane of a cut: its middle, mm, its outward normal, and the highest level of its rim, mm along."""

    middle: np.ndarray
    normal: np.ndarray
    top_mm: float


def flat_end(surface: Surface, axis: Axis, radius_mm: float) -> FlatEnd | None:
    """Find the flat lower end of a shaft.

    Parameters
    ----------
    surface : Surface
        Of a femur, mm.
    axis : Axis
        Of its shaft; it points up.
    radius_mm : float
        Of the shaft.

    Returns
    -------
    FlatEnd or None
        None where the end is rounded or torn, or the bone is whole.
    """
    corners = surface.points[surface.triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing /= np.maximum(2.0 * surface.triangle_areas, 1e-12)[:, None]
    level = axis.along(corners.mean(axis=1))
    at_end = (level < level.min() + 2.0 * radius_mm) & (facing @ axis.direction < -0.6)
    for _ in range(_END_ROUNDS):
        weights = surface.triangle_areas * at_end
        if weights.sum() < 0.5 * np.pi * radius_mm**2:
            return None
        normal = weights @ facing
        normal /= np.linalg.norm(normal)
        middle = weights @ corners.mean(axis=1) / weights.sum()
        at_end &= (np.abs((corners.mean(axis=1) - middle) @ normal) < 2 * FLAT_MM) & (facing @ normal > 0.9)
    rim = axis.along(corners[at_end].reshape(-1, 3))
    return FlatEnd(middle, normal, float(rim.max(initial=level.min())))


def _line(centres: np.ndarray, axis: Axis, head: Head, at_tip: float) -> tuple[Axis, float]:
    """The line through centres of sections without their usual course, and what is left, mm."""
    frame = Frame.of(head.centre, axis, "right")
    along = axis.along(centres)
    below = (at_tip - along) / head.radius_mm
    course = head.radius_mm * np.column_stack(
        [np.interp(below, _LEVELS, way) for way in (_LATERAL, _ANTERIOR)]
    )
    straight = centres - course @ np.stack([frame.lateral, frame.anterior])
    middle = straight.mean(axis=0)
    off = axis.across(straight) - axis.across(middle)
    centred = along - along.mean()
    slope = centred @ off / (centred @ centred)
    residual = np.sqrt(((off - centred[:, None] * slope) ** 2).sum(axis=1).mean())
    return Axis(middle, unit(axis.direction + slope)), float(residual)


def _lowest_whole(surface: Surface, axis: Axis, head_radius_mm: float) -> float:
    """Lowest level at which the shaft is cut by a plane across its axis all around, mm along the axis."""
    cut = flat_end(surface, axis, _TYPICAL_RADIUS * head_radius_mm)
    if cut is not None:
        return cut.top_mm + 0.5
    # Where the end is torn, the area across grows quickly with the level; a shaft's own flare is slower.
    end = axis.along(surface.points).min()
    levels = end + np.arange(0.5, 22.0, 1.0)
    cuts = sections(surface, axis.at(levels[:, None]), axis.direction)
    areas = np.array([0.0 if cut is None else cut.area_mm2 for cut in cuts])
    whole = areas[:-3] > 0.85 * areas[3:]
    return float(levels[whole.argmax()] + 0.5)

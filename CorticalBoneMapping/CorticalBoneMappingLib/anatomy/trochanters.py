"""Find the tips of the trochanters, in the frame given by shaft and head."""

from __future__ import annotations

import numpy as np

from ..core.errors import SurfaceError
from ..core.surface import Surface
from ..mesh.closest import closest_points
from .frame import Frame
from .head import Head

# Where the lesser trochanter is looked for: angles about the shaft from posterior towards medial, and levels
# below the head's centre in radii of the head. Chosen by hand (Docs/anatomy.md): in the femurs seen it is at
# 20° to 40°, 1.6 to 2.3.
_LESSER_SECTOR = (-5.0, 65.0)
_LESSER_LEVELS = (1.2, 3.2)
_LESSER_DIRECTION = 30.0
_BESIDE = 40.0  # degrees from the tip to where the shaft is round again
_TOP_MM, _TOP_WIDTH_MM = 1.5, 8.0  # a tip is the middle of what is nearly highest: one vertex is chance
# The top of the greater trochanter is a ridge from front to back, the lesser a broad cone: which point is the
# highest is chance, the middle of what lies little lower is not. Depth and reach in radii of the head, tuned
# on the 13 people of femur_surfaces and femur_surfaces_mpl: there they lie nearest to what a registration
# carries (lesser: median 1.5 mm, at most 4; its farthest point 1.8 and 5).
_GREATER_TOP, _TIP = (0.3, 1.0), (0.3, 0.6)
# Along the ridge even the middle slides, by up to 4 mm. Its posterior end, where the trochanter overhangs its
# fossa, does not: the tip is what reaches farthest upward, backward (30°) and a little medially (10°). Chosen
# on the same 13 people: there it lies 1.2 mm (median; at most 2.4) from what a registration carries, with 20°
# to 40° and 0° to 15° 1.0 to 1.4 (at most 2.7); the middle of the top 2.5 (at most 4.3).
_GREATER_DIRECTION = np.array([-0.176, -0.577, 1.0]) / np.linalg.norm([-0.176, -0.577, 1.0])
_MOST_ROUNDS, _SETTLED_MM = 40, 1e-4
_LEAST_PROMINENCE = 0.06  # of the head's radius: what protrudes less is not a trochanter


def greater_trochanter_top(surface: Surface, head: Head, frame: Frame) -> np.ndarray:
    """Find the middle of the top of the greater trochanter, which is the highest along the shaft's axis.

    Its height is a dimension of the femur; from front to back it is uncertain, see `greater_trochanter_tip`.

    Parameters
    ----------
    surface : Surface
        Of a right femur, mm.
    head : Head
        As found.
    frame : Frame
        Of the femur.

    Returns
    -------
    ndarray of shape (3,)
        On the surface, mm.

    Raises
    ------
    SurfaceError
        If the greater trochanter is missing.
    """
    places = frame.coordinates(surface.points)
    height, beside = places[:, 2], _beside_the_neck(surface, head, frame)
    top = _highest(surface, height, beside)
    if top is None or frame.coordinates(top)[2] < -1.6 * head.radius_mm:
        raise SurfaceError(
            "The greater trochanter was not found: nothing rises beside the neck. Is it cut off?"
        )
    middle = _middle_of_top(surface, places, height, beside, top, head.radius_mm * np.array(_GREATER_TOP))
    middle[2] = height[beside].max()
    return _on_surface(surface, frame, middle)


def greater_trochanter_tip(surface: Surface, head: Head, frame: Frame, top: np.ndarray) -> np.ndarray:
    """Find the tip of the greater trochanter: the posterior end of its top, above the trochanteric fossa.

    The middle of what reaches farthest upward, backward and a little medially within a head's radius of the
    top.

    Parameters
    ----------
    surface : Surface
        Of a right femur, mm.
    head : Head
        As found.
    frame : Frame
        Of the femur.
    top : ndarray of shape (3,)
        From `greater_trochanter_top`, mm.

    Returns
    -------
    ndarray of shape (3,)
        On the surface, mm.
    """
    places = frame.coordinates(surface.points)
    reaching = places @ _GREATER_DIRECTION
    near = np.linalg.norm(surface.points - top, axis=1) < head.radius_mm
    near &= _beside_the_neck(surface, head, frame)
    first = surface.points[near][reaching[near].argmax()]
    middle = _middle_of_top(surface, places, reaching, near, first, head.radius_mm * np.array(_TIP))
    middle += (reaching[near].max() - middle @ _GREATER_DIRECTION) * _GREATER_DIRECTION
    return _on_surface(surface, frame, middle)


def _beside_the_neck(surface: Surface, head: Head, frame: Frame) -> np.ndarray:
    """Which points lie lateral to the middle of the neck and away from the head."""
    lateral, offset = frame.coordinates(surface.points)[:, 0], frame.coordinates(head.centre)[0]
    away = np.linalg.norm(surface.points - head.centre, axis=1) > 1.3 * head.radius_mm
    return (lateral > 0.4 * offset) & away


def lesser_trochanter_tip(surface: Surface, head: Head, frame: Frame) -> np.ndarray | None:
    """Find the middle of that part of the lesser trochanter which is farthest from the shaft's axis.

    Parameters
    ----------
    surface : Surface
        Of a right femur, mm.
    head : Head
        As found.
    frame : Frame
        Of the femur.

    Returns
    -------
    ndarray of shape (3,) or None
        On the surface, mm; None if nothing protrudes where a right femur has its lesser trochanter.
    """
    places = frame.coordinates(surface.points)
    lateral, anterior, height = places.T
    angle, level = np.degrees(np.arctan2(-lateral, -anterior)), -height / head.radius_mm
    inside = (angle > _LESSER_SECTOR[0]) & (angle < _LESSER_SECTOR[1])
    inside &= (level > _LESSER_LEVELS[0]) & (level < _LESSER_LEVELS[1])
    direction = np.radians(_LESSER_DIRECTION)
    for _ in range(4):
        out = -np.sin(direction) * lateral - np.cos(direction) * anterior
        tip = _highest(surface, out, inside)
        if tip is None:
            break
        across, forward, _ = frame.coordinates(tip)
        direction = np.arctan2(-across, -forward)
    if tip is None or _prominence(frame, surface, tip, head.radius_mm) < _LEAST_PROMINENCE * head.radius_mm:
        return None
    out = np.hypot(lateral, anterior)
    middle = _middle_of_top(surface, places, out, inside, tip, head.radius_mm * np.array(_TIP))
    middle[:2] *= out[inside].max() / np.hypot(*middle[:2])
    return _on_surface(surface, frame, middle)


def _middle_of_top(
    surface: Surface,
    places: np.ndarray,
    height: np.ndarray,
    among: np.ndarray,
    top: np.ndarray,
    depth_and_reach: np.ndarray,
) -> np.ndarray:
    """The middle of the points that lie little lower than the highest of some, in the frame's coordinates.

    Mean shift (Comaniciu and Meer 2002): points have weight by their height and by their distance from the
    middle so far, so that neither one vertex nor the border of the search matters.
    """
    depth, reach = depth_and_reach
    chosen = np.flatnonzero(among & (height > height[among].max() - depth))
    places, height = places[chosen], height[chosen]
    high = surface.point_areas[chosen] * (height - height.max() + depth)
    middle = places[np.linalg.norm(surface.points[chosen] - top, axis=1).argmin()]
    for _ in range(_MOST_ROUNDS):
        near = np.maximum(1.0 - ((places - middle) ** 2).sum(axis=1) / reach**2, 0.0)
        before, middle = middle, np.average(places, axis=0, weights=high * near)
        if np.linalg.norm(middle - before) < _SETTLED_MM:
            break
    return middle


def _on_surface(surface: Surface, frame: Frame, place: np.ndarray) -> np.ndarray:
    """The point of the surface nearest to a place in the frame's coordinates."""
    point = frame.origin + place @ np.stack([frame.lateral, frame.anterior, frame.superior])
    return closest_points(surface, point).points(surface)[0]


def _highest(surface: Surface, height: np.ndarray, among: np.ndarray) -> np.ndarray | None:
    """The place of greatest height among some points; None if they have no interior maximum."""
    chosen = np.flatnonzero(among)
    if not len(chosen):
        return None
    top = chosen[height[chosen].argmax()]
    # A neighbour that is higher and not asked: the maximum is only where the search ended.
    around = surface.triangles[(surface.triangles == top).any(axis=1)].ravel()
    if height[around].max() > height[top]:
        return None
    near = chosen[height[chosen] > height[top] - _TOP_MM]
    near = near[np.linalg.norm(surface.points[near] - surface.points[top], axis=1) < _TOP_WIDTH_MM]
    middle = np.average(surface.points[near], axis=0, weights=surface.point_areas[near])
    return closest_points(surface, middle).points(surface)[0]


def _prominence(frame: Frame, surface: Surface, tip: np.ndarray, radius: float) -> float:
    """How much farther from the shaft's axis a tip is than the bone on both its sides, mm."""
    lateral, anterior, height = frame.coordinates(surface.points).T
    across, forward, level = frame.coordinates(tip)
    turned = np.degrees(np.arctan2(-lateral, -anterior) - np.arctan2(-across, -forward))
    turned = (turned + 180.0) % 360.0 - 180.0
    out = np.hypot(lateral, anterior)
    beside = []
    for side in (-_BESIDE, _BESIDE):
        there = (np.abs(turned - side) < 8.0) & (np.abs(height - level) < 0.2 * radius)
        beside.append(np.median(out[there]) if there.any() else 0.0)
    return float(np.hypot(across, forward) - max(beside))

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
# The top of the greater trochanter is a ridge from front to back, on which the highest point is chance: it lies
# up to 12 mm from where the registration of another person has it, the middle of the ridge up to 5 mm. Radii of
# the head. Tuned on the 13 people of femur_surfaces and femur_surfaces_mpl.
_RIDGE_DEPTH, _RIDGE_REACH = 0.3, 1.0
_RIDGE_ROUNDS, _SETTLED_MM = 40, 1e-4
_LEAST_PROMINENCE = 0.06  # of the head's radius: what protrudes less is not a trochanter


def greater_trochanter_tip(surface: Surface, head: Head, frame: Frame) -> np.ndarray:
    """Find the middle of the top of the greater trochanter, which is the highest along the shaft's axis.

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
    lateral, _, height = frame.coordinates(surface.points).T
    offset = frame.coordinates(head.centre)[0]
    # Lateral to the middle of the neck and away from the head.
    beside = (lateral > 0.4 * offset) & (
        np.linalg.norm(surface.points - head.centre, axis=1) > 1.3 * head.radius_mm
    )
    top = _highest(surface, height, beside)
    if top is None or frame.coordinates(top)[2] < -1.6 * head.radius_mm:
        raise SurfaceError(
            "The greater trochanter was not found: nothing rises beside the neck. Is it cut off?"
        )
    return _middle_of_ridge(surface, frame, np.flatnonzero(beside), top, head.radius_mm)


def lesser_trochanter_tip(surface: Surface, head: Head, frame: Frame) -> np.ndarray | None:
    """Find the point of the lesser trochanter that is farthest from the shaft's axis.

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
    lateral, anterior, height = frame.coordinates(surface.points).T
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
    return tip


def _middle_of_ridge(
    surface: Surface, frame: Frame, chosen: np.ndarray, top: np.ndarray, radius: float
) -> np.ndarray:
    """The middle of what lies little below a top, seen along the shaft, on the surface.

    Mean shift (Comaniciu and Meer 2002): points have weight by their height and their distance from the
    middle, so that neither a border of the search nor one vertex matters.
    """
    places, areas = frame.coordinates(surface.points[chosen]), surface.point_areas[chosen]
    middle, level = frame.coordinates(top)[:2], places[:, 2].max()
    high = areas * np.maximum(places[:, 2] - level + _RIDGE_DEPTH * radius, 0.0)
    for _ in range(_RIDGE_ROUNDS):
        apart = ((places[:, :2] - middle) ** 2).sum(axis=1) / (_RIDGE_REACH * radius) ** 2
        before, middle = (
            middle,
            np.average(places[:, :2], axis=0, weights=high * np.maximum(1.0 - apart, 0.0)),
        )
        if np.linalg.norm(middle - before) < _SETTLED_MM:
            break
    above = frame.origin + middle @ np.stack([frame.lateral, frame.anterior]) + level * frame.superior
    return closest_points(surface, above).points(surface)[0]


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

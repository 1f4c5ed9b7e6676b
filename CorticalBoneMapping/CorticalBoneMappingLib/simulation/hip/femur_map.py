"""The map from the mean femur to one of other dimensions: landmarks moved, and a smooth spline between.

Rings on shaft and neck, the head, and places on the trochanters are moved to where the dimensions put them; a
cubic radial spline moves all that lies between. The dimensions are those that `measure_anatomy` finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

PointMap = Callable[[np.ndarray], np.ndarray]
"""From points (n, 3) to points (n, 3), mm."""

# Chosen by hand; not tuned.
_SHAFT_LEVELS_MM = (-25.0, -50.0, -80.0, -115.0)  # below the tip of the lesser trochanter
_BESIDE = np.radians(40.0)  # from the lesser trochanter's tip to where the shaft is round again
_NECK_MIDDLE = 0.55  # of the way from the neck's base to its narrowest section
_AXIS_LEVELS_MM = np.arange(-20.0, -85.0, -10.0)  # where `measure_anatomy` finds the shaft's axis
SURFACE_PLACES = ("lateral_face", "front", "back")


@dataclass(frozen=True)
class Skeleton:
    """Places and dimensions of a femur that the map begins with, in the frame of the bone.

    Attributes
    ----------
    place : mapping of str to ndarray of shape (3,)
        The landmarks of `anatomy.LANDMARKS`, and `SURFACE_PLACES`, mm.
    dimensions : mapping of str to float
        As measured, by the names of `population.FemurDimensions`.
    """

    place: Mapping[str, np.ndarray]
    dimensions: Mapping[str, float]

    @property
    def up(self) -> np.ndarray:
        """Direction of the shaft, pointing up."""
        return unit(self.place["shaft_proximal"] - self.place["shaft_distal"])


def unit(vector: np.ndarray) -> np.ndarray:
    """Return the vector with length one."""
    return vector / np.linalg.norm(vector)


def about_z(angle: float) -> np.ndarray:
    """Rotation that turns the medial neck (-x) of a right femur forward (+y), by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def dimension_map(skeleton: Skeleton, wanted: Mapping[str, float], neck_twist_deg: float = 0.0) -> PointMap:
    """Make the map to a femur of other dimensions.

    Parameters
    ----------
    skeleton : Skeleton
        Of the femur to be mapped.
    wanted : mapping of str to float
        The dimensions it is to have, by the same names; what `measure_anatomy` finds afterwards differs a
        little, since the axes are fitted to all of the bone.
    neck_twist_deg : float
        By how much head and neck turn forward against the trochanters.

    Returns
    -------
    callable
        From points (n, 3) in the frame of the bone to points (n, 3), mm.
    """
    pairs = _pairs(skeleton, wanted, np.radians(neck_twist_deg))
    source, target = (np.concatenate(places) for places in zip(*pairs))
    spline = _cubic_spline(source, target - source)
    return lambda points: points + spline(points)


def dimension_changes(skeleton: Skeleton, displacement: PointMap) -> np.ndarray:
    """Return by how much a small displacement of all points changes the measured dimensions.

    Parameters
    ----------
    skeleton : Skeleton
        Of the femur that is displaced.
    displacement : callable
        From points (n, 3) to displacements (n, 3), mm.

    Returns
    -------
    ndarray of shape (8,)
        In the order of `measured.MEASURED`; found from head, neck's narrowest section, rings of the shaft and
        tips of the trochanters, as `measure_anatomy` does from all of the surface.
    """
    place, up = skeleton.place, skeleton.up
    axis = unit(place["neck_base"] - place["head_centre"])
    ball = evenly_around(200)
    ball = place["head_centre"] + 0.5 * skeleton.dimensions["head_diameter_mm"] * ball[ball @ axis < 0.5]
    height = unit(up - up @ axis * axis)
    angle = 2 * np.pi * np.arange(24)[:, None] / 24
    half = [0.5 * skeleton.dimensions[name] for name in ("neck_height_mm", "neck_depth_mm")]
    around = half[0] * np.cos(angle) * height + half[1] * np.sin(angle) * np.cross(axis, height)
    neck = np.concatenate([place["neck_centre"] + step * axis + around for step in (-4.0, 0.0, 4.0)])
    ring = skeleton.dimensions["shaft_radius_mm"] * _ring(up, 16)
    shaft = np.concatenate([place["shaft_proximal"] + level * up + ring for level in _AXIS_LEVELS_MM])
    tips = np.array([place["greater_trochanter"], place["lesser_trochanter"]])
    parts = [ball, neck, shaft, tips]
    before = np.concatenate(parts)
    after = before + displacement(before)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return _of_places(*np.split(after, ends)) - _of_places(*parts)


def lesser_change(skeleton: Skeleton, displacement: PointMap) -> float:
    """Return by how much more a small displacement makes the lesser trochanter protrude, mm."""
    place, up = skeleton.place, skeleton.up
    tip = place["lesser_trochanter"]
    axis = place["shaft_proximal"] + up * ((tip - place["shaft_proximal"]) @ up)
    out = tip - axis
    aside = np.cross(up, unit(out))
    beside = axis + 0.7 * np.linalg.norm(out) * (
        np.cos(_BESIDE) * unit(out) + np.sin(_BESIDE) * np.array([[1.0], [-1.0]]) * aside
    )
    moved = displacement(np.concatenate([tip[None], beside])) @ unit(out)
    return float(moved[0] - moved[1:].mean())


def _of_places(ball: np.ndarray, neck: np.ndarray, shaft: np.ndarray, tips: np.ndarray) -> np.ndarray:
    """The dimensions, by points of the head, of rings of the neck and of the shaft, and the two tips."""
    solved = np.linalg.lstsq(np.c_[2 * ball, np.ones(len(ball))], (ball**2).sum(axis=1), rcond=None)[0]
    head, radius = solved[:3], np.sqrt(solved[3] + solved[:3] @ solved[:3])
    levels = shaft.reshape(len(_AXIS_LEVELS_MM), -1, 3)
    centres = levels.mean(axis=1)
    middle = centres.mean(axis=0)
    up = np.linalg.svd(centres - middle)[2][0]
    up = up * np.sign(up @ (head - middle))
    across = levels - centres[:, None] - ((levels - centres[:, None]) @ up)[..., None] * up
    waist = neck.reshape(3, -1, 3)[1] - neck.reshape(3, -1, 3)[1].mean(axis=0)
    direction = unit(neck.mean(axis=0) - head)
    height = unit(up - up @ direction * direction)
    arm = head - middle
    return np.array(
        [
            2.0 * radius,
            np.linalg.norm(arm - arm @ up * up),
            np.degrees(np.arccos(direction @ up)),
            np.ptp(waist @ height),
            np.ptp(waist @ np.cross(direction, height)),
            (tips[0] - head) @ up,
            (head - tips[1]) @ up,
            np.linalg.norm(across, axis=2).mean(),
        ]
    )


def evenly_around(count: int) -> np.ndarray:
    """Directions that are spread evenly (a spiral), shape (count, 3)."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle = np.pi * (1.0 + np.sqrt(5.0)) * np.arange(count)
    flat = np.sqrt(1.0 - z * z)
    return np.column_stack([flat * np.cos(angle), flat * np.sin(angle), z])


def _cubic_spline(places: np.ndarray, values: np.ndarray) -> PointMap:
    """Smoothest map of space with these values: r³ around each place, and an affine part (Duchon 1977)."""
    n = len(places)
    middle = places.mean(axis=0)
    affine = np.c_[np.ones(n), places - middle]
    matrix = np.zeros((n + 4, n + 4))
    matrix[:n, :n] = cdist(places, places) ** 3
    matrix[:n, n:], matrix[n:, :n] = affine, affine.T
    solved = np.linalg.solve(matrix, np.concatenate([values, np.zeros((4, 3))]))
    weights, constant, linear = solved[:n], solved[n], solved[n + 1 :]

    def spline(points: np.ndarray) -> np.ndarray:
        squared = cdist(points, places, "sqeuclidean")
        return (squared * np.sqrt(squared)) @ weights + (points - middle) @ linear + constant

    return spline


def _pairs(
    skeleton: Skeleton, wanted: Mapping[str, float], twist: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Landmarks (n, 3) and where they go (n, 3)."""
    place, up = skeleton.place, skeleton.up
    dimensions = {"greater_size": 1.0, "lesser_size": 1.0, **skeleton.dimensions}
    ratio = {name: value / dimensions[name] for name, value in wanted.items()}
    head, radius = place["head_centre"], skeleton.dimensions["head_diameter_mm"] / 2.0
    new_head, turn = _head_place(skeleton, wanted, twist)
    rise = (new_head - head) @ up
    size = ratio["head_diameter_mm"]
    ball = radius * _sphere_directions()
    pairs = [(head + ball, new_head + size * ball @ turn.T)]
    pairs += _neck_rings(skeleton, ratio, new_head, turn)
    for below in _SHAFT_LEVELS_MM:
        centre = place["shaft_proximal"] + up * below
        ring = skeleton.dimensions["shaft_radius_mm"] * _ring(up)
        pairs.append((centre + ring, centre + ratio["shaft_radius_mm"] * ring))
    width = np.sqrt(size * ratio["shaft_radius_mm"])
    change = {name: wanted[name] - skeleton.dimensions[name] for name in ("greater_mm", "lesser_mm")}
    tip_rise = {
        "greater_trochanter": rise + change["greater_mm"],
        "lesser_trochanter": rise - change["lesser_mm"],
    }
    # Between the tips the trochanteric mass stretches evenly.
    heights = [place[name] @ up for name in tip_rise]
    for name in (*tip_rise, *SURFACE_PLACES):
        point = place[name]
        share = (point @ up - heights[1]) / (heights[0] - heights[1])
        lift = tip_rise["lesser_trochanter"] + share * (
            tip_rise["greater_trochanter"] - tip_rise["lesser_trochanter"]
        )
        axis = place["shaft_proximal"] + up * ((point - place["shaft_proximal"]) @ up)
        out = {"greater_trochanter": "greater_size", "lateral_face": "greater_size"}.get(name, "")
        out = "lesser_size" if name == "lesser_trochanter" else out
        prominence = width * ratio.get(out, 1.0)
        pairs.append((point[None], (axis + prominence * (point - axis) + lift * up)[None]))
    return pairs


def _neck_rings(
    skeleton: Skeleton, ratio: Mapping[str, float], new_head: np.ndarray, turn: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rings around the neck's narrowest section, which stays beside the head, and nearer its base."""
    place = skeleton.place
    head, base = place["head_centre"], place["neck_base"]
    axis, new_axis = unit(base - head), unit(base - new_head)
    height = unit(skeleton.up - skeleton.up @ axis * axis)
    depth = np.cross(axis, height)
    angle = 2 * np.pi * np.arange(8)[:, None] / 8
    half = [0.5 * skeleton.dimensions[name] for name in ("neck_height_mm", "neck_depth_mm")]
    factors = np.array([ratio["neck_height_mm"], ratio["neck_depth_mm"]])
    from_head = (place["neck_centre"] - head) @ axis
    pairs = []
    for share, strength in ((1.0, 1.0), (_NECK_MIDDLE, 0.6)):
        rest = np.linalg.norm(base - head) - from_head
        new_rest = np.linalg.norm(base - new_head) - ratio["head_diameter_mm"] * from_head
        f = 1.0 + strength * (factors - 1.0)
        up_part, side_part = half[0] * np.cos(angle) * height, half[1] * np.sin(angle) * depth
        ring, moved = up_part + side_part, f[0] * up_part + f[1] * side_part
        pairs.append((base - share * rest * axis + ring, base - share * new_rest * new_axis + moved @ turn.T))
    return pairs


def _head_place(
    skeleton: Skeleton, wanted: Mapping[str, float], twist: float
) -> tuple[np.ndarray, np.ndarray]:
    """The new centre of the head, and how head and neck turn with it."""
    up, base = skeleton.up, skeleton.place["neck_base"]
    neck = skeleton.place["head_centre"] - base
    across = neck - neck @ up * up
    # The offset counts from the shaft's axis, the neck from its base: the difference stays as it is.
    reach = np.linalg.norm(across) + wanted["offset_mm"] - skeleton.dimensions["offset_mm"]
    rise = reach / np.tan(np.radians(180.0 - wanted["neck_shaft_angle_deg"]))
    target = about_z(twist) @ (reach * unit(across)) + rise * up
    return base + target, _between(neck, target)


def _between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Shortest rotation from one direction to another."""
    a, b = unit(first), unit(second)
    v = np.cross(a, b)
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1.0 + a @ b)


def _ring(axis: np.ndarray, count: int = 8) -> np.ndarray:
    first = unit(np.cross(axis, [0.0, 1.0, 0.0]))
    angle = 2 * np.pi * np.arange(count)[:, None] / count
    return np.cos(angle) * first + np.sin(angle) * np.cross(axis, first)


def _sphere_directions() -> np.ndarray:
    """The 14 directions to faces and corners of a cube, and the centre."""
    corners = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T / np.sqrt(3)
    return np.concatenate([np.eye(3), -np.eye(3), corners, np.zeros((1, 3))])

"""The surroundings of a femur in a CT of the hip: muscle, fat and skin, and the acetabulum.

They make a simulated scan as difficult as a real one: other bone close to the head, edges of fat
near the cortex. Their shapes and numbers are plausible, chosen by hand, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from ...core.errors import SettingError
from ...mesh.meshing import isosurface
from .bone import Bone, Hip

AIR_HU, FAT_HU, MUSCLE_HU, SKIN_HU, CARTILAGE_HU = -1000.0, -105.0, 58.0, 35.0, 90.0

_SKIN_MM = 1.8
_FAT_PLANE_MM = 1.3
_MIDLINE_MM = 88.0  # from the head centre to the midline of the body
_GRID_MM = 1.25  # of the field in which the pelvis' surface is found


@dataclass(frozen=True)
class SoftTissue:
    """Muscle in compartments with fat between them, under fat and skin, and air around.

    Attributes
    ----------
    hip : Hip
        The hip it surrounds; its body axes are RAS.
    given_half_axes : tuple of float, optional
        Half width and half height of the body, mm, where another hip shares it; else it fits this one.
    """

    hip: Hip
    given_half_axes: tuple[float, float] | None = None

    def hu(self, points: np.ndarray) -> np.ndarray:
        """Return the HU at points.

        Parameters
        ----------
        points : ndarray of shape (n, 3)
            RAS mm.

        Returns
        -------
        ndarray of shape (n,)
            Edges are about 1 mm wide. Inside bones it is the value without them.
        """
        lateral, anterior, superior = self._body_axes(points)
        depth = self._depth_below_skin(lateral, anterior)
        wave = np.sin(superior / 31.0 + lateral / 23.0)
        fat_mm = 13.0 + 3.0 * wave - 4.0 * np.tanh(anterior / 25.0)
        plane = self._distance_to_fat_plane(lateral, anterior, superior)
        muscle = _blend(plane - _FAT_PLANE_MM * (0.7 + 0.3 * wave), FAT_HU + 15.0, MUSCLE_HU)
        tissue = _blend(depth - fat_mm, FAT_HU, muscle)
        tissue = _blend(depth - _SKIN_MM, SKIN_HU, tissue)
        tissue = _blend(self._depth_in_cartilage(points), tissue, CARTILAGE_HU)
        return _blend(depth, AIR_HU, tissue)

    def posterior_edge(self, right: np.ndarray) -> float:
        """Return how far posterior the skin reaches (RAS y in mm) over places along R (mm)."""
        lateral = (right - self.hip.head_centre[0]) * self.hip.lateral[0]
        half_width, half_height = self.half_axes
        part = np.clip(np.abs(lateral + _MIDLINE_MM) / half_width, 0.0, 1.0)
        return float(self.hip.head_centre[1] + 8.0 - half_height * ((1.0 - part**2.5) ** 0.4).max())

    def _body_axes(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        offset = (points - self.hip.head_centre).astype(np.float32)
        return offset[:, 0] * np.float32(self.hip.lateral[0]), offset[:, 1], offset[:, 2]

    @cached_property
    def half_axes(self) -> tuple[float, float]:
        """Of the outline of the body, mm: 17 mm beside the greater trochanter, and room behind the femur."""
        if self.given_half_axes is not None:
            return self.given_half_axes
        lateral, anterior, _ = self._body_axes(self.hip.femur.surface.points)
        half_width = _MIDLINE_MM + float(lateral.max()) + 17.0
        room = (1.0 - (np.abs(lateral + _MIDLINE_MM) / half_width) ** 2.5) ** 0.4
        return half_width, max(72.0, float(((np.abs(anterior - 8.0) + 16.0) / room).max()))

    def _depth_below_skin(self, lateral: np.ndarray, anterior: np.ndarray) -> np.ndarray:
        """Along the ray to the axis of the body, whose outline is a superellipse."""
        half_width, half_height = self.half_axes
        x, y = np.abs(lateral + _MIDLINE_MM), np.abs(anterior - 8.0)
        level = ((x / half_width) ** 2.5 + (y / half_height) ** 2.5) ** 0.4
        return np.hypot(x, y) * (1.0 / np.maximum(level, 1e-3) - 1.0)

    def _distance_to_fat_plane(
        self, lateral: np.ndarray, anterior: np.ndarray, superior: np.ndarray
    ) -> np.ndarray:
        """Muscles are Voronoi cells, their walls curved, around lines that run obliquely down the thigh."""
        lateral, anterior = (
            lateral + 5.0 * np.sin(anterior / 19.0 + superior / 40.0),
            anterior + 5.0 * np.sin(lateral / 21.0 - superior / 35.0),
        )
        lines = np.random.default_rng(7).uniform([-70, -55, -0.3, -0.2], [75, 60, 0.3, 0.2], size=(15, 4))
        nearest = np.full_like(lateral, np.inf)
        second = nearest.copy()
        for x, y, x_slope, y_slope in lines.astype(np.float32):
            distance = np.hypot(lateral - x - x_slope * superior, anterior - y - y_slope * superior)
            second = np.minimum(second, np.maximum(nearest, distance))
            nearest = np.minimum(nearest, distance)
        return 0.5 * (second - nearest)

    def _depth_in_cartilage(self, points: np.ndarray) -> np.ndarray:
        offset = (points - self.hip.head_centre).astype(np.float32)
        radius = np.linalg.norm(offset, axis=1)
        within = offset @ cup_opening(self.hip.side).astype(np.float32)
        shell = 3.0 - np.abs(radius - np.float32(self.hip.head_radius_mm + 1.5))
        return np.minimum(shell, 4.0 - within)


def cup_opening(side: str) -> np.ndarray:
    """Unit vector (RAS) in which the acetabulum opens: inclined 45°, anteverted 18°, shape (3,).

    Murray 1993, J Bone Joint Surg Br 75:228 defines the angles (anatomical).
    """
    inclination, anteversion = np.radians(45.0), np.radians(18.0)
    right = np.sin(inclination) * np.cos(anteversion) * (1.0 if side == "right" else -1.0)
    return np.array([right, np.sin(inclination) * np.sin(anteversion), -np.cos(inclination)])


def with_pelvis(hip: Hip, joint_space_mm: float = 3.0, subchondral_mm: float = 1.5) -> Hip:
    """Return the hip with an acetabulum: the cup with its fossa, and stubs of ilium, ischium and pubis.

    Parameters
    ----------
    hip : Hip
        With the femur; its place stays.
    joint_space_mm : float
        Between the head and the cup, 1 to 6.
    subchondral_mm : float
        Thickness of the plate of the cup, 0.3 to 4; the outer cortex of the pelvis is 1 mm.

    Returns
    -------
    Hip
        The pelvis is added to its other bones.

    Raises
    ------
    SettingError
        If a value is outside its bounds.
    """
    for name, value, low, high in (
        ("joint space", joint_space_mm, 1.0, 6.0),
        ("subchondral plate", subchondral_mm, 0.3, 4.0),
    ):
        if not low <= value <= high:
            raise SettingError(f"The {name} is {value:g} mm: choose a value from {low:g} to {high:g} mm.")
    surface = isosurface(*_pelvis_field(hip, joint_space_mm), level=0.0)
    radius = np.linalg.norm(surface.points - hip.head_centre, axis=1)
    in_cup = _smooth_step((hip.head_radius_mm + joint_space_mm + 2.0 - radius) / 2.0)
    surface = surface.with_arrays(
        cortical_thickness=1.0 + (subchondral_mm - 1.0) * in_cup,
        cortical_density=850.0 + 100.0 * in_cup,
    )
    return replace(hip, other_bones=(*hip.other_bones, Bone(surface, _pelvic_trabecular_density)))


def _pelvic_trabecular_density(points: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Spongiosa of the pelvis: denser towards the shell, mottled on the scale of 8 mm."""
    mottle = np.sin(points / [4.1, 3.7, 4.6]).prod(axis=1)
    return 110.0 + 90.0 * np.exp(-depth / 3.0) + 30.0 * mottle


def _pelvis_field(hip: Hip, joint_space_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Positive inside the pelvis, about a distance in mm, and where its voxels are."""
    cup = hip.head_radius_mm + joint_space_mm
    low, high = np.array([-60.0, -62.0, -68.0]), np.array([48.0, 50.0, 75.0])
    steps = [np.arange(a, b, _GRID_MM, dtype=np.float32) for a, b in zip(low, high)]
    lateral, anterior, superior = np.meshgrid(*steps, indexing="ij")
    local = np.stack([lateral, anterior, superior], axis=-1).reshape(-1, 3)
    level = _bone_around_cup(local, cup)
    level = _smooth_minimum(level, np.linalg.norm(local, axis=1) - cup, 1.0)
    points = local * np.where([True, False, False], hip.lateral[0], 1.0) + hip.head_centre
    near = np.flatnonzero(level > -3.0)
    most = joint_space_mm + 2.0
    clearance, _ = cKDTree(hip.femur.surface.points).query(points[near], distance_upper_bound=most)
    # Beside a head that is not round, or a trochanter, the pelvis still keeps its distance.
    level[near] = _smooth_minimum(level[near], np.minimum(clearance, most) - joint_space_mm, 0.6)
    matrix = np.eye(4)
    matrix[:3, :3] *= _GRID_MM
    matrix[0, 0] *= hip.lateral[0]
    matrix[:3, 3] = low * [hip.lateral[0], 1.0, 1.0] + hip.head_centre
    return level.reshape(lateral.shape).transpose(2, 1, 0), matrix


def _bone_around_cup(local: np.ndarray, cup: float) -> np.ndarray:
    """Positive inside the wall of the cup and its three stubs; (lateral, anterior, superior) mm."""
    opening = cup_opening("right").astype(np.float32)
    radius = np.linalg.norm(local, axis=1)
    above = np.maximum(local @ np.array([-0.3, -0.1, 0.95], dtype=np.float32), 0.0) / np.maximum(radius, 1.0)
    wall = cup + 6.0 + 8.0 * above**2 - radius  # the roof carries the body and is the thickest
    cut = 3.0 - local @ opening  # the rim lies just beyond the equator of the head
    wall = _smooth_minimum(wall, cut, 4.0)
    parts = [
        wall,
        # centre, semi-axes and tilt of stubs; a medial wall thickens where they meet the cup
        _slab(local, (-22.0, -14.0, cup + 22.0), (9.0, 26.0, 34.0), (14.0, 0.0, 22.0)),
        _slab(local, (-12.0, -32.0, -34.0), (10.0, 12.0, 30.0), (-12.0, -10.0, 0.0)),
        _slab(local, (-44.0, 22.0, -14.0), (30.0, 8.0, 8.0), (18.0, 0.0, -20.0)),
    ]
    level = parts[0]
    for part in parts[1:]:
        level = -_smooth_minimum(-level, -part, 4.0)
    medial_inferior = np.array([-0.9, -0.15, -0.4], dtype=np.float32)
    fossa = np.linalg.norm(local - np.float32(0.62 * cup) * medial_inferior, axis=1) - np.float32(0.5 * cup)
    return _smooth_minimum(level, fossa, 1.5)


def _slab(local: np.ndarray, centre: tuple, semi_axes: tuple, tilt_deg: tuple) -> np.ndarray:
    """Positive inside a rounded box-like ellipsoid, tilted about lateral, anterior and superior."""
    offset = local - np.array(centre, dtype=np.float32)
    for axis, angle in enumerate(np.radians(tilt_deg)):
        i, j = [k for k in range(3) if k != axis]
        rotated = offset.copy()
        rotated[:, i] = np.cos(angle) * offset[:, i] - np.sin(angle) * offset[:, j]
        rotated[:, j] = np.sin(angle) * offset[:, i] + np.cos(angle) * offset[:, j]
        offset = rotated
    scaled = np.abs(offset / np.array(semi_axes, dtype=np.float32))
    return (1.0 - (scaled**3).sum(axis=1) ** (1.0 / 3.0)) * min(semi_axes)


def _smooth_minimum(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """The smaller of two levels, with the edge rounded over `width` mm."""
    overlap = np.maximum(width - np.abs(a - b), 0.0) / width
    return np.minimum(a, b) - 0.25 * width * overlap**2


def _blend(depth: np.ndarray, outside: np.ndarray | float, inside: np.ndarray | float) -> np.ndarray:
    """From one value to another over 1 mm around a boundary."""
    share = _smooth_step(depth + 0.5)
    return outside + share * (inside - outside)


def _smooth_step(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)

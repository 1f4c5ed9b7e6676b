"""The soft tissue around a hip in a CT: muscle, fat and skin; cartilage, labrum and fat in the socket.

They make a simulated scan as difficult as a real one: edges of fat near the cortex, little contrast between
two bones. Their shapes and numbers are plausible, chosen by hand, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .bone import Hip
from .forms.nets import MIDLINE_MM
from .forms.solids import smooth_step

AIR_HU, FAT_HU, MUSCLE_HU, SKIN_HU = -1000.0, -105.0, 58.0, 35.0
CARTILAGE_HU, LABRUM_HU, FOSSA_FAT_HU = 90.0, 80.0, -70.0

_SKIN_MM = 1.8
_FAT_PLANE_MM = 1.3
_MIDDLE_MM = -4.0  # of the body, anterior of the head centre
_BEHIND_SACRUM_MM = 12.0


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
            Edges are about 1 mm wide. Inside bones it is the value without them. The muscle of a hip with
            microstructure has streaks of fat.
        """
        lateral, anterior, superior = self._body_axes(points)
        depth = self._depth_below_skin(lateral, anterior)
        wave = np.sin(superior / 31.0 + lateral / 23.0)
        fat_mm = 13.0 + 3.0 * wave - 4.0 * np.tanh(anterior / 25.0)
        plane = self._distance_to_fat_plane(lateral, anterior, superior)
        muscle = _blend(plane - _FAT_PLANE_MM * (0.7 + 0.3 * wave), FAT_HU + 15.0, MUSCLE_HU)
        structure = self.hip.femur.microstructure
        if structure is not None:
            muscle = _blend(structure.within_streaks(points), muscle, FAT_HU + 15.0)
        tissue = _blend(depth - fat_mm, FAT_HU, muscle)
        tissue = _blend(depth - _SKIN_MM, SKIN_HU, tissue)
        near = np.flatnonzero(lateral**2 + anterior**2 + superior**2 < self._joint_reach_mm**2)
        if len(near):
            tissue[near] = self._filled_joint(tissue[near], points[near])
        return _blend(depth, AIR_HU, tissue)

    def posterior_edge(self, right: np.ndarray) -> float:
        """Return how far posterior the skin reaches (RAS y in mm) over places along R (mm)."""
        lateral = (right - self.hip.head_centre[0]) * self.hip.lateral[0]
        half_width, half_height = self.half_axes
        part = np.clip(np.abs(lateral + MIDLINE_MM) / half_width, 0.0, 1.0)
        return float(self.hip.head_centre[1] + _MIDDLE_MM - half_height * ((1.0 - part**2.5) ** 0.4).max())

    def _body_axes(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        offset = (points - self.hip.head_centre).astype(np.float32)
        return offset[:, 0] * np.float32(self.hip.lateral[0]), offset[:, 1], offset[:, 2]

    @cached_property
    def half_axes(self) -> tuple[float, float]:
        """Of the outline of the body, mm: 17 mm beside the greater trochanter, room behind the bones."""
        if self.given_half_axes is not None:
            return self.given_half_axes
        lateral, anterior, _ = self._body_axes(self.hip.femur.surface.points)
        half_width = MIDLINE_MM + float(lateral.max()) + 17.0
        room = (1.0 - (np.abs(lateral + MIDLINE_MM) / half_width) ** 2.5) ** 0.4
        half_height = max(72.0, float(((np.abs(anterior - _MIDDLE_MM) + 16.0) / room).max()))
        for bone in self.hip.other_bones:
            behind = _MIDDLE_MM - float(self._body_axes(bone.surface.points)[1].min())
            half_height = max(half_height, behind + _BEHIND_SACRUM_MM)
        return half_width, half_height

    def _depth_below_skin(self, lateral: np.ndarray, anterior: np.ndarray) -> np.ndarray:
        """Along the ray to the axis of the body, whose outline is a superellipse."""
        half_width, half_height = self.half_axes
        x, y = np.abs(lateral + MIDLINE_MM), np.abs(anterior - _MIDDLE_MM)
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

    @cached_property
    def _joint_reach_mm(self) -> float:
        """From the head's centre to where labrum and fat of the fossa end; 0 without a socket."""
        socket = self.hip.socket
        if socket is None:
            return 0.0
        return socket.head_radius_mm + 2.0 * socket.joint_space_mm + socket.fossa_mm + 8.0

    def _filled_joint(self, hu: np.ndarray, points: np.ndarray) -> np.ndarray:
        """HU with cartilage, labrum and the fat of the fossa in them."""
        socket = self.hip.socket
        at = socket.place(points)
        filled = _blend(socket.fat_depth(at), hu, FOSSA_FAT_HU)
        filled = _blend(socket.labrum_depth(at), filled, LABRUM_HU)
        return _blend(socket.cartilage_depth(at), filled, CARTILAGE_HU)


def _blend(depth: np.ndarray, outside: np.ndarray | float, inside: np.ndarray | float) -> np.ndarray:
    """From one value to another over 1 mm around a boundary."""
    share = smooth_step(depth + 0.5)
    return outside + share * (inside - outside)

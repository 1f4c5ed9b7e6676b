"""The acetabulum of a hip: where it opens, its rim, horns and fossa, joint space, cartilage and labrum.

Angles are those of Murray 1993 (J Bone Joint Surg Br 75:228, anatomical). Directions in the socket are given
by the angle from the axis in which it opens, and by the azimuth about it: 0° superior, 90° anterior, 180°
inferior, 270° posterior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .solids import smooth_step

# Köhnlein 2009, Clin Orthop 467:682 (66 acetabula): inclination 48° ± 4°, version 21° ± 5°.
_INCLINATION_DEG, _ANTEVERSION_DEG = (48.0, 3.5), (20.0, 4.5)  # mean, SD
# The rim is a wave (Köhnlein 2009; Vandenbussche 2008, Clin Orthop 466:417): it rises to about the equator of
# the head anterosuperiorly, anteroinferiorly and posteroinferiorly, and lies lower in the psoas valley and
# posterosuperiorly. Mean angle from the axis, and cosine and sine terms of 2 to 4 waves through such heights;
# a single wave would tilt the plane of the rim, whose direction is that of the axis.
_RIM_DEG = 98.0
_RIM_WAVES_DEG = np.array([[-2.2, -1.8, 1.1], [-5.1, -2.7, 0.4]])
# The other numbers are chosen by hand; not tuned.
_FOSSA_WALL_MM = 3.0
_LABRUM_BASE_MM = 4.5


class Place(NamedTuple):
    """Points as the socket sees them.

    Attributes
    ----------
    radius : ndarray of shape (n,)
        From the centre of the head, mm.
    direction : ndarray of shape (n, 3)
        Unit vectors along the opening, superior and anterior in the plane of the rim.
    angle, azimuth : ndarray of shape (n,)
        Radians.
    """

    radius: np.ndarray
    direction: np.ndarray
    angle: np.ndarray
    azimuth: np.ndarray


@dataclass(frozen=True)
class Socket:
    """An acetabulum around a femoral head.

    Attributes
    ----------
    centre : ndarray of shape (3,)
        Of the femoral head, RAS mm.
    axes : ndarray of shape (3, 3)
        Rows: unit vectors (RAS) of the opening, and superior and anterior in the plane of the rim.
    head_radius_mm : float
        Of the femoral head.
    joint_space_mm : float
        Between the bones, mean over the lunate surface.
    shift : ndarray of shape (3,)
        Of the socket against the head, along the axes, as a share of the joint space: it makes it uneven.
    rim_deg : ndarray of shape (2, 3)
        Cosine and sine terms of the rim about its mean angle, for 2 to 4 waves.
    fossa_mm : float
        Depth of the fossa below the lunate surface.
    fossa_deg : tuple of float
        Radius of the fossa, and how far below the pole its centre lies.
    notch_deg : tuple of float
        Azimuth of the notch, and half its width.
    labrum_mm : float
        Mean height of the labrum over the bony rim.
    """

    centre: np.ndarray
    axes: np.ndarray
    head_radius_mm: float
    joint_space_mm: float
    shift: np.ndarray
    rim_deg: np.ndarray
    fossa_mm: float = 4.5
    fossa_deg: tuple[float, float] = (33.0, 15.0)
    notch_deg: tuple[float, float] = (170.0, 24.0)
    labrum_mm: float = 7.0

    def moved(self, rotation: np.ndarray, centre: np.ndarray, shift: np.ndarray) -> Socket:
        """Return the socket rotated about a point, then shifted; see `Bone.moved`."""
        place = rotation @ (self.centre - centre) + centre + shift
        return replace(self, centre=place, axes=self.axes @ rotation.T)

    @property
    def opening(self) -> np.ndarray:
        """Unit vector (RAS) in which it opens, shape (3,)."""
        return self.axes[0]

    def place(self, points: np.ndarray) -> Place:
        """Return where points (n, 3) in RAS mm lie in the socket."""
        local = (points - self.centre).astype(np.float32) @ self.axes.T.astype(np.float32)
        radius = np.linalg.norm(local, axis=1)
        direction = local / np.maximum(radius, 1e-3)[:, None]
        angle = np.arccos(np.clip(direction[:, 0], -1.0, 1.0))
        return Place(radius, direction, angle, np.arctan2(direction[:, 2], direction[:, 1]))

    def space(self, at: Place) -> np.ndarray:
        """Return the joint space in some directions, mm, shape (n,): 0.6 to 1.8 of the mean."""
        uneven = (at.direction - self._lunate_direction) @ self.shift.astype(np.float32)
        return self.joint_space_mm * np.clip(1.0 + uneven, 0.6, 1.8)

    @cached_property
    def _lunate_direction(self) -> np.ndarray:
        """Mean direction of the lunate surface along the axes, shape (3,)."""
        # A Fibonacci lattice: even on the sphere.
        number = np.arange(4000) + 0.5
        height, turn = 1.0 - number / 2000.0, np.pi * (1.0 + 5.0**0.5) * number
        across = np.sqrt(1.0 - height**2)
        local = np.stack([height, across * np.cos(turn), across * np.sin(turn)], axis=1)
        at = self.place(self.centre + local @ self.axes)
        lunate = (at.angle > self.rim(at.azimuth)) & (self.in_fossa(at) < 0.0)
        return at.direction[lunate].mean(axis=0)

    def rim(self, azimuth: np.ndarray) -> np.ndarray:
        """Return the angle of the rim (over the notch, its ligament) from the axis, radians, shape (n,)."""
        angle = np.full_like(azimuth, _RIM_DEG)
        for waves, (cosine, sine) in enumerate(self.rim_deg.T, start=2):
            angle = angle + cosine * np.cos(waves * azimuth) + sine * np.sin(waves * azimuth)
        return np.radians(angle).astype(np.float32)

    def over_notch(self, azimuth: np.ndarray) -> np.ndarray:
        """Return the share of the notch at azimuths: 1 between the horns, 0 elsewhere, shape (n,)."""
        from_notch = np.abs((azimuth - np.radians(self.notch_deg[0]) + np.pi) % (2.0 * np.pi) - np.pi)
        return smooth_step((np.radians(self.notch_deg[1] + 5.0) - from_notch) / np.radians(10.0))

    def in_fossa(self, at: Place) -> np.ndarray:
        """Return how far inside the border of fossa and notch directions lie, mm on the head, shape (n,)."""
        notch = np.radians(self.notch_deg[0])
        down = at.direction[:, 1:] @ np.array([np.cos(notch), np.sin(notch)], dtype=np.float32)
        across = at.direction[:, 1:] @ np.array([-np.sin(notch), np.cos(notch)], dtype=np.float32)
        radius, below = np.radians(self.fossa_deg)
        cosine = np.sin(below) * down - np.cos(below) * at.direction[:, 0]
        circle = radius - np.arccos(np.clip(cosine, -1.0, 1.0))
        # The notch narrows a little towards the rim, where the horns end.
        strip = np.minimum(np.sin(np.radians(self.notch_deg[1])) - np.abs(across), 0.6 + down)
        strip = np.where(down > 0.0, strip, -1.0)
        overlap = np.maximum(0.15 - np.abs(circle - strip), 0.0) / 0.15
        return self.head_radius_mm * (np.maximum(circle, strip) + 0.0375 * overlap**2)

    def bone_radius(self, at: Place) -> tuple[np.ndarray, np.ndarray]:
        """Return the radius at which bone begins, mm, and the share of the fossa in it, shape (n,) each."""
        share = smooth_step(self.in_fossa(at) / _FOSSA_WALL_MM + 0.5)
        depth = (at.angle - self.rim(at.azimuth)) * self.head_radius_mm
        bevel = 0.8 * smooth_step((2.0 - depth) / 3.0)  # the edge of the rim bends away from the head
        return self.head_radius_mm + self.space(at) + self.fossa_mm * share + bevel, share

    def cartilage_depth(self, at: Place) -> np.ndarray:
        """Return how far inside cartilage points lie, mm: on the lunate surface and on the head."""
        above = at.radius - np.float32(self.head_radius_mm)
        lunate = np.minimum(self.space(at) + 1.5 - above, (at.angle - self.rim(at.azimuth)) * at.radius + 1.0)
        lunate = np.minimum(lunate, -self.in_fossa(at))
        head = np.minimum(1.4 - above, (at.angle - np.radians(68.0)) * at.radius)
        return np.minimum(np.maximum(lunate, head), above + 1.5)

    def fat_depth(self, at: Place) -> np.ndarray:
        """Return how far inside the fat of the fossa points lie, mm; the ligament of the head is left out."""
        above = at.radius - np.float32(self.head_radius_mm)
        outer = self.space(at) + self.fossa_mm + 1.5 - above
        beyond = (at.angle - self.rim(at.azimuth)) * at.radius + 8.0
        across = self._across_notch(at) * at.radius
        ligament = np.hypot(across - 1.5, above - 0.5 * (self.fossa_mm + self.joint_space_mm)) - 2.6
        depth = np.minimum(np.minimum(outer, above - 1.2), np.minimum(beyond, self.in_fossa(at)))
        return np.minimum(depth, ligament)

    def labrum_depth(self, at: Place) -> np.ndarray:
        """Return how far inside the labrum points lie, mm: a wedge on the rim, close on the head.

        It is a triangle in section (Seldes 2001, Clin Orthop 382:232); across the notch it is the transverse
        ligament.
        """
        height = self.labrum_mm * (1.0 + 0.2 * np.cos(at.azimuth - 0.7))
        along = (self.rim(at.azimuth) - at.angle) * at.radius / height  # 0 on the bone, 1 at the free edge
        closeness = np.clip(1.0 - along, 0.0, 1.3)
        inner = self.head_radius_mm + 0.4 + (0.8 * self.space(at) - 0.4) * np.minimum(closeness, 1.0)
        outer = inner + 0.8 + _LABRUM_BASE_MM * closeness
        ends = np.minimum(along * height + 4.0, (1.0 - along) * height)
        return np.minimum(np.minimum(at.radius - inner, outer - at.radius), ends)

    def _across_notch(self, at: Place) -> np.ndarray:
        notch = np.radians(self.notch_deg[0])
        return at.direction[:, 1:] @ np.array([-np.sin(notch), np.cos(notch)], dtype=np.float32)


def draw_socket(
    side: str,
    centre: np.ndarray,
    head_radius_mm: float,
    joint_space_mm: float,
    random: np.random.Generator | None = None,
) -> Socket:
    """Draw the socket of a person.

    Parameters
    ----------
    side : str
        ``"left"`` or ``"right"``.
    centre : ndarray of shape (3,)
        Of the femoral head, RAS mm.
    head_radius_mm, joint_space_mm : float
        Of the head; mean distance to it.
    random : numpy.random.Generator, optional
        Of the person; without it the mean socket.

    Returns
    -------
    Socket
        The space is wider superolaterally than superomedially in most people, as in Lequesne 2004 (Ann Rheum
        Dis 63:1145: in nearly 80 % of 446 hips; 4.2 ± 0.9 mm at the apex).
    """
    draw = np.zeros(20) if random is None else np.clip(random.standard_normal(20), -2.0, 2.0)
    inclination = np.radians(_INCLINATION_DEG[0] + _INCLINATION_DEG[1] * draw[0])
    anteversion = np.radians(_ANTEVERSION_DEG[0] + _ANTEVERSION_DEG[1] * draw[1])
    opening = np.array(
        [
            np.sin(inclination) * np.cos(anteversion),
            np.sin(inclination) * np.sin(anteversion),
            -np.cos(inclination),
        ]
    )
    superior = np.array([0.0, 0.0, 1.0]) - opening[2] * opening
    superior /= np.linalg.norm(superior)
    # For a right hip (opening, superior, anterior) is left-handed.
    axes = np.stack([opening, superior, -np.cross(opening, superior)])
    axes[:, 0] *= 1.0 if side == "right" else -1.0
    rim = _RIM_WAVES_DEG + np.array([[0.9, 0.8, 0.7], [1.1, 0.9, 0.6]]) * draw[2:8].reshape(2, 3)
    return Socket(
        centre,
        axes,
        head_radius_mm,
        joint_space_mm,
        shift=np.array([0.3, 0.05, 0.03]) + np.array([0.1, 0.1, 0.12]) * draw[10:13],
        rim_deg=rim,
        fossa_mm=4.5 + 0.8 * draw[13],
        fossa_deg=(33.0 + 2.0 * draw[14], 15.0 + 2.0 * draw[15]),
        notch_deg=(170.0 + 4.0 * draw[16], 24.0 + 2.5 * draw[17]),
        labrum_mm=7.0 + 0.8 * draw[18],
    )

"""The outline of the bone around the axis of the neck, from the head to the trochanters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core.surface import Surface
from .frame import unit
from .result import Anatomy
from .sections import sections

# Chosen by hand, not tuned, where no origin is given.
_DIRECTIONS = 72
_STEP_MM = 1.0
_HARMONICS = 2
# Docs/anatomy.md: the head ends where the surface leaves its sphere by this share of its radius, and the neck
# where it is this much wider than at its narrowest.
_OFF_SPHERE, _WIDER = 0.06, 1.3
_HEAD_ENDS = (0.35, 0.95)  # radii of the head from its centre, along the neck
_NECK_ENDS = (0.15, 0.8)  # radii of the head beyond the narrowest section


@dataclass(frozen=True)
class NeckOutline:
    """Cylinder coordinates about the neck's axis, and where the head and the neck end in them.

    Attributes
    ----------
    anatomy : Anatomy
        Of a right femur.
    places : ndarray of shape (n_places,)
        mm along the axis from the head's centre.
    radii : ndarray of shape (n_places, 72)
        Distance of the surface from the axis every 5° from superior over anterior, mm.
    """

    anatomy: Anatomy
    places: np.ndarray
    radii: np.ndarray

    @classmethod
    def of(cls, right: Surface, anatomy: Anatomy) -> NeckOutline:
        """Cut a right femur across the axis of its neck, millimetre by millimetre."""
        axis, radius = anatomy.neck_axis, anatomy.head_radius_mm
        places = np.arange(0.3 * radius, anatomy.neck_length_mm + 0.5 * radius, _STEP_MM)
        near = np.linalg.norm(right.points - axis.point, axis=1) < 5.0 * radius
        part = Surface(right.points, right.triangles[near[right.triangles].all(axis=1)])
        superior, anterior = _across(anatomy)
        radii = np.full((len(places), _DIRECTIONS), np.nan)
        middles = axis.at(places[:, None])
        for row, cut in enumerate(sections(part, middles, axis.direction)):
            if cut is not None:
                radii[row] = cut.radii(middles[row], superior, anterior, _DIRECTIONS)
        return cls(anatomy, places, radii)

    def coordinates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points as mm along the axis, degrees from superior over anterior, and mm from the axis."""
        axis = self.anatomy.neck_axis
        across = axis.across(points)
        superior, anterior = _across(self.anatomy)
        up, forward = across @ superior, across @ anterior
        return axis.along(points), np.degrees(np.arctan2(forward, up)) % 360.0, np.hypot(up, forward)

    def end_of_head(self, angle_deg: np.ndarray) -> np.ndarray:
        """Return where the head ends in some directions, mm along the axis."""
        return _at(angle_deg, self._head_ends)

    def end_of_neck(self, angle_deg: np.ndarray) -> np.ndarray:
        """Return where the neck ends in some directions, mm along the axis."""
        return _at(angle_deg, self._neck_ends)

    @cached_property
    def _head_ends(self) -> np.ndarray:
        radius = self.anatomy.head_radius_mm
        off = np.hypot(self.places[:, None], self.radii) - radius
        low, high = radius * np.array(_HEAD_ENDS)
        return _smoothed(self._first(off > _OFF_SPHERE * radius, low, high))

    @cached_property
    def _neck_ends(self) -> np.ndarray:
        marks = self.anatomy.landmarks
        narrowest = np.linalg.norm(marks["neck_centre"] - marks["head_centre"])
        least = self.radii[np.abs(self.places - narrowest).argmin()]
        low, high = narrowest + self.anatomy.head_radius_mm * np.array(_NECK_ENDS)
        return _smoothed(self._first(self.radii > _WIDER * least, low, high))

    def _first(self, reached: np.ndarray, low: float, high: float) -> np.ndarray:
        """The first place within bounds at which something is reached, in every direction."""
        reached = reached & (self.places > low)[:, None]
        place = self.places[reached.argmax(axis=0)]
        return np.where(reached.any(axis=0), np.clip(place, low, high), high)


def _across(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Superior and anterior directions across the neck's axis of a right femur."""
    axis = anatomy.neck_axis.direction
    up = anatomy.frame.superior
    superior = unit(up - up @ axis * axis)
    return superior, np.cross(superior, axis)


def _smoothed(ring: np.ndarray) -> np.ndarray:
    """The lowest harmonics of values around a ring: a border without corners."""
    spectrum = np.fft.rfft(ring)
    spectrum[_HARMONICS + 1 :] = 0.0
    return np.fft.irfft(spectrum, len(ring))


def _at(angle_deg: np.ndarray, ring: np.ndarray) -> np.ndarray:
    return np.interp(angle_deg, 360.0 * np.arange(len(ring)) / len(ring), ring, period=360.0)

"""The truth of a digital hip: bones with a cortex of known thickness and density.

A simulated scan is made from these objects; they hold the truth that a measurement is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...core.surface import Surface
from ..structure.microstructure import Microstructure
from .forms.socket import Socket

TrabecularDensity = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From points (n, 3) in RAS mm and their depth below the surface (n,) in mm to mg/cm³ (n,)."""


@dataclass(frozen=True)
class Bone:
    """A bone as a shell of cortex around trabecular bone.

    Attributes
    ----------
    surface : Surface
        Closed periosteal surface, dense (vertices about 0.7 mm apart), with the point arrays
        ``cortical_thickness`` (mm, along the inward normal) and ``cortical_density`` (mg/cm³).
    trabecular_density : callable
        Density inside the cortex in mg/cm³, of points (n, 3) in RAS mm and their depth below the surface
        (n,) in mm; it must give finite values on and just outside the surface too (depth 0).
    microstructure : Microstructure, optional
        Struts, pores and what else is smaller than a voxel; without it cortex and trabecular bone are smooth.
    """

    surface: Surface
    trabecular_density: TrabecularDensity
    microstructure: Microstructure | None = None

    def moved(self, rotation: np.ndarray, centre: np.ndarray, shift: np.ndarray) -> Bone:
        """Return the bone rotated about a point, then shifted.

        Parameters
        ----------
        rotation : ndarray of shape (3, 3)
            Proper rotation, acting on RAS column vectors.
        centre : ndarray of shape (3,)
            The point that the rotation leaves, in RAS mm.
        shift : ndarray of shape (3,)
            In RAS mm.

        Returns
        -------
        Bone
        """
        points = (self.surface.points - centre) @ rotation.T + centre + shift
        moved = _Moved(self.trabecular_density, rotation, centre, shift)
        structure = self.microstructure
        structure = structure if structure is None else structure.moved(rotation, centre, shift)
        return Bone(replace(self.surface, points=points), moved, structure)


@dataclass(frozen=True)
class _Moved:
    """Trabecular density of a bone that was moved; an object, so that it can go to another process."""

    at_home: TrabecularDensity
    rotation: np.ndarray
    centre: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray, depth: np.ndarray) -> np.ndarray:
        return self.at_home((points - self.shift - self.centre) @ self.rotation + self.centre, depth)


@dataclass(frozen=True)
class Hip:
    """One femur and the bones around it.

    Attributes
    ----------
    femur : Bone
        The bone that is measured.
    side : str
        ``"left"`` or ``"right"``.
    head_centre : ndarray of shape (3,)
        Centre of the femoral head in RAS mm.
    head_radius_mm : float
        Its radius in mm.
    other_bones : tuple of Bone
        The pelvis and whatever else a scan shows.
    socket : Socket, optional
        The acetabulum, where the hip has one.
    """

    femur: Bone
    side: str
    head_centre: np.ndarray
    head_radius_mm: float
    other_bones: tuple[Bone, ...] = ()
    socket: Socket | None = None

    @property
    def lateral(self) -> np.ndarray:
        """Unit vector (RAS) away from the midline of the body, shape (3,)."""
        return np.array([1.0 if self.side == "right" else -1.0, 0.0, 0.0])

    def moved(self, rotation: np.ndarray, shift: np.ndarray) -> Hip:
        """Return the hip rotated about the head's centre by a (3, 3) matrix, then shifted (3,)."""
        centre = self.head_centre
        femur, *others = (bone.moved(rotation, centre, shift) for bone in (self.femur, *self.other_bones))
        socket = None if self.socket is None else self.socket.moved(rotation, centre, shift)
        return replace(
            self, femur=femur, head_centre=centre + shift, other_bones=tuple(others), socket=socket
        )

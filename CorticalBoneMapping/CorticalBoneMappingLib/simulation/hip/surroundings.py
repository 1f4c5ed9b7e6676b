"""The bones around a femur in a CT of the hip: its socket and pelvis, with their cortex and marrow.

They make a simulated scan as difficult as a real one: other bone close to the head. Thicknesses and densities
are plausible, chosen by hand; the range of the cortex is that of Dalstra 1995 (J Biomech Eng 117:272: 0.7 to
3.2 mm).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import SettingError
from ...core.surface import Surface
from .bone import Bone, Hip
from .forms.socket import Socket, draw_socket
from .forms.solids import smooth_step
from .pelvis import pelvis_surfaces

# Where the cortex of the hip bone is thicker: place (lateral, anterior, superior; mm from the head's centre),
# by how much (mm).
_THICK = (
    ((-22.0, -44.0, 40.0), 1.6),  # the greater sciatic notch
    ((-25.0, -18.0, 32.0), 0.9),  # the linea terminalis
    ((-28.0, 10.0, 22.0), 0.9),
    ((-40.0, 28.0, 6.0), 0.6),
    ((20.0, 8.0, 40.0), 1.0),  # the wall and the pillar above the roof
    ((26.0, 12.0, 70.0), 0.7),
    ((-36.0, -4.0, 6.0), 0.5),  # the quadrilateral plate
    ((-6.0, -40.0, 12.0), 0.6),  # the posterior wall
    ((-14.0, -34.0, -30.0), 0.5),  # the ischium
)
_THICK_REACH_MM = 14.0


def with_pelvis(
    hip: Hip,
    joint_space_mm: float = 3.0,
    subchondral_mm: float = 1.5,
    random: np.random.Generator | None = None,
) -> Hip:
    """Return the hip in its socket: hip bone, sacrum, and the pubis of the other side.

    Parameters
    ----------
    hip : Hip
        With the femur; its place stays.
    joint_space_mm : float
        Between the head and the lunate surface, on average, 1 to 6.
    subchondral_mm : float
        Thickness of the plate under the lunate surface, 0.3 to 4; the other cortex is about 1 mm.
    random : numpy.random.Generator, optional
        Of the person; without it the mean socket and pelvis.

    Returns
    -------
    Hip
        With a socket. The three bones, the hip bone first, are added to its other bones.

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
    socket = draw_socket(hip.side, hip.head_centre, hip.head_radius_mm, joint_space_mm, random)
    surfaces = pelvis_surfaces(hip, socket, random)
    thicker, denser = (0.0, 0.0) if random is None else np.clip(random.standard_normal(2), -2.0, 2.0)
    shell_mm = float(np.exp(0.12 * thicker))
    marrow = _Marrow(hip.head_centre, hip.lateral, float(np.exp(0.15 * denser)))
    hip_bone = _with_cortex(surfaces.hip_bone, hip, socket, shell_mm, subchondral_mm)
    others = [hip_bone]
    for surface in (surfaces.sacrum, surfaces.other_pubis):
        full = np.ones(len(surface.points))
        others.append(surface.with_arrays(cortical_thickness=shell_mm * full, cortical_density=850.0 * full))
    bones = tuple(Bone(surface, marrow) for surface in others)
    return replace(hip, other_bones=(*hip.other_bones, *bones), socket=socket)


def _with_cortex(
    surface: Surface, hip: Hip, socket: Socket, shell_mm: float, subchondral_mm: float
) -> Surface:
    """The hip bone with its cortex: a thick roof, a thin floor of the fossa, thick lines of load."""
    at = socket.place(surface.points)
    begin, in_fossa = socket.bone_radius(at)
    in_cup = smooth_step((begin + 2.0 - at.radius) / 2.0)
    local = (surface.points - hip.head_centre) * [hip.lateral[0], 1.0, 1.0]
    shell = np.full(len(local), shell_mm)
    for place, more in _THICK:
        shell += more * np.exp(-(((local - place) / _THICK_REACH_MM) ** 2).sum(axis=1))
    shell *= 1.0 + 0.15 * np.sin(local / [9.1, 7.7, 8.6]).prod(axis=1)
    # The plate is thickest in the roof (the eyebrow of a radiograph), thin at the horns and in the fossa.
    roof = smooth_step((local @ [0.1, 0.0, 0.99] / socket.head_radius_mm - 0.2) / 0.7)
    plate = subchondral_mm * (0.8 + 0.4 * roof)
    plate += in_fossa * (np.minimum(0.9 * shell_mm, subchondral_mm) - plate)
    return surface.with_arrays(
        cortical_thickness=shell + (plate - shell) * in_cup,
        cortical_density=850.0 + 100.0 * in_cup * (1.0 - in_fossa),
    )


@dataclass(frozen=True)
class _Marrow:
    """Spongiosa of the pelvis: dense over the socket's roof, denser towards the shell, mottled over 8 mm."""

    centre: np.ndarray
    lateral: np.ndarray
    factor: float

    def __call__(self, points: np.ndarray, depth: np.ndarray) -> np.ndarray:
        local = points - self.centre
        mottle = np.sin(points / [4.1, 3.7, 4.6]).prod(axis=1)
        above = (local - np.array([0.0, 0.0, 34.0]) - 2.0 * self.lateral) / [16.0, 18.0, 16.0]
        roof = np.exp(-(above**2).sum(axis=1))
        return self.factor * (100.0 + 70.0 * np.exp(-depth / 3.0) + 30.0 * mottle + 110.0 * roof)

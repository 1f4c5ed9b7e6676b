"""Regions of the average femur, by planes and cones on the parametric femur's own anatomy.

Head and neck part at the plane across the neck's axis where the head's sphere has shrunk to the neck; the
neck ends where it widens into the trochanters, and is divided into quadrants of 90° around its axis. Greater,
lateral and lesser trochanter are what stands out of the intertrochanteric block; below the lesser trochanter
is the subtrochanteric shaft. The division of the neck follows Poole et al. 2010, J Bone Miner Res 25:482.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..surface import Surface

CUT_END = 0
REGION_NAMES: dict[int, str] = {
    CUT_END: "cut end",
    1: "femoral head",
    2: "neck superior",
    3: "neck inferior",
    4: "neck anterior",
    5: "neck posterior",
    6: "greater trochanter",
    7: "lateral trochanter",
    8: "lesser trochanter",
    9: "intertrochanteric",
    10: "subtrochanteric shaft",
}


@dataclass(frozen=True)
class Landmarks:
    """Places on a right femur in the frame of the bone: x lateral, y anterior, z along the shaft, mm.

    Attributes
    ----------
    head_centre, neck_base, lesser_trochanter : ndarray of shape (3,)
        The neck's axis runs from `neck_base` to `head_centre`; `lesser_trochanter` is its tip.
    head_radius_mm : float
        Radius of the head.
    end_z_mm : float
        Height of the flat end of the shaft.
    """

    head_centre: np.ndarray
    head_radius_mm: float
    neck_base: np.ndarray
    lesser_trochanter: np.ndarray
    end_z_mm: float


def regions_of(surface: Surface, landmarks: Landmarks) -> np.ndarray:
    """Name the region of each point of a right femur.

    Parameters
    ----------
    surface : Surface
        In the frame of the bone, mm.
    landmarks : Landmarks
        In the same frame.

    Returns
    -------
    ndarray of shape (n_points,)
        Keys of `REGION_NAMES`, int8.
    """
    points, base, radius = surface.points, landmarks.neck_base, landmarks.head_radius_mm
    neck = landmarks.head_centre - base
    length = np.linalg.norm(neck)
    along = (points - base) @ neck / length  # 0 at the base, `length` at the head's centre
    region = np.full(len(points), 9, dtype=np.int8)
    region[points[:, 2] < landmarks.lesser_trochanter[2] - 15.0] = 10
    region[(points[:, 2] > base[2] + 4.0) & (points[:, 0] > base[0] - 8.0)] = 6
    faces_laterally = (surface.normals[:, 0] > 0.6) & (points[:, 0] > base[0] + 8.0)
    region[faces_laterally & (np.abs(points[:, 2] - base[2] - 8.0) < 20.0)] = 7
    quadrant = _quadrant_of_neck(points, base, neck / length)
    on_neck = (along > 14.0) & (points[:, 0] < base[0] - 8.0)
    region[on_neck] = quadrant[on_neck]
    region[np.linalg.norm(points - landmarks.lesser_trochanter, axis=1) < 13.0] = 8
    region[along > length - 0.72 * radius] = 1
    region[points[:, 2] < landmarks.end_z_mm + 0.6] = CUT_END
    return region


def _quadrant_of_neck(points: np.ndarray, base: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Quadrant of 90° around the neck: 2 superior, 3 inferior, 4 anterior, 5 posterior."""
    radial = points - base - ((points - base) @ axis)[:, None] * axis
    superior = np.array([0.0, 0.0, 1.0]) - axis[2] * axis
    superior /= np.linalg.norm(superior)
    anterior = np.cross(axis, superior)
    anterior *= np.sign(anterior[1])
    up, front = radial @ superior, radial @ anterior
    return np.where(np.abs(up) >= np.abs(front), np.where(up > 0, 2, 3), np.where(front > 0, 4, 5))

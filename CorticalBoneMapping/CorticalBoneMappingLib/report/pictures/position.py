"""A femur turned into the anatomical position, so that views are named by anatomy, not by a file's axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...anatomy import Frame, measure_anatomy
from ...anatomy.frame import Axis
from ...atlas.average import load_average
from ...core.errors import SurfaceError
from ...core.surface import Surface

AS_IT_LIES_DEG = 30.0
"""A femur turned by less lies as it does in a patient on the scanner's table, and is drawn as it lies."""

_MIRROR = np.diag([-1.0, 1.0, 1.0])


def in_anatomical_position(
    surface: Surface, side: str | None, average_to_bone: np.ndarray | None = None
) -> Surface:
    """Turn a femur so that its axes are those of the patient: +x right, +y anterior, +z superior.

    Parameters
    ----------
    surface : Surface
        A proximal femur, lying anyhow.
    side : {"left", "right"}, optional
        Side of the body. Where it is not known, only a femur that lies as in a scan can be recognised: a left
        one is a right one turned round.
    average_to_bone : array_like of shape (4, 4), optional
        Similarity from the average right femur, where the femur is registered; else its shape is measured.

    Returns
    -------
    Surface
        The same one, if it is turned by less than `AS_IT_LIES_DEG`.

    Raises
    ------
    SurfaceError
        If its directions are not found.
    """
    if side is None:
        turns = [turn for side in ("right", "left") if (turn := _measured_or_none(surface, side)) is not None]
        if any(_angle_deg(turn) < AS_IT_LIES_DEG for turn in turns):
            return surface
        raise SurfaceError("The femur does not lie as in a scan, and its side is not known.")
    turn = _measured(surface, side) if average_to_bone is None else _registered(average_to_bone, side)
    if _angle_deg(turn) < AS_IT_LIES_DEG:
        return surface
    return replace(surface, points=surface.points @ turn)  # by the inverse, as rows


def _registered(average_to_bone: np.ndarray, side: str) -> np.ndarray:
    """Give the rotation from the anatomical position to where the femur lies, from its registration."""
    matrix = np.asarray(average_to_bone, dtype=np.float64)[:3, :3]
    turn = matrix / np.cbrt(abs(np.linalg.det(matrix)))
    return turn @ _MIRROR if side == "left" else turn


def _measured(surface: Surface, side: str) -> np.ndarray:
    """Give the same rotation from the directions of shaft and head, compared with the average femur's."""
    landmarks = load_average().landmarks
    shaft = Axis.through(landmarks["shaft_distal"], landmarks["shaft_proximal"])
    average = _axes(Frame.of(landmarks["head_centre"], shaft, "right"))
    if side == "left":
        average = _MIRROR @ average
    return _axes(measure_anatomy(surface, side).frame) @ average.T


def _measured_or_none(surface: Surface, side: str) -> np.ndarray | None:
    try:
        return _measured(surface, side)
    except SurfaceError:
        return None


def _axes(frame: Frame) -> np.ndarray:
    return np.stack([frame.lateral, frame.anterior, frame.superior], axis=1)


def _angle_deg(turn: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))))

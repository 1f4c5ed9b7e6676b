"""Whether a femur is of the side that it is said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import RegistrationError
from ..surface import Surface
from .deformation import Step, bend
from .pose import Pose, find_pose
from .prior import prior_of
from .projection import counterparts

_COARSE = (Step(3.0, 6),)  # finer bending would make a bone of its mirror image
_CLEARLY = 1.3  # given over mirrored misfits: at most 0.5 for the right side, at least 2 for the wrong one
_BEYOND_DOUBT = 0.6  # of the misfits in the two poses alone
_REACH_MM = 20.0


def check_side(right: Surface, average: Surface, pose: Pose, side: str) -> tuple[str, ...]:
    """Refuse a femur whose mirror image fits clearly better, in its pose and after a coarse bending.

    Parameters
    ----------
    right : Surface
        The subject as a right femur, if it is of the side given.
    average : Surface
        The average femur; both with ``cut_end``.
    pose : Pose
        From the average to `right`.
    side : {"left", "right"}
        What the subject is said to be.

    Returns
    -------
    tuple of str
        A remark if the shape does not tell the side.

    Raises
    ------
    RegistrationError
        If the femur is of the other side.
    """
    mirrored = right.mirrored()
    other_pose = find_pose(mirrored, average)
    evidence = pose.misfit_mm / other_pose.misfit_mm
    if evidence < _BEYOND_DOUBT:
        return ()
    evidence *= _coarse_misfit(right, average, pose) / _coarse_misfit(mirrored, average, other_pose)
    if evidence > _CLEARLY:
        other = "right" if side == "left" else "left"
        raise RegistrationError(
            f"The femur is said to be a {side} one but looks like a {other} one: the average femur fits its "
            f"mirror image better. Give the side as '{other}', or switch the check of the side off."
        )
    if evidence > 1.0 / _CLEARLY:
        return (f"The shape of this bone does not tell its side; make sure that it is a {side} one.",)
    return ()


def _coarse_misfit(subject: Surface, average: Surface, pose: Pose) -> float:
    bending = bend(average, subject, pose, prior_of(average.points, None, 1.0), steps=_COARSE, n_samples=700)
    posed = replace(subject, points=bending.pose.undo(subject.points))
    there, step = counterparts(replace(average, points=bending.points), posed, average, reach_mm=_REACH_MM)
    return float(np.linalg.norm(step[there], axis=1).mean()) if there.any() else np.inf

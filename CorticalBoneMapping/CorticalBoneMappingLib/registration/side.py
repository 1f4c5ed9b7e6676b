"""Whether a femur is of the side that it is said to be."""

from __future__ import annotations

import numpy as np

from ..errors import RegistrationError
from .deformation import Step, across, bend, partners
from .pairs import Sample
from .pose import Clouds, Pose, pose_between
from .template import Template

_COARSE = (Step(3.0, 3),)
_CLEARLY = 1.8  # given over mirrored misfits: at most 0.4 for the right side, at least 2.5 for the wrong one
_BEYOND_DOUBT = 0.8  # of the misfits in the two poses alone, at most 0.75 for the right side


def check_side(clouds: Clouds, target: Sample, template: Template, pose: Pose, side: str) -> tuple[str, ...]:
    """Refuse a femur whose mirror image fits clearly better, in its pose and after a coarse bending.

    Parameters
    ----------
    clouds, target : Clouds, Sample
        Of the subject as a right femur, if it is of the side given.
    template : Template
        The average femur.
    pose : Pose
        From the average to the subject.
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
    other_pose = pose_between(clouds.mirrored(), template.clouds)
    evidence = pose.misfit_mm / other_pose.misfit_mm
    if evidence < _BEYOND_DOUBT:
        return ()
    evidence *= _coarse_misfit(target, template, pose) / _coarse_misfit(
        target.mirrored(), template, other_pose
    )
    if evidence > _CLEARLY:
        other = "right" if side == "left" else "left"
        raise RegistrationError(
            f"The femur is said to be a {side} one but looks like a {other} one: the average femur fits its "
            f"mirror image better. Give the side as '{other}'."
        )
    if evidence > 1.0 / _CLEARLY:
        return (f"The shape of this bone does not tell its side; make sure that it is a {side} one.",)
    return ()


def _coarse_misfit(target: Sample, template: Template, pose: Pose) -> float:
    """Mean distance along the normal of what may be one place, after bending by wide bumps, mm."""
    bending = bend(template.widely_bendable, target, pose, steps=_COARSE)
    here, there, pairs = partners(bending, template.widely_bendable, target, np.inf)
    return float(np.abs(across(here, there, pairs)[pairs.weight > 0]).mean())

"""A first pose from landmarks, for bones that are too damaged or too short to be found by their shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.errors import RegistrationError
from ..mesh.shape_model import similarity
from .pose import Pose

# Chosen by hand; not tuned.
_LEAST_BREADTH_MM = 8.0  # landmarks nearer to a line than this leave the rotation about it open
_WORST_MM = 20.0  # landmarks farther apart than this after the fit are not those of one femur


def landmark_pose(landmarks: Mapping[str, np.ndarray], of_average: Mapping[str, np.ndarray]) -> Pose:
    """Find the similarity from the average's landmarks to a subject's.

    Parameters
    ----------
    landmarks : mapping of str to ndarray of shape (3,)
        The right-sided subject's, RAS mm.
    of_average : mapping of str to ndarray of shape (3,)
        The average's; names that only one of them has are left out.

    Returns
    -------
    Pose
        From the average to the subject.

    Raises
    ------
    RegistrationError
        If fewer than three are known to both, they lie in a line, or do not fit one femur.
    """
    names = sorted(set(landmarks) & set(of_average))
    if len(names) < 3:
        known = ", ".join(sorted(of_average)) or "none"
        raise RegistrationError(
            f"Of the landmarks given, {len(names)} are known; three are needed. Known names: {known}."
        )
    fixed = np.array([landmarks[name] for name in names], dtype=np.float64)
    moving = np.array([of_average[name] for name in names], dtype=np.float64)
    if not np.all(np.isfinite(fixed)):
        raise RegistrationError("Some landmarks are not finite numbers.")
    breadth = np.linalg.svd(fixed - fixed.mean(axis=0), compute_uv=False)[1]
    if breadth < _LEAST_BREADTH_MM:
        raise RegistrationError(
            f"The landmarks {', '.join(names)} lie in a line; give one that is not on it."
        )
    scale, rotation, translation = similarity(moving, fixed)
    apart = np.linalg.norm(scale * moving @ rotation.T + translation - fixed, axis=1)
    if apart.max() > _WORST_MM:
        raise RegistrationError(
            f"The landmarks do not fit a femur of this side: '{names[apart.argmax()]}' lies "
            f"{apart.max():.0f} mm from where the others put it. Check their names and places."
        )
    return Pose(scale, rotation, translation, float(np.sqrt((apart**2).mean())) / scale)

"""A first pose from landmarks, for bones that are too damaged or too short to be found by their shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import RegistrationError
from ..shape_model import similarity
from .pose import Pose

_LEAST_BREADTH_MM = 8.0  # landmarks this near a line leave the rotation about it open
_WORST_MM = 20.0


def landmark_pose(landmarks: Mapping[str, np.ndarray], of_average: Mapping[str, np.ndarray]) -> Pose:
    """Find the similarity that lays the average's landmarks on a subject's.

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
        If fewer than three are known to both, they lie in a line, or cannot be those of one femur.
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
            f"The landmarks {', '.join(names)} lie in a line; give one that stands aside of it."
        )
    scale, rotation, translation = similarity(moving, fixed)
    apart = np.linalg.norm(scale * moving @ rotation.T + translation - fixed, axis=1)
    if apart.max() > _WORST_MM:
        raise RegistrationError(
            f"The landmarks do not fit a femur of this side: '{names[apart.argmax()]}' lies "
            f"{apart.max():.0f} mm from where the others put it. Check their names and places."
        )
    return Pose(scale, rotation, translation, float(np.sqrt((apart**2).mean())) / scale)

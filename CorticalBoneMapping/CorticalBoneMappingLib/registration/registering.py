"""A femur onto the average femur: pose, smooth bending, projection; and whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..core.errors import RegistrationError, SettingError
from ..core.progress import Progress
from ..core.surface import Surface
from ..mesh.shape_model import ShapeModel
from .deformation import ALONE_STEPS, MODEL_STEPS, N_SAMPLES, Bending, bend
from .judging import (
    check_fit,
    check_pose,
    check_side,
    expected_errors,
    mean_mm,
    surface_distances,
    warnings_on,
)
from .pairs import Sample
from .pose import Clouds, Pose, landmark_pose, pose_between
from .projection import counterparts, folded_triangles, project
from .result import Plausibility, Registration
from .template import Template, prepare, template_of

Landmarks = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class RegistrationSettings:
    """How a femur is registered.

    Attributes
    ----------
    flexibility : float
        Multiplies the bending that is held likely; from 0.2 (stiff) to 5.
    check_side : bool
        Whether to make sure that the femur is of the side that it is said to be.
    """

    flexibility: float = 1.0
    check_side: bool = True

    def __post_init__(self) -> None:
        if not 0.2 <= self.flexibility <= 5.0:
            raise SettingError(f"The flexibility is {self.flexibility:g}; it must lie between 0.2 and 5.")


def register(
    surface: Surface,
    average: Surface,
    side: Literal["left", "right"],
    *,
    shape_model: ShapeModel | None = None,
    landmarks: Landmarks | None = None,
    average_landmarks: Landmarks | None = None,
    settings: RegistrationSettings | None = None,
    progress: Progress | None = None,
) -> Registration:
    """Lay the average femur on a subject's, vertex by vertex.

    A similarity is found from any pose without landmarks and cannot flip; then the average is bent
    smoothly, by the modes of a shape model first if there is one, and laid on the surface. A left femur is
    mirrored first, and everything is returned in its own space. The shaft of either may be cut anywhere
    below the lesser trochanter; the head may be missing; where the surface has a hole, nothing is laid.

    Parameters
    ----------
    surface : Surface
        Of the subject, RAS mm. Its array ``cut_end`` (1 on the flat ends where the bone was
        cut) is used if it has one; otherwise flat ends are looked for.
    average : Surface
        The average femur, a right one.
    side : {"left", "right"}
        Of the subject.
    shape_model : ShapeModel, optional
        How femurs differ, on the average's own mesh (`ShapeModel.resampled` brings it there).
    landmarks : mapping of str to ndarray of shape (3,), optional
        The subject's, RAS mm: with them the search for the pose begins. At least three not in a line.
    average_landmarks : mapping of str to ndarray of shape (3,), optional
        The average's own; needed with `landmarks`.
    settings : RegistrationSettings, optional
        How.
    progress : Progress, optional
        Told of each step.

    Returns
    -------
    Registration

    Raises
    ------
    RegistrationError
        If the surface is mostly open, has too few points, is of the other side, of an impossible size, or
        nothing like a femur, or if the landmarks are too few or cannot be a femur's.
    """
    settings, progress = settings or RegistrationSettings(), progress or Progress()
    _check(average, side, shape_model)
    progress.report(0.0, "Looking for the pose of the femur")
    prepared = prepare(surface)
    right = prepared.closed.mirrored() if side == "left" else prepared.closed
    template = template_of(average, shape_model, settings.flexibility)
    start = None
    if landmarks is not None:
        start = landmark_pose(_right_sided(landmarks, side), average_landmarks or {})
    clouds, target = Clouds.of(right), Sample.of(right, N_SAMPLES)
    pose = pose_between(clouds, template.clouds, start)
    check_pose(pose)
    warnings = prepared.warnings
    if settings.check_side:
        progress.report(0.3, "Making sure of the side")
        warnings += check_side(clouds, target, template, pose, side)
    steps = ALONE_STEPS if shape_model is None else MODEL_STEPS
    bending = bend(template.bendable, target, pose, steps=steps, progress=progress.part(0.5, 0.8))
    progress.report(0.8, "Laying the average femur on the surface")
    registered_template = _Registered.on(right, template.surface, bending)
    progress.report(0.95, "Measuring how well they agree")
    registration = _measured(registered_template, prepared.given, average, side, template, warnings)
    progress.report(1.0, "Registered")
    return registration


def _check(average: Surface, side: str, shape_model: ShapeModel | None) -> None:
    if side not in ("left", "right"):
        raise RegistrationError(f"The side is '{side}'; it must be 'left' or 'right'.")
    if shape_model is not None and shape_model.mean.shape != average.points.shape:
        raise RegistrationError(
            f"The shape model has {len(shape_model.mean)} points and the average femur "
            f"{len(average.points)}; they do not belong together."
        )


def _right_sided(landmarks: Landmarks, side: str) -> Landmarks:
    if side == "right":
        return landmarks
    return {name: np.asarray(point) * [-1.0, 1.0, 1.0] for name, point in landmarks.items()}


@dataclass(frozen=True)
class _Registered:
    """The average, bent and laid on a right-sided subject, all in the frame of the average.

    Of the bent and of the laid average: which vertices have a counterpart, and how far it is.
    """

    bending: Bending
    posed: Surface
    registered_template: Surface
    there: np.ndarray
    misfit: np.ndarray
    covered: np.ndarray
    left: np.ndarray

    @classmethod
    def on(cls, right: Surface, average: Surface, bending: Bending) -> _Registered:
        posed = replace(right, points=bending.pose.undo(right.points))
        bent = replace(average, points=bending.points)
        there, step = counterparts(bent, posed)
        registered_template = replace(average, points=project(bent, posed, average, (there, step)))
        covered, left = counterparts(registered_template, posed)
        return cls(bending, posed, registered_template, there, _length(step), covered, _length(left))

    @property
    def pose(self) -> Pose:
        return self.bending.pose


def _length(steps: np.ndarray) -> np.ndarray:
    return np.linalg.norm(steps, axis=1)


def _measured(
    found: _Registered,
    subject: Surface,
    average: Surface,
    side: str,
    template: Template,
    warnings: tuple[str, ...],
) -> Registration:
    """Measure the result, and carry it from the frame of the average to the subject's own space."""
    registered_template, covered, scale = found.registered_template, found.covered, found.pose.scale
    misfit = scale * mean_mm(found.misfit[found.there])
    distances = surface_distances(registered_template, found.posed, covered, found.left, scale)
    folded = folded_triangles(registered_template, replace(registered_template, points=average.points))
    check_fit(misfit, covered, folded, registered_template)
    error = np.where(covered, scale * expected_errors(found.bending, registered_template, template), np.nan)
    coordinates = found.bending.mode_coefficients
    usual = Plausibility.of(coordinates)
    warnings += warnings_on(scale, misfit, distances, int(folded.sum()), float(np.nanmean(error)), usual)
    deformed = replace(average, points=found.pose.apply(registered_template.points), arrays={}, units={})
    return Registration(
        subject=subject,
        average=average,
        side=side,
        matrix=found.pose.matrix,
        deformed=deformed.mirrored() if side == "left" else deformed,
        covered=covered,
        distances=distances,
        bending_misfit_mm=misfit,
        folded=int(folded.sum()),
        expected_error=error,
        shape_coordinates=coordinates,
        warnings=warnings,
    )

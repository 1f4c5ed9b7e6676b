"""Register a femur: pose, smooth deformation, projection, and how good the result is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import RegistrationError, SettingError
from ..core.progress import Progress
from ..core.side import Side, check_side
from ..core.surface import Surface
from ..mesh.plausibility import Plausibility
from ..mesh.shape_model import ShapeModel
from .deformation import ALONE_STEPS, MODEL_STEPS, N_SAMPLES, Deformation, deform
from .judging import (
    check_fit,
    check_pose,
    expected_errors,
    mean_mm,
    plausibility_of,
    refuse_wrong_side,
    surface_distances,
    warnings_on,
)
from .landmark_pose import landmark_pose
from .pairs import Sample
from .pose import Clouds, Pose, pose_between
from .projection import counterparts, folded_triangles, project
from .result import Registration
from .template import Template, prepare, template_of

Landmarks = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class RegistrationSettings:
    """How a femur is registered.

    Attributes
    ----------
    flexibility : float
        Multiplies the prior width of the deformation; from 0.2 (stiff) to 5.
    check_side : bool
        Whether to check that the femur is of the given side.
    """

    flexibility: float = 1.0
    check_side: bool = True

    def __post_init__(self) -> None:
        if not 0.2 <= self.flexibility <= 5.0:
            raise SettingError(f"The flexibility is {self.flexibility:g}; it must lie between 0.2 and 5.")


def register(
    surface: Surface,
    average: Surface,
    side: Side,
    *,
    shape_model: ShapeModel | None = None,
    landmarks: Landmarks | None = None,
    average_landmarks: Landmarks | None = None,
    settings: RegistrationSettings | None = None,
    progress: Progress | None = None,
) -> Registration:
    """Register the average femur to a subject's, vertex by vertex.

    A similarity is found from any pose without landmarks and never flips; then the average is deformed
    smoothly, by the modes of a shape model first if one is given, and projected onto the surface. A left
    femur is mirrored first, and everything is returned in its own space. The shaft of either may be cut
    anywhere below the lesser trochanter; the head may be missing; a hole in the surface has no counterpart.

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
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    Registration

    Raises
    ------
    RegistrationError
        If the surface is mostly open, has too few points, is of the other side, of an impossible size,
        or unlike a femur, or if the landmarks are too few or do not fit a femur.
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
        progress.report(0.3, "Checking the side")
        warnings += refuse_wrong_side(clouds, target, template, pose, side)
    steps = ALONE_STEPS if shape_model is None else MODEL_STEPS
    deformation = deform(template.deformable, target, pose, steps=steps, progress=progress.part(0.5, 0.8))
    progress.report(0.8, "Projecting the average femur onto the surface")
    registered_template = _FittedTemplate.on(right, template.surface, deformation)
    progress.report(0.95, "Measuring how well they agree")
    coordinates = deformation.mode_coefficients
    usual = plausibility_of(
        registered_template.registered_template, registered_template.covered, shape_model, coordinates
    )
    registration = _measured(registered_template, prepared.given, average, side, template, usual, warnings)
    progress.report(1.0, "Registered")
    return registration


def _check(average: Surface, side: str, shape_model: ShapeModel | None) -> None:
    check_side(side)
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
class _FittedTemplate:
    """The template fitted to a right-sided subject, all in the frame of the average.

    `there` and `misfit`, of the smoothly deformed average, and `covered` and `left`, of the projected one:
    which vertices have a counterpart, and its distance (mm).
    """

    deformation: Deformation
    posed: Surface
    registered_template: Surface
    there: np.ndarray
    misfit: np.ndarray
    covered: np.ndarray
    left: np.ndarray

    @classmethod
    def on(cls, right: Surface, average: Surface, deformation: Deformation) -> _FittedTemplate:
        posed = replace(right, points=deformation.pose.undo(right.points))
        smooth = replace(average, points=deformation.points)
        there, step = counterparts(smooth, posed)
        registered_template = replace(average, points=project(smooth, posed, average, (there, step)))
        covered, left = counterparts(registered_template, posed)
        return cls(deformation, posed, registered_template, there, _length(step), covered, _length(left))

    @property
    def pose(self) -> Pose:
        return self.deformation.pose


def _length(steps: np.ndarray) -> np.ndarray:
    return np.linalg.norm(steps, axis=1)


def _measured(
    found: _FittedTemplate,
    subject: Surface,
    average: Surface,
    side: str,
    template: Template,
    usual: Plausibility,
    warnings: tuple[str, ...],
) -> Registration:
    """Measure the result, and carry it from the frame of the average to the subject's own space."""
    registered_template, covered, scale = found.registered_template, found.covered, found.pose.scale
    misfit = scale * mean_mm(found.misfit[found.there])
    distances = surface_distances(registered_template, found.posed, covered, found.left, scale)
    folded = folded_triangles(registered_template, replace(registered_template, points=average.points))
    check_fit(misfit, covered, folded, registered_template)
    error = np.where(
        covered, scale * expected_errors(found.deformation, registered_template, template), np.nan
    )
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
        deformation_misfit_mm=misfit,
        folded=int(folded.sum()),
        expected_error=error,
        shape_coordinates=found.deformation.mode_coefficients,
        plausibility=usual,
        warnings=warnings,
    )

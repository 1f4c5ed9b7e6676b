"""A femur onto the average femur: pose, smooth bending, projection; and whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..errors import RegistrationError, SettingError
from ..progress import Progress
from ..shape_model import ShapeModel
from ..surface import Surface
from .cut_ends import with_cut_ends
from .deformation import BUMP_STEPS, MODEL_STEPS, Bending, bend
from .judging import check_fit, check_pose, mean_mm, remarks_on, surface_distances
from .landmarks import landmark_pose
from .pose import Pose, find_pose
from .preparation import prepare
from .prior import Prior, prior_of
from .projection import counterparts, folded_triangles, project
from .result import Plausibility, Registration
from .side import check_side
from .uncertainty import expected_errors

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
    marked = with_cut_ends(average)
    start = None
    if landmarks is not None:
        start = landmark_pose(_right_sided(landmarks, side), average_landmarks or {})
    pose = find_pose(right, marked, start)
    check_pose(pose)
    remarks = prepared.remarks
    if settings.check_side:
        progress.report(0.15, "Making sure of the side")
        remarks += check_side(right, marked, pose, side)
    prior = prior_of(average.points, shape_model, settings.flexibility)
    steps = BUMP_STEPS if shape_model is None else (*MODEL_STEPS, *BUMP_STEPS)
    bending = bend(marked, right, pose, prior, steps=steps, progress=progress.part(0.25, 0.8))
    progress.report(0.8, "Laying the average femur on the surface")
    laid = _Laid.on(right, marked, bending)
    progress.report(0.95, "Measuring how well they agree")
    registration = _measured(laid, prepared.given, average, side, prior, remarks)
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
class _Laid:
    """The average, bent and laid on a right-sided subject, all in the frame of the average."""

    bending: Bending
    posed: Surface
    bent: Surface
    laid: Surface

    @classmethod
    def on(cls, right: Surface, average: Surface, bending: Bending) -> _Laid:
        posed = replace(right, points=bending.pose.undo(right.points))
        bent = replace(average, points=bending.points)
        return cls(bending, posed, bent, replace(average, points=project(bent, posed, average)))

    @property
    def pose(self) -> Pose:
        return self.bending.pose


def _measured(
    found: _Laid, subject: Surface, average: Surface, side: str, prior: Prior, remarks: tuple[str, ...]
) -> Registration:
    """Measure the result, and carry it from the frame of the average to the subject's own space."""
    laid, posed, scale = found.laid, found.posed, found.pose.scale
    covered = counterparts(laid, posed, laid)[0]
    there, bending = counterparts(found.bent, posed, laid)
    misfit = scale * mean_mm(np.linalg.norm(bending[there], axis=1))
    distances = surface_distances(laid, posed, covered, scale)
    folded = folded_triangles(laid, replace(laid, points=average.points))
    check_fit(misfit, covered, folded, laid)
    error = np.where(covered, scale * expected_errors(found.bending, laid, prior), np.nan)
    coordinates = found.bending.mode_coefficients
    usual = Plausibility.of(coordinates)
    remarks += remarks_on(scale, misfit, distances, int(folded.sum()), float(np.nanmean(error)), usual)
    deformed = replace(average, points=found.pose.apply(laid.points), arrays={}, units={})
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
        remarks=remarks,
    )

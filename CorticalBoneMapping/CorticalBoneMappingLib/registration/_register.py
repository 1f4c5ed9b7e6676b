"""A femur onto the average femur: pose, smooth bending, projection; and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..closest import closest_points
from ..errors import RegistrationError, SettingError
from ..progress import Progress
from ..shape_model import ShapeModel
from ..surface import Surface
from .cut_ends import cut_end_of, widened, with_cut_ends
from .deformation import BUMP_STEPS, MODEL_STEPS, Step, bend
from .pose import Pose, find_pose
from .prior import prior_of
from .projection import counterparts, folded_triangles, project
from .result import Registration, SurfaceDistances

_LEAST_POINTS = 500
_COARSE = (Step(3.0, 24.0, 6), Step(1.5, 18.0, 4))  # enough to compare a bone with its mirror image
_CLEARLY = 1.3  # given over mirrored misfits: at most 0.7 for the right side, at least 1.5 for the wrong one
_WORST_MISFIT_MM, _UNUSUAL_MISFIT_MM, _UNUSUAL_DISTANCE_MM = 1.0, 0.5, 1.0
_LEAST_COVERED, _MOST_FOLDED = 0.35, 0.01
# Femurs, whole or cut, stay below 3.5 mm on the average in their pose; a sphere or a banana is above 6 mm.
_WORST_POSE_MM = 5.0
_SCALES, _USUAL_SCALES = (0.6, 1.6), (0.8, 1.25)


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
    settings: RegistrationSettings | None = None,
    progress: Progress | None = None,
) -> Registration:
    """Lay the average femur on a subject's, vertex by vertex.

    A similarity is found from any pose without landmarks and cannot flip; then the average is bent
    smoothly and laid on the surface. A left femur is mirrored first, and everything is returned in its
    own space. The shaft of either may be cut anywhere below the lesser trochanter.

    Parameters
    ----------
    surface : Surface
        Of the subject: closed, RAS mm. Its array ``cut_end`` (1 on the flat ends where the bone was
        cut) is used if it has one; otherwise flat ends are looked for.
    average : Surface
        The average femur, a right one.
    side : {"left", "right"}
        Of the subject.
    shape_model : ShapeModel, optional
        How femurs differ, on the average's own mesh (`ShapeModel.resampled` brings it there). The average
        is then bent by its modes first, and freely only in what they leave.
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
        If the surface is open, has too few points, is of the other side, of an impossible size, or
        nothing like a femur.
    """
    settings, progress = settings or RegistrationSettings(), progress or Progress()
    _check(surface, side)
    progress.report(0.0, "Looking for the pose of the femur")
    right = surface.mirrored() if side == "left" else surface
    right, marked = with_cut_ends(right), with_cut_ends(average)
    pose = find_pose(right, marked)
    _check_pose(pose)
    if settings.check_side:
        progress.report(0.15, "Making sure of the side")
        _check_side(right, marked, pose, side)
    prior = prior_of(average.points, shape_model, settings.flexibility)
    steps = BUMP_STEPS if shape_model is None else (*MODEL_STEPS, *BUMP_STEPS)
    bending = bend(marked, right, pose, prior, steps=steps, progress=progress.part(0.25, 0.8))
    progress.report(0.8, "Laying the average femur on the surface")
    pose, bent = bending.pose, replace(marked, points=bending.points)
    posed = replace(right, points=pose.undo(right.points))
    laid = replace(marked, points=project(bent, posed, marked))
    progress.report(0.95, "Measuring how well they agree")
    registration = _registration(surface, average, side, pose, posed, bent, laid)
    progress.report(1.0, "Registered")
    return registration


def _check(surface: Surface, side: str) -> None:
    if side not in ("left", "right"):
        raise RegistrationError(f"The side is '{side}'; it must be 'left' or 'right'.")
    if len(surface.points) < _LEAST_POINTS:
        raise RegistrationError(
            f"The surface has only {len(surface.points)} points; a femur needs at least {_LEAST_POINTS}."
        )
    if not np.all(np.isfinite(surface.points)):
        raise RegistrationError("Some points of the surface are not finite numbers.")
    if not surface.is_closed():
        raise RegistrationError(
            "The surface of the femur has holes or a free border. Close it (for example by making it again "
            "from the segmentation) and register again."
        )
    if surface.volume_mm3 <= 0:
        raise RegistrationError("The triangles of the surface look inward; turn them round.")


def _check_pose(pose: Pose) -> None:
    if not _SCALES[0] <= pose.scale <= _SCALES[1]:
        raise RegistrationError(
            f"The bone is {pose.scale:.2f} times the size of the average femur; {_SCALES[0]} to {_SCALES[1]} "
            "is possible. Is it a femur, and are its coordinates in mm?"
        )
    if pose.misfit_mm > _WORST_POSE_MM:
        raise _unlike_a_femur(
            f"laid on it as well as it goes, the average femur is {pose.misfit_mm:.1f} mm off"
        )


def _unlike_a_femur(why: str) -> RegistrationError:
    return RegistrationError(
        f"The surface does not look like a proximal femur: {why}. Was the right bone segmented, with head, "
        "neck and trochanters?"
    )


def _check_side(right: Surface, average: Surface, pose: Pose, side: str) -> None:
    """Refuse a femur whose mirror image fits clearly better, in its pose and after a coarse bending."""
    mirrored = right.mirrored()
    other_pose = find_pose(mirrored, average)
    evidence = pose.misfit_mm / other_pose.misfit_mm
    if evidence <= 1.0:
        return
    evidence *= _coarse_misfit(right, average, pose) / _coarse_misfit(mirrored, average, other_pose)
    if evidence > _CLEARLY:
        other = "right" if side == "left" else "left"
        raise RegistrationError(
            f"The femur is said to be a {side} one but looks like a {other} one: the average femur fits its "
            f"mirror image better. Give the side as '{other}', or switch the check of the side off."
        )


def _coarse_misfit(subject: Surface, average: Surface, pose: Pose) -> float:
    prior = prior_of(average.points, None, 1.0)
    bending = bend(average, subject, pose, prior, steps=_COARSE, n_samples=700)
    posed = replace(subject, points=bending.pose.undo(subject.points))
    there, step = counterparts(replace(average, points=bending.points), posed, average, reach_mm=20.0)
    return _mean(np.linalg.norm(step[there], axis=1))


def _registration(
    subject: Surface, average: Surface, side: str, pose: Pose, posed: Surface, bent: Surface, laid: Surface
) -> Registration:
    """Measure the result, and carry it from the pose of the average to the subject's own space."""
    scale, covered = pose.scale, counterparts(laid, posed, laid)[0]
    there, bending = counterparts(bent, posed, laid)
    misfit = scale * _mean(np.linalg.norm(bending[there], axis=1))
    distances = _distances(laid, posed, covered, scale)
    folded = folded_triangles(laid, replace(laid, points=average.points))
    _check_fit(misfit, covered, folded, laid)
    deformed = replace(average, points=pose.apply(laid.points), arrays={}, units={})
    if side == "left":
        deformed = deformed.mirrored()
    remarks = _remarks(pose, misfit, distances, int(folded.sum()))
    return Registration(
        subject, average, side, pose.matrix, deformed, covered, distances, misfit, int(folded.sum()), remarks
    )


def _distances(laid: Surface, posed: Surface, covered: np.ndarray, scale: float) -> SurfaceDistances:
    forth = scale * closest_points(posed, laid.points[covered]).distance
    place = closest_points(laid, posed.points)
    counted = covered[laid.triangles[place.triangle]].all(axis=1)
    counted &= ~widened(posed, cut_end_of(posed))
    back = scale * place.distance[counted]
    return SurfaceDistances(_mean(forth), _high(forth), _mean(back), _high(back))


def _mean(distances: np.ndarray) -> float:
    return float(distances.mean()) if len(distances) else np.inf


def _high(distances: np.ndarray) -> float:
    return float(np.quantile(distances, 0.95)) if len(distances) else np.inf


def _check_fit(misfit: float, covered: np.ndarray, folded: np.ndarray, average: Surface) -> None:
    if misfit > _WORST_MISFIT_MM:
        raise _unlike_a_femur(f"bent as well as it goes, the average femur is {misfit:.1f} mm off")
    share = average.point_areas[covered].sum() / average.point_areas.sum()
    if share < _LEAST_COVERED:
        raise _unlike_a_femur(f"only {share:.0%} of the average femur has a counterpart")
    if folded.mean() > _MOST_FOLDED:
        raise _unlike_a_femur(f"{folded.sum()} triangles of the average femur fold over when laid on it")


def _remarks(pose: Pose, misfit: float, distances: SurfaceDistances, folded: int) -> tuple[str, ...]:
    remarks = []
    if not _USUAL_SCALES[0] <= pose.scale <= _USUAL_SCALES[1]:
        remarks.append(f"The femur is {pose.scale:.2f} times the size of the average one.")
    if misfit > _UNUSUAL_MISFIT_MM:
        remarks.append(f"Smooth bending leaves {misfit:.2f} mm on average; the shape is unusual.")
    if distances.to_average_95 > _UNUSUAL_DISTANCE_MM:
        remarks.append(
            f"Five percent of the femur are more than {distances.to_average_95:.1f} mm from the average "
            "femur laid on it."
        )
    if folded:
        remarks.append(f"{folded} triangles of the average femur are folded over.")
    return tuple(remarks)

"""How good a registration is: side, size, distances between the surfaces, and expected errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import RegistrationError
from ..core.surface import Surface
from ..mesh.closest import closest_points
from ..mesh.plausibility import Plausibility
from ..mesh.shape_model import ShapeModel, pose_basis
from .cut_ends import cut_end_of, widened
from .deformation import Deformation, Step, deform, matched_samples, normal_distance
from .pairs import Sample
from .pose import Clouds, Pose, pose_between
from .result import SurfaceDistances
from .template import Template


@dataclass(frozen=True)
class JudgingLimits:
    """Limits beyond which a registration is refused or gets a warning.

    The limits of the side are tuned on the first twelve simulated femurs, the real and the damaged ones
    (``python -m validation.registration``). The others are chosen by hand where no origin is given.

    Attributes
    ----------
    wrong_side_ratio : float
        Misfit over that of the mirror image, after both poses and coarse deformations: at most 0.4 for the
        right side, at least 2.5 for the wrong one.
    right_side_ratio : float
        The same ratio in the two poses alone: at most 0.75 for the right side.
    scales, usual_scales : tuple of float
        Size over that of the average: refused, or warned of, outside.
    worst_pose_mm : float
        Misfit in the pose, refused above: femurs, whole or cut, are below 3.5 mm; a sphere or a banana is
        above 6 mm.
    worst_misfit_mm, unusual_misfit_mm : float
        Mean distance after the smooth deformation: refused, or warned of, above.
    unusual_distance_mm : float
        95th percentile of the distance from the subject to the average.
    unusual_error_mm : float
        Mean expected error along the surface.
    unusual_share : float
        Share of the population whose shape is as unusual. A definition.
    least_covered : float
        Share of the average's area with a counterpart.
    most_folded : float
        Share of the triangles that are folded over.
    """

    wrong_side_ratio: float = 1.8
    right_side_ratio: float = 0.8
    scales: tuple[float, float] = (0.6, 1.6)
    usual_scales: tuple[float, float] = (0.8, 1.25)
    worst_pose_mm: float = 5.0
    worst_misfit_mm: float = 1.0
    unusual_misfit_mm: float = 0.5
    unusual_distance_mm: float = 1.0
    unusual_error_mm: float = 2.0
    unusual_share: float = 0.001
    least_covered: float = 0.3
    most_folded: float = 0.01


_LIMITS = JudgingLimits()
_COARSE = (Step(3.0, 3),)


def check_pose(pose: Pose) -> None:
    """Refuse what has not the size or the shape of a femur.

    Raises
    ------
    RegistrationError
        Saying which.
    """
    if not _LIMITS.scales[0] <= pose.scale <= _LIMITS.scales[1]:
        raise RegistrationError(
            f"The bone is {pose.scale:.2f} times the size of the average femur; "
            f"{_LIMITS.scales[0]} to {_LIMITS.scales[1]} is possible. Is it a femur, and are its coordinates "
            "in mm?"
        )
    if pose.misfit_mm > _LIMITS.worst_pose_mm:
        raise _not_a_femur(f"in its best pose, the average femur is {pose.misfit_mm:.1f} mm off")


def refuse_wrong_side(
    clouds: Clouds, target: Sample, template: Template, pose: Pose, side: str
) -> tuple[str, ...]:
    """Refuse a femur whose mirror image fits clearly better, in its pose and after a coarse deformation.

    Parameters
    ----------
    clouds, target : Clouds, Sample
        Of the subject as a right femur, if it is of the side given.
    template : Template
        The average femur.
    pose : Pose
        From the average to the subject.
    side : {"left", "right"}
        As given for the subject.

    Returns
    -------
    tuple of str
        A warning if the shape does not show the side.

    Raises
    ------
    RegistrationError
        If the femur is of the other side.
    """
    other_pose = pose_between(clouds.mirrored(), template.clouds)
    misfit_ratio = pose.misfit_mm / other_pose.misfit_mm
    if misfit_ratio < _LIMITS.right_side_ratio:
        return ()
    misfit_ratio *= _coarse_misfit(target, template, pose) / _coarse_misfit(
        target.mirrored(), template, other_pose
    )
    if misfit_ratio > _LIMITS.wrong_side_ratio:
        other = "right" if side == "left" else "left"
        raise RegistrationError(
            f"The femur is said to be a {side} one but looks like a {other} one: the average femur fits its "
            f"mirror image better. Give the side as '{other}'."
        )
    if misfit_ratio > 1.0 / _LIMITS.wrong_side_ratio:
        return (f"The shape of this bone does not show its side; make sure that it is a {side} one.",)
    return ()


def _coarse_misfit(target: Sample, template: Template, pose: Pose) -> float:
    """Mean distance along the normal of pairs, after deformation by the wide functions only, mm."""
    deformation = deform(template.coarsely_deformable, target, pose, steps=_COARSE)
    here, there, pairs = matched_samples(deformation, template.coarsely_deformable, target, np.inf)
    return float(np.abs(normal_distance(here, there, pairs)[pairs.weight > 0]).mean())


def check_fit(misfit_mm: float, covered: np.ndarray, folded: np.ndarray, average: Surface) -> None:
    """Refuse a bone to which the average does not fit.

    Parameters
    ----------
    misfit_mm : float
        Mean distance after the smooth deformation.
    covered : ndarray of shape (n_average,)
        Which vertices have a counterpart.
    folded : ndarray of shape (n_triangles,)
        Which triangles are folded over.
    average : Surface
        The average.

    Raises
    ------
    RegistrationError
        Saying why.
    """
    share = average.point_areas[covered].sum() / average.point_areas.sum()
    if share < _LIMITS.least_covered:
        raise _not_a_femur(f"only {share:.0%} of the average femur has a counterpart")
    if misfit_mm > _LIMITS.worst_misfit_mm:
        raise _not_a_femur(f"deformed as far as it can be, the average femur is {misfit_mm:.1f} mm off")
    if folded.mean() > _LIMITS.most_folded:
        raise _not_a_femur(f"{folded.sum()} triangles of the average femur fold over on it")


def _not_a_femur(why: str) -> RegistrationError:
    return RegistrationError(
        f"The surface does not look like a proximal femur: {why}. Was the right bone segmented, with head, "
        "neck and trochanters?"
    )


def surface_distances(
    registered_template: Surface, posed: Surface, covered: np.ndarray, left: np.ndarray, scale: float
) -> SurfaceDistances:
    """Measure the distances between the registered template and the subject, where both exist.

    Parameters
    ----------
    registered_template, posed : Surface
        The deformed average and the subject, in the frame of the average.
    covered : ndarray of shape (n_average,)
        Which vertices of the average have a counterpart.
    left : ndarray of shape (n_average,)
        Their distances from it.
    scale : float
        From that frame to mm of the subject.

    Returns
    -------
    SurfaceDistances
    """
    forth = scale * left[covered]
    place = closest_points(registered_template, posed.points)
    counted = covered[registered_template.triangles[place.triangle]].all(axis=1)
    counted &= ~widened(posed, cut_end_of(posed))
    back = scale * place.distance[counted]
    return SurfaceDistances(mean_mm(forth), _high(forth), mean_mm(back), _high(back))


def mean_mm(distances: np.ndarray) -> float:
    """Return the mean; infinite if there are no values."""
    return float(distances.mean()) if len(distances) else np.inf


def _high(distances: np.ndarray) -> float:
    return float(np.quantile(distances, 0.95)) if len(distances) else np.inf


def warnings_on(
    scale: float,
    misfit_mm: float,
    distances: SurfaceDistances,
    folded: int,
    error_mm: float,
    plausibility: Plausibility,
) -> tuple[str, ...]:
    """Return a warning for everything unusual about a registration.

    Parameters
    ----------
    scale : float
        Size over that of the average.
    misfit_mm : float
        Mean distance after the smooth deformation.
    distances : SurfaceDistances
        After the projection.
    folded : int
        Number of triangles folded over.
    error_mm : float
        Mean expected error along the surface.
    plausibility : Plausibility
        Of the shape.

    Returns
    -------
    tuple of str
        A sentence each; empty if nothing is unusual.
    """
    warnings = []
    if not _LIMITS.usual_scales[0] <= scale <= _LIMITS.usual_scales[1]:
        warnings.append(f"The femur is {scale:.2f} times the size of the average one.")
    if plausibility.share_beyond < _LIMITS.unusual_share:
        warnings.append(f"The shape is unusual: {_why_unusual(plausibility)}.")
    if misfit_mm > _LIMITS.unusual_misfit_mm:
        warnings.append(f"The smooth deformation leaves {misfit_mm:.2f} mm on average; the shape is unusual.")
    if error_mm > _LIMITS.unusual_error_mm:
        warnings.append(
            f"Points may be {error_mm:.1f} mm from their true places along the surface, on average."
        )
    if distances.to_average_95 > _LIMITS.unusual_distance_mm:
        warnings.append(
            f"Five percent of the femur are more than {distances.to_average_95:.1f} mm from the average "
            "femur registered to it."
        )
    if folded:
        warnings.append(f"{folded} triangles of the average femur are folded over.")
    return tuple(warnings)


def _why_unusual(plausibility: Plausibility) -> str:
    by_coordinates, by_residual = plausibility.by_coordinates, plausibility.by_residual
    if by_residual is not None and by_residual < by_coordinates:
        return (
            f"the modes of shape leave {plausibility.residual_mm:.1f} mm of it, "
            f"{plausibility.greatest_residual_mm:.1f} mm at most, "
            f"where {plausibility.expected_residual_mm:.1f} mm are common"
        )
    return (
        f"{plausibility.mahalanobis:.1f} standard deviations from the mean one, "
        f"where {plausibility.expected:.1f} are common"
    )


def plausibility_of(
    registered_template: Surface, covered: np.ndarray, shape_model: ShapeModel | None, coordinates: np.ndarray
) -> Plausibility:
    """Judge how usual a subject's shape is.

    Parameters
    ----------
    registered_template : Surface
        The deformed average in its own frame; n vertices.
    covered : ndarray of bool, shape (n,)
        Which of them have a counterpart on the subject.
    shape_model : ShapeModel, optional
        Used in the registration.
    coordinates : ndarray of shape (k,)
        Of the subject in it.

    Returns
    -------
    Plausibility
        By coordinates and residual if the model knows what it leaves of people left out; without a model,
        everything is usual.
    """
    if shape_model is None:
        return Plausibility.of(coordinates)
    return shape_model.judge(registered_template.points, covered, coordinates)


def expected_errors(deformation: Deformation, registered_template: Surface, template: Template) -> np.ndarray:
    """Estimate the distance of each vertex from its true place, along the surface.

    Where a surface is curved in two ways, its shape determines the place along it; on a ball, on a tube and
    beyond what was seen only the prior does. The covariance of the deformation, given the pairs, measures
    that.

    Parameters
    ----------
    deformation : Deformation
        With the covariance of its coefficients.
    registered_template : Surface
        The deformed average in its own frame; n vertices.
    template : Template
        The average.

    Returns
    -------
    ndarray of shape (n,)
        Root mean square error expected, mm in the frame of the average.
    """
    root = deformation.uncertainty.astype(np.float32)
    points, normals = (
        registered_template.points[template.error_vertices],
        registered_template.normals[template.error_vertices],
    )
    prior = template.deformable.prior.at(template.error_vertices)
    dense = np.concatenate([pose_basis(points).reshape(7, -1, 3), prior.modes])
    variance = np.zeros(len(points))
    for direction in _along(normals):
        rows = [np.einsum("mni,ni->nm", dense, direction).astype(np.float32)]
        rows += [(prior.local_basis * direction[:, i, None]).astype(np.float32) for i in range(3)]
        spread = np.concatenate(rows, axis=1) @ root
        variance += np.einsum("ij,ij->i", spread, spread)
    return template.interpolate_errors(np.sqrt(variance))


def _along(normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors along the surface at each vertex."""
    least = np.eye(3)[np.abs(normals).argmin(axis=1)]
    first = np.cross(normals, least)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    return first, np.cross(normals, first)

"""What a registration is worth: what is left between the surfaces, and what is unusual about it.

Whether a femur is of the side that it is said to be.

How far from its true place each vertex of a registered average may be.

Where a surface is curved in two ways its shape tells the place along it; on a ball, on a tube and beyond what
was seen only the prior does. The covariance of the deformation, given the pairs, says which is which.
"""

from __future__ import annotations

import numpy as np

from ..core.errors import RegistrationError
from ..core.surface import Surface
from ..mesh.closest import closest_points
from ..mesh.shape_model import pose_basis
from .cut_ends import cut_end_of, widened
from .deformation import Bending, Step, across, bend, partners
from .pairs import Sample
from .pose import Clouds, Pose, pose_between
from .result import Plausibility, SurfaceDistances
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
        A warning if the shape does not tell the side.

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


_WORST_MISFIT_MM, _UNUSUAL_MISFIT_MM, _UNUSUAL_DISTANCE_MM = 1.0, 0.5, 1.0
_UNUSUAL_ERROR_MM = 2.0
_UNUSUAL_SHARE = 0.001  # of the population that is as far from the mean shape
_LEAST_COVERED, _MOST_FOLDED = 0.3, 0.01
# Femurs, whole or cut, stay below 3.5 mm on the average in their pose; a sphere or a banana is above 6 mm.
_WORST_POSE_MM = 5.0
_SCALES, _USUAL_SCALES = (0.6, 1.6), (0.8, 1.25)


def check_pose(pose: Pose) -> None:
    """Refuse what is not of the size of a femur, or is nothing like one.

    Raises
    ------
    RegistrationError
        Saying which.
    """
    if not _SCALES[0] <= pose.scale <= _SCALES[1]:
        raise RegistrationError(
            f"The bone is {pose.scale:.2f} times the size of the average femur; {_SCALES[0]} to {_SCALES[1]} "
            "is possible. Is it a femur, and are its coordinates in mm?"
        )
    if pose.misfit_mm > _WORST_POSE_MM:
        raise _unlike_a_femur(
            f"laid on it as well as it goes, the average femur is {pose.misfit_mm:.1f} mm off"
        )


def check_fit(misfit_mm: float, covered: np.ndarray, folded: np.ndarray, average: Surface) -> None:
    """Refuse a bone on which the average cannot be laid.

    Parameters
    ----------
    misfit_mm : float
        What smooth bending left.
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
    if share < _LEAST_COVERED:
        raise _unlike_a_femur(f"only {share:.0%} of the average femur has a counterpart")
    if misfit_mm > _WORST_MISFIT_MM:
        raise _unlike_a_femur(f"bent as well as it goes, the average femur is {misfit_mm:.1f} mm off")
    if folded.mean() > _MOST_FOLDED:
        raise _unlike_a_femur(f"{folded.sum()} triangles of the average femur fold over when laid on it")


def _unlike_a_femur(why: str) -> RegistrationError:
    return RegistrationError(
        f"The surface does not look like a proximal femur: {why}. Was the right bone segmented, with head, "
        "neck and trochanters?"
    )


def surface_distances(
    registered_template: Surface, posed: Surface, covered: np.ndarray, left: np.ndarray, scale: float
) -> SurfaceDistances:
    """Measure what is left between the average laid on a subject and the subject, where both exist.

    Parameters
    ----------
    laid, posed : Surface
        The average and the subject in the frame of the average.
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
    """Mean, infinite where there is nothing."""
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
    """Say what is unusual about a registration.

    Parameters
    ----------
    scale : float
        Size over that of the average.
    misfit_mm : float
        What smooth bending left.
    distances : SurfaceDistances
        What is left at last.
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
    if not _USUAL_SCALES[0] <= scale <= _USUAL_SCALES[1]:
        warnings.append(f"The femur is {scale:.2f} times the size of the average one.")
    if plausibility.share_beyond < _UNUSUAL_SHARE:
        warnings.append(
            f"The shape is unusual: {plausibility.mahalanobis:.1f} standard deviations from the mean one, "
            f"where {plausibility.expected:.1f} are common."
        )
    if misfit_mm > _UNUSUAL_MISFIT_MM:
        warnings.append(f"Smooth bending leaves {misfit_mm:.2f} mm on average; the shape is unusual.")
    if error_mm > _UNUSUAL_ERROR_MM:
        warnings.append(
            f"Points may be {error_mm:.1f} mm from their true places along the surface, on average."
        )
    if distances.to_average_95 > _UNUSUAL_DISTANCE_MM:
        warnings.append(
            f"Five percent of the femur are more than {distances.to_average_95:.1f} mm from the average "
            "femur laid on it."
        )
    if folded:
        warnings.append(f"{folded} triangles of the average femur are folded over.")
    return tuple(warnings)


def expected_errors(bending: Bending, registered_template: Surface, template: Template) -> np.ndarray:
    """Foretell the distance of each vertex from its true place, along the surface.

    Parameters
    ----------
    bending : Bending
        With the covariance of its coefficients.
    laid : Surface
        The average as it lies in its own frame now; n vertices.
    template : Template
        The average.

    Returns
    -------
    ndarray of shape (n,)
        Root mean square error expected, mm in the frame of the average.
    """
    root = bending.uncertainty.astype(np.float32)
    points, normals = (
        registered_template.points[template.judged],
        registered_template.normals[template.judged],
    )
    prior = template.bendable.prior.at(template.judged)
    dense = np.concatenate([pose_basis(points).reshape(7, -1, 3), prior.modes])
    variance = np.zeros(len(points))
    for direction in _along(normals):
        rows = [np.einsum("mni,ni->nm", dense, direction).astype(np.float32)]
        rows += [(prior.bumps * direction[:, i, None]).astype(np.float32) for i in range(3)]
        spread = np.concatenate(rows, axis=1) @ root
        variance += np.einsum("ij,ij->i", spread, spread)
    return template.between_judged(np.sqrt(variance))


def _along(normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors along the surface at each vertex."""
    least = np.eye(3)[np.abs(normals).argmin(axis=1)]
    first = np.cross(normals, least)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    return first, np.cross(normals, first)

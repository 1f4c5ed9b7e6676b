"""What a registration is worth: what is left between the surfaces, and what is unusual about it."""

from __future__ import annotations

import numpy as np

from ..closest import closest_points
from ..errors import RegistrationError
from ..surface import Surface
from .cut_ends import cut_end_of, widened
from .pose import Pose
from .result import Plausibility, SurfaceDistances

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
    laid: Surface, posed: Surface, covered: np.ndarray, left: np.ndarray, scale: float
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
    place = closest_points(laid, posed.points)
    counted = covered[laid.triangles[place.triangle]].all(axis=1)
    counted &= ~widened(posed, cut_end_of(posed))
    back = scale * place.distance[counted]
    return SurfaceDistances(mean_mm(forth), _high(forth), mean_mm(back), _high(back))


def mean_mm(distances: np.ndarray) -> float:
    """Mean, infinite where there is nothing."""
    return float(distances.mean()) if len(distances) else np.inf


def _high(distances: np.ndarray) -> float:
    return float(np.quantile(distances, 0.95)) if len(distances) else np.inf


def remarks_on(
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
    remarks = []
    if not _USUAL_SCALES[0] <= scale <= _USUAL_SCALES[1]:
        remarks.append(f"The femur is {scale:.2f} times the size of the average one.")
    if plausibility.share_beyond < _UNUSUAL_SHARE:
        remarks.append(
            f"The shape is unusual: {plausibility.mahalanobis:.1f} standard deviations from the mean one, "
            f"where {plausibility.expected:.1f} are common."
        )
    if misfit_mm > _UNUSUAL_MISFIT_MM:
        remarks.append(f"Smooth bending leaves {misfit_mm:.2f} mm on average; the shape is unusual.")
    if error_mm > _UNUSUAL_ERROR_MM:
        remarks.append(
            f"Points may be {error_mm:.1f} mm from their true places along the surface, on average."
        )
    if distances.to_average_95 > _UNUSUAL_DISTANCE_MM:
        remarks.append(
            f"Five percent of the femur are more than {distances.to_average_95:.1f} mm from the average "
            "femur laid on it."
        )
    if folded:
        remarks.append(f"{folded} triangles of the average femur are folded over.")
    return tuple(remarks)

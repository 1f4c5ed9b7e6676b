"""The result of a registration: the average femur on a subject, and values carried from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core.errors import RegistrationError
from ..core.surface import Surface
from ..mesh.closest import ClosestPoints, closest_points, interpolate
from ..mesh.plausibility import Plausibility


@dataclass(frozen=True)
class Registration:
    """The average femur on a subject.

    Attributes
    ----------
    subject : Surface
        As it was given, in its own RAS space; triangles that looked inward are turned round.
    average : Surface
        The average femur, a right one, in its own space.
    side : str
        ``left`` or ``right``: the subject's.
    matrix : ndarray of shape (4, 4)
        Similarity from the average to the right-sided subject: to the subject itself if it is a right
        femur, to its mirror image (x of opposite sign) if it is a left one. Its determinant is positive.
    deformed : Surface
        The average's mesh registered to the subject, in the subject's RAS space, triangles looking outward.
        The order of vertices is the average's.
    covered : ndarray of shape (n_average,)
        False where the subject has no counterpart: on and beyond a cut end.
    distances : SurfaceDistances
        What is left between the two surfaces.
    deformation_misfit_mm : float
        Mean distance after the smooth deformation, before the projection onto the surface; large if the
        subject has a shape that no smooth deformation of the average reaches.
    folded : int
        Number of triangles of the deformed average that are folded over.
    expected_error : ndarray of shape (n_average,)
        How far, in mm along the surface, each vertex may be from its true place (root mean square, by the
        covariance of the deformation given the surface); not-a-number where not covered.
    shape_coordinates : ndarray of shape (k,)
        Of the subject in the shape model, in standard deviations of the population; empty without one.
    plausibility : Plausibility
        How usual the subject's shape is in the population of the shape model.
    warnings : tuple of str
        Why somebody should look at this registration; empty if nothing is unusual.
    """

    subject: Surface
    average: Surface
    side: str
    matrix: np.ndarray
    deformed: Surface
    covered: np.ndarray
    distances: SurfaceDistances
    deformation_misfit_mm: float
    folded: int
    expected_error: np.ndarray
    shape_coordinates: np.ndarray
    plausibility: Plausibility
    warnings: tuple[str, ...]

    @property
    def points(self) -> np.ndarray:
        """The average's vertices on the subject, subject's RAS, mm, shape (n_average, 3)."""
        return self.deformed.points

    @property
    def scale(self) -> float:
        """Size of the subject over that of the average."""
        return float(np.cbrt(np.linalg.det(self.matrix[:3, :3])))

    @property
    def expected_error_mm(self) -> float:
        """Mean of `expected_error` where the subject is covered, mm."""
        return float(self.expected_error[self.covered].mean())

    @property
    def look_at_it(self) -> bool:
        """Whether somebody should look at this registration."""
        return bool(self.warnings)

    def to_average(self, values: np.ndarray) -> np.ndarray:
        """Carry values at the subject's vertices to the average femur.

        Parameters
        ----------
        values : ndarray of shape (n_subject,) or (n_subject, k)
            Numbers are interpolated to second order; not-a-number where less than half of the weight
            is known. Integers and booleans are labels: the one with most weight is taken.

        Returns
        -------
        ndarray of shape (n_average,) or (n_average, k)
            At vertices that are not covered: not-a-number, for integers -1, for booleans False.

        Raises
        ------
        RegistrationError
            If there is not one value a vertex.
        """
        return carry(self.subject, self._on_subject, self.covered, values, "subject")

    def to_subject(self, values: np.ndarray) -> np.ndarray:
        """Carry values at the average's vertices to the subject.

        Parameters
        ----------
        values : ndarray of shape (n_average,) or (n_average, k)
            As for `to_average`.

        Returns
        -------
        ndarray of shape (n_subject,) or (n_subject, k)
            Missing, as in `to_average`, where the average has no counterpart.

        Raises
        ------
        RegistrationError
            If there is not one value a vertex.
        """
        return carry(self.deformed, self._on_average, self.subject_covered, values, "average femur")

    @cached_property
    def subject_covered(self) -> np.ndarray:
        """Whether each subject vertex has a counterpart on the average, shape (n_subject,)."""
        place = self._on_average
        near = place.distance < 1.5 * self.deformed.mean_spacing_mm
        return near & self.covered[self.deformed.triangles[place.triangle]].any(axis=1)

    @cached_property
    def _on_subject(self) -> ClosestPoints:
        return closest_points(self.subject, self.deformed.points)

    @cached_property
    def _on_average(self) -> ClosestPoints:
        return closest_points(self.deformed, self.subject.points)


@dataclass(frozen=True)
class SurfaceDistances:
    """How far the deformed average and the subject are apart where both exist, in mm.

    Attributes
    ----------
    to_subject_mean, to_subject_95 : float
        From the vertices of the deformed average: mean and 95th percentile.
    to_average_mean, to_average_95 : float
        From the vertices of the subject.
    """

    to_subject_mean: float
    to_subject_95: float
    to_average_mean: float
    to_average_95: float


def carry(
    surface: Surface, place: ClosestPoints, covered: np.ndarray, values: np.ndarray, name: str
) -> np.ndarray:
    """Carry values at a surface's vertices to places on it: numbers to second order, labels by majority.

    Parameters
    ----------
    surface : Surface
        Whose vertices the values belong to.
    place : ClosestPoints
        Where the values are needed, n places.
    covered : ndarray of shape (n,)
        False where a place has no counterpart: nothing is carried.
    values : ndarray of shape (n_points,) or (n_points, k)
        Numbers, or labels (integers, booleans).
    name : str
        What the surface is, for the error.

    Returns
    -------
    ndarray of shape (n,) or (n, k)
        float64, int64 or bool; missing is not-a-number, -1 or False.

    Raises
    ------
    RegistrationError
        If there is not one value a vertex.
    """
    values = np.asarray(values)
    if len(values) != len(surface.points):
        raise RegistrationError(
            f"There are {len(values)} values for the {len(surface.points)} vertices of the {name}; "
            "they belong to another surface."
        )
    if values.dtype.kind == "b":
        carried, missing = _majority(values, surface.triangles[place.triangle], place.weights), False
    elif values.dtype.kind in "iu":
        labels = values.astype(np.int64)
        carried, missing = _majority(labels, surface.triangles[place.triangle], place.weights), -1
    else:
        carried, missing = _interpolate_second_order(surface, values.astype(np.float64), place), np.nan
    carried[~covered] = missing
    return carried


def _majority(labels: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of the labels at three corners, the one with the greatest sum of weights."""
    at_corners = labels[corners]
    weights = weights.reshape(*weights.shape, *[1] * (labels.ndim - 1))
    same = at_corners[:, :, None] == at_corners[:, None, :]
    best = (same * weights[:, None]).sum(axis=2).argmax(axis=1)
    return np.take_along_axis(at_corners, best[:, None], axis=1)[:, 0]


def _interpolate_second_order(surface: Surface, values: np.ndarray, place: ClosestPoints) -> np.ndarray:
    """Interpolate linearly, and add half of the change that the gradients at the corners predict.

    Linear interpolation flattens every hill by half of the curvature that the gradients see from the
    three corners; adding that half makes the result exact for quadratic functions.
    """
    linear = interpolate(surface, values, place.triangle, place.weights)
    corners = surface.triangles[place.triangle]
    offsets = place.points(surface)[:, None, :] - surface.points[corners]
    gradients = _gradients(surface, values)[corners]
    return linear + 0.5 * np.einsum("nc,ncx,ncx...->n...", place.weights, offsets, gradients)


def _gradients(surface: Surface, values: np.ndarray) -> np.ndarray:
    """Area-weighted mean of the gradients in the known triangles of each vertex, shape (n_points, 3[, k])."""
    corners = surface.points[surface.triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice_area = np.linalg.norm(cross, axis=1)
    normals = cross / np.where(twice_area > 0, twice_area, 1.0)[:, None]
    opposite = corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]
    at_corners = values[surface.triangles]
    known = np.isfinite(at_corners).all(axis=1)
    at_corners = np.where(known[:, None], at_corners, 0.0)
    # Twice the area times the gradient of a linear function: the sum of value × (normal × opposite side).
    flux = np.einsum("tcx,tc...->tx...", np.cross(normals[:, None, :], opposite), at_corners)
    shape = (len(surface.points), *values.shape[1:])
    total, area = np.zeros((shape[0], 3, *shape[1:])), np.zeros(shape)
    share = np.where(known, twice_area.reshape(-1, *[1] * (values.ndim - 1)), 0.0)
    for corner in surface.triangles.T:
        np.add.at(total, corner, flux)
        np.add.at(area, corner, share)
    return total / np.where(area > 0, area, 1.0)[:, None]

"""The femoral head: find the sphere on a bone that is most like a head, and fit it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..core.errors import SurfaceError
from ..core.surface import Surface

SMALLEST_MM, LARGEST_MM = 14.0, 36.0
"""Radii that a human femoral head may have; Noble et al. 1988 saw 17 to 30 mm."""

# Chosen by hand, not tuned, where no origin is given.
_SAMPLES, _PAIRS, _NEIGHBOURS = 1500, 40_000, 40
_MOST_SPHERES = 2000  # that are compared; on a femur a few hundred pairs propose one
_TOLERANCE = 0.07  # of the radius, while the head is looked for: a head may be somewhat flattened
_FACING = 0.9  # cosine between the normal and the direction from the centre
# Spheres are compared by the area of bone on them over this power of their radius. The area alone prefers the
# condyles of a whole femur, the covered part alone the tips of trochanters. On 25 femurs (13 of
# femur_surfaces and femur_surfaces_mpl, vhf, and 10 that are for measuring only) the head has at least 1.5
# times what any other place has; with the first power 1.5, with the second 1.5, without 0.9.
_OF_SIZE = 1.5
_LEAST_SCORE = 30.0  # mm^0.5; half a head has 31 to 39 on the same femurs, what is left without it at most 28
_MOST_ROUNDS, _CONVERGED_MM = 60, 1e-10
_FIT_SPAN = 0.05  # of the radius: beyond this distance a point has no weight


@dataclass(frozen=True)
class Head:
    """The sphere of the femoral head.

    Attributes
    ----------
    centre : ndarray of shape (3,)
        mm.
    radius_mm : float
        Radius.
    residual_mm : float
        Root mean square distance of the head's points from the sphere.
    covered : float
        Share of the sphere's surface on which bone lies, 0 to 1; a head on its neck has about 0.7.
    to_neck : ndarray of shape (3,)
        Unit vector from the centre to where the sphere is open.
    """

    centre: np.ndarray
    radius_mm: float
    residual_mm: float
    covered: float
    to_neck: np.ndarray


def find_head(surface: Surface) -> Head:
    """Find the femoral head on a bone in any pose, by its shape alone.

    Pairs of points with their normals propose spheres; the one on which most bone lies, looking away from
    the centre, is refined (random sample consensus with normals; Schnabel, Wahl and Klein 2007).

    Parameters
    ----------
    surface : Surface
        Of a femur, mm.

    Returns
    -------
    Head

    Raises
    ------
    SurfaceError
        If no part of the bone is a sphere of a head's size.
    """
    random = np.random.default_rng(0)  # the same bone gives the same head
    sample = random.choice(len(surface.points), _SAMPLES, p=surface.point_areas / surface.point_areas.sum())
    points = surface.points[sample]
    # Normals of a voxel's staircase point anywhere; those of a neighbourhood do not.
    near = cKDTree(surface.points).query(points, k=min(_NEIGHBOURS, len(surface.points)))[1]
    normals = surface.normals[near].mean(axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    one, other = random.integers(0, _SAMPLES, (2, _PAIRS))
    centres, radii = _proposed(
        points[one] - points[other], normals[one] - normals[other], points, normals, one, other
    )
    parts = range(0, len(centres), 500)  # bounds the memory
    counts = [_support(points, normals, centres[i : i + 500], radii[i : i + 500]) for i in parts]
    area = np.concatenate([np.empty(0), *counts]) * surface.point_areas.sum() / _SAMPLES
    score = area / radii**_OF_SIZE
    if score.max(initial=0.0) < _LEAST_SCORE:
        raise SurfaceError(
            "No femoral head was found: no part of the bone is a sphere of "
            f"{2 * SMALLEST_MM:.0f} to {2 * LARGEST_MM:.0f} mm, and the whole measures "
            f"{np.linalg.norm(np.ptp(surface.points, axis=0)):.3g} mm from corner to corner. Is the head in "
            "the segmentation, and is the unit mm?"
        )
    best = int(score.argmax())
    return fit_head(surface, centres[best], float(radii[best]))


def fit_head(surface: Surface, centre: np.ndarray, radius_mm: float, rounds: int = 12) -> Head:
    """Fit the sphere of the head from a first guess.

    Least squares of the distances from the sphere, weighted by area, with the biweight of Tukey (Beaton and
    Tukey 1974) so that neither neck nor fovea nor osteophytes move it.

    Parameters
    ----------
    surface : Surface
        mm.
    centre : ndarray of shape (3,)
        First guess, mm; within half a radius.
    radius_mm : float
        First guess.
    rounds : int
        Gauss-Newton steps while the weights narrow; more follow until the sphere has converged.

    Returns
    -------
    Head

    Raises
    ------
    SurfaceError
        If no sphere fits near the guess.
    """
    spans = [*np.geomspace(5 * _FIT_SPAN, _FIT_SPAN, rounds), *[_FIT_SPAN] * _MOST_ROUNDS]
    for number, span in enumerate(spans):
        arm, distance, weights = _weighted(surface, centre, radius_mm, span)
        if weights.sum() < 1.0 * radius_mm**2:
            raise SurfaceError("The femoral head could not be fitted: too little of it is a sphere.")
        direction = arm / distance[:, None]
        design = np.column_stack([direction, np.ones(len(arm))])
        normal_matrix = design.T @ (weights[:, None] * design)
        step = np.linalg.solve(normal_matrix, design.T @ (weights * (distance - radius_mm)))
        centre, radius_mm = centre + step[:3], float(radius_mm + step[3])
        # The converged sphere is the same from any guess, so nothing of the random search is left in it.
        if number >= rounds and np.abs(step).max() < _CONVERGED_MM:
            break
    if not SMALLEST_MM <= radius_mm <= LARGEST_MM:
        raise SurfaceError(
            f"The femoral head would have a diameter of {2 * radius_mm:.0f} mm, which no head has. "
            "Is the unit mm?"
        )
    arm, distance, weights = _weighted(surface, centre, radius_mm, 2 * _FIT_SPAN)
    on_it = weights > 0
    residual = np.sqrt(np.average((distance - radius_mm)[on_it] ** 2, weights=surface.point_areas[on_it]))
    opening = -(weights / distance) @ arm
    covered = surface.point_areas[on_it].sum() / (4 * np.pi * radius_mm**2)
    return Head(centre, radius_mm, float(residual), float(covered), opening / np.linalg.norm(opening))


def least_squares_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit a sphere to points, all with the same weight.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        mm; at least four, not in one plane.

    Returns
    -------
    centre : ndarray of shape (3,)
        mm.
    radius_mm : float
    """
    # |p|² = 2 c·p + (r² − |c|²) is linear in the centre c and the last bracket.
    origin = points.mean(axis=0)
    local = points - origin
    system = np.column_stack([2.0 * local, np.ones(len(local))])
    solved = np.linalg.lstsq(system, (local**2).sum(axis=1), rcond=None)[0]
    centre = solved[:3]
    return centre + origin, float(np.sqrt(solved[3] + centre @ centre))


def _proposed(
    apart: np.ndarray,
    turned: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and radii of the spheres that pairs of points with normals lie on best."""
    radii = (apart * turned).sum(axis=1) / np.maximum((turned**2).sum(axis=1), 1e-9)
    misfit = np.linalg.norm(apart - radii[:, None] * turned, axis=1)
    far = np.linalg.norm(apart, axis=1) > 0.5 * radii
    good = (radii > SMALLEST_MM) & (radii < LARGEST_MM) & (misfit < 2 * _TOLERANCE * radii) & far
    one, other, radii = (part[good][:_MOST_SPHERES] for part in (one, other, radii))
    centres = 0.5 * (points[one] + points[other] - radii[:, None] * (normals[one] + normals[other]))
    return centres, radii


def _support(points: np.ndarray, normals: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """How many points lie on each sphere and look away from its centre, shape (n_spheres,)."""
    arm = points - centres[:, None]
    distance = np.linalg.norm(arm, axis=2)
    facing = np.einsum("sni,ni->sn", arm, normals) > _FACING * distance
    near = np.abs(distance - radii[:, None]) < _TOLERANCE * radii[:, None]
    return np.sum(facing & near, axis=1)


def _weighted(
    surface: Surface, centre: np.ndarray, radius_mm: float, span: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arm = surface.points - centre
    distance = np.maximum(np.linalg.norm(arm, axis=1), 1e-9)
    off = (distance - radius_mm) / (span * radius_mm)
    # The bone has to look away from the centre, if only roughly: staircases do not look exactly.
    outward = np.einsum("ij,ij->i", arm, surface.normals) > 0.3 * distance
    return arm, distance, surface.point_areas * np.where(outward & (np.abs(off) < 1), (1 - off**2) ** 2, 0.0)

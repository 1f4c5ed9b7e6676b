"""The ball of a femoral head, once it is known roughly where the head is and where its neck."""

from __future__ import annotations

import numpy as np

from .heads_grid import Edges
from .heads_pose import FemurTemplate, turns_of

RADII_MM = np.arange(17.0, 32.01, 0.5)
_REACH_MM, _STEP_MM = 12.0, 2.0
# Edges this far within a ball speak against it: the wall of the pelvis is round about the head, too.
_WITHIN_MM = np.array([3.0, 4.0, 5.0, 6.0, 7.0])
_SAME_WEIGHT, _PLACE_SD_MM, _SIZE_SD = 0.1, 12.0, 0.15


def fit_ball(
    template: FemurTemplate, edges: Edges, pose: np.ndarray, side: float
) -> tuple[np.ndarray, float, float]:
    """Find the ball whose surface, away from the neck, lies best on edges of bone.

    Parameters
    ----------
    template : FemurTemplate
    edges : Edges
        Fine ones about the head.
    pose : ndarray of shape (7,)
        Of the femur.
    side : float
        1 right, -1 left.

    Returns
    -------
    centre : ndarray of shape (3,)
        RAS mm.
    radius_mm : float
    agreement : float
        Mean edge along the inward normal, up to 1.
    """
    directions = template.head_directions @ turns_of(pose[None], np.array([side]))[0].T
    expected = template.head_radius_mm * np.exp(pose[6])
    centre = pose[:3]
    for reach, step in ((_REACH_MM, _STEP_MM), (1.5, 0.75)):
        axis = np.arange(-reach, reach + 0.1, step)
        places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        places = centre + places[np.linalg.norm(places, axis=1) <= reach * 1.2]
        fits = _surface_fits(edges, places, directions)
        far = (np.linalg.norm(places - pose[:3], axis=1) / _PLACE_SD_MM) ** 2
        unlike = (np.log(RADII_MM / expected) / _SIZE_SD) ** 2
        scores = fits - _SAME_WEIGHT * (far[:, None] + unlike)
        place, size = np.unravel_index(scores.argmax(), scores.shape)
        centre = places[place]
    return centre, float(RADII_MM[size]), float(fits[place, size])


def _surface_fits(edges: Edges, places: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Edge on the ball less edge within it, for each place and radius, shape (n_places, n_radii)."""
    gap = RADII_MM[1] - RADII_MM[0]
    radii = np.arange(RADII_MM[0] - _WITHIN_MM.max(), RADII_MM[-1] + gap / 2.0, gap)
    found = np.empty((len(places), len(radii)))
    for column, radius in enumerate(radii):
        towards_bone, seen = edges.at(places[:, None] + radius * directions)
        along = -np.einsum("qpa,pa->qp", towards_bone, directions).sum(axis=1)
        found[:, column] = along / np.maximum(seen.sum(axis=1), 0.4 * len(directions))
    first = len(radii) - len(RADII_MM)
    columns = first + np.arange(len(RADII_MM))
    within = [found[:, columns - round(depth / gap)] for depth in _WITHIN_MM]
    return found[:, columns] - 0.5 * np.maximum(np.max(within, axis=0), 0.0)

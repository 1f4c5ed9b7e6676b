"""The ball of a femoral head, once it is known roughly where the head is and where its neck."""

from __future__ import annotations

import numpy as np

from .heads_grid import Edges
from .heads_pose import FemurTemplate, turns_of

_SMALLEST_MM, _LARGEST_MM = 17.0, 32.0
# Reach and step of the search, step of the radius (mm) and share of the directions: coarse to fine.
_ROUNDS = ((15.0, 2.0, 1.0, 3), (2.0, 1.0, 0.5, 2), (1.0, 0.5, 0.5, 1))
# Under the head's plate bone grows lighter again, so its edge the other way lies this far within ...
_PLATE_MM = 2.5
# ... but an edge of bone here speaks against the ball: the pelvis about the head is round, too.
_WITHIN_MM = np.arange(3.5, 8.1, 0.5)
# Beyond the joint the socket begins, where it covers the head.
_SOCKET_MM = np.arange(1.5, 4.1, 0.5)
# Blurred edges make a pose larger than the femur: by 8 % in the mean, 0 to 14 %.
_OF_POSE = 0.95
_SAME_WEIGHT, _PLACE_SD_MM, _SIZE_SD, _BOTH_SD = 0.1, 15.0, 0.12, 0.05


def fit_ball(
    template: FemurTemplate,
    edges: Edges,
    pose: np.ndarray,
    side: float,
    other_radius_mm: float | None = None,
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
    other_radius_mm : float, optional
        Of the person's other femoral head, where it is known; the two are nearly alike.

    Returns
    -------
    centre : ndarray of shape (3,)
        RAS mm.
    radius_mm : float
    agreement : float
        Mean edge along the inward normal, up to 1.
    """
    directions = template.head_directions @ turns_of(pose[None], np.array([side]))[0].T
    expected, spread = _OF_POSE * template.head_radius_mm * np.exp(pose[6]), _SIZE_SD
    if other_radius_mm is not None:
        expected, spread = other_radius_mm, _BOTH_SD
    centre = pose[:3]
    for reach, step, radius_step, every in _ROUNDS:
        axis = np.arange(-reach, reach + 0.1, step)
        places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        places = centre + places[np.linalg.norm(places, axis=1) <= reach]
        radii = np.arange(_SMALLEST_MM, _LARGEST_MM + 0.1, radius_step)
        fits = _surface_fits(edges, places, directions[::every], radii, radius_step)
        far = (np.linalg.norm(places - pose[:3], axis=1) / _PLACE_SD_MM) ** 2
        unlike = (np.log(radii / expected) / spread) ** 2
        scores = fits - _SAME_WEIGHT * (far[:, None] + unlike)
        place, size = np.unravel_index(scores.argmax(), scores.shape)
        centre = places[place]
    return centre, float(radii[size]), float(fits[place, size])


def _surface_fits(
    edges: Edges, places: np.ndarray, directions: np.ndarray, radii: np.ndarray, gap: float
) -> np.ndarray:
    """Edge on the ball and of its plate less edge within it, shape (n_places, n_radii)."""
    sampled = np.arange(radii[0] - _WITHIN_MM[-1], radii[-1] + _SOCKET_MM[-1] + 0.1, gap)
    found = np.empty((len(places), len(sampled)))
    for column, radius in enumerate(sampled):
        towards_bone, seen = edges.at(places[:, None] + radius * directions)
        along = -np.einsum("qpa,pa->q", towards_bone, directions)
        found[:, column] = along / np.maximum(seen.sum(axis=1), 0.4 * len(directions))
    at = np.rint((radii - sampled[0]) / gap).astype(int)
    within = np.max([found[:, at - round(depth / gap)] for depth in _WITHIN_MM], axis=0)
    plate = -found[:, at - round(_PLATE_MM / gap)]
    socket = np.max([-found[:, at + round(beyond / gap)] for beyond in _SOCKET_MM], axis=0)
    return found[:, at] + 0.5 * (plate + np.maximum(socket, 0.0) - np.maximum(within, 0.0))

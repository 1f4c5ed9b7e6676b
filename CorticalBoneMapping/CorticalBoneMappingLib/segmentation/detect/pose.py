"""How well the average femur in a pose, and a ball in the place of its head, agree with the edges of bone.

A pose is seven numbers: head centre (RAS mm), rotation vector (rad) and logarithm of the size; with the side
it places the average femur, which is mirrored for the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ...core.surface import Surface
from .edge_grid import EdgeGrid
from .settings import HEAD, MATCH

_STEPS = np.array(MATCH.steps)
_PROBES = np.concatenate([np.zeros((1, 7)), np.diag(_STEPS), -np.diag(_STEPS)])
_WITHIN_MM, _SOCKET_MM = np.arange(*HEAD.within_mm), np.arange(*HEAD.socket_mm)


@dataclass(frozen=True)
class FemurTemplate:
    """The average right femur as points with areas.

    Attributes
    ----------
    points, normals : ndarray of shape (n, 3)
        Head centre at the origin, axes RAS, mm; outward unit normals.
    areas : ndarray of shape (n,)
        Share of the surface that each represents; sum 1.
    head_directions : ndarray of shape (m, 3)
        Unit vectors from the head centre to the round part of the head.
    head_radius_mm : float
    """

    points: np.ndarray
    normals: np.ndarray
    areas: np.ndarray
    head_directions: np.ndarray
    head_radius_mm: float

    @classmethod
    def of(cls, femur: Surface) -> FemurTemplate:
        """Thin out a surface: right femur, head centre at the origin, ``cut_end`` marked if it has any."""
        cut = femur.arrays.get("cut_end")
        kept = np.ones(len(femur.points), bool) if cut is None else ~cut.astype(bool)
        points, normals, areas = femur.points[kept], femur.normals[kept], femur.point_areas[kept]
        chosen = np.random.default_rng(0).permutation(len(points))
        few = chosen[: MATCH.points]
        reach = np.linalg.norm(points, axis=1)
        medial = points[:, 0] < 0
        radius = float(np.median(reach[medial & (points[:, 2] > 0)]))
        round_part = chosen[np.abs(reach[chosen] / radius - 1.0) < 0.05][: MATCH.head_points]
        directions = points[round_part] / reach[round_part, None]
        return cls(points[few], normals[few], areas[few] / areas[few].sum(), directions, radius)

    def placed(self, poses: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points and normals in each pose.

        Parameters
        ----------
        poses : ndarray of shape (n_poses, 7)
        sides : ndarray of shape (n_poses,)
            1 right, -1 left.

        Returns
        -------
        points, normals : ndarray of shape (n_poses, n, 3)
        """
        turns = turns_of(poses, sides)
        points = np.einsum("qab,pb->qpa", turns, self.points) * np.exp(poses[:, 6])[:, None, None]
        return points + poses[:, None, :3], np.einsum("qab,pb->qpa", turns, self.normals)


def turns_of(poses: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Return the rotation, with the mirror image for the left, of each pose, shape (n_poses, 3, 3)."""
    mirror = np.ones((len(poses), 1, 3))
    mirror[:, 0, 0] = sides
    return Rotation.from_rotvec(poses[:, 3:6]).as_matrix() * mirror


def agreement(
    template: FemurTemplate, edges: EdgeGrid, poses: np.ndarray, sides: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compare poses with the image.

    Parameters
    ----------
    template : FemurTemplate
    edges : EdgeGrid
    poses : ndarray of shape (n_poses, 7)
    sides : ndarray of shape (n_poses,)
        1 right, -1 left.

    Returns
    -------
    agreement : ndarray of shape (n_poses,)
        Mean over the visible surface of the edge along the inward normal: up to 1, near 0 by chance.
    seen : ndarray of shape (n_poses,)
        Share of the surface within the scan.
    """
    points, normals = template.placed(poses, sides)
    towards_bone, seen = edges.at(points)
    along = -np.einsum("qpa,qpa->qp", towards_bone, normals) @ template.areas
    share = seen @ template.areas
    return along / np.maximum(share, MATCH.least_seen), share


def refine(
    template: FemurTemplate,
    edges: EdgeGrid,
    poses: np.ndarray,
    sides: np.ndarray,
    rounds: int,
    first_step: float = 1.0,
) -> np.ndarray:
    """Improve each pose by a pattern search whose step halves when nothing is gained.

    Parameters
    ----------
    template, edges, poses, sides
        As for `agreement`.
    rounds : int
        Number of steps.
    first_step : float
        In units of 4 mm, 9° and 5 % of size.

    Returns
    -------
    ndarray of shape (n_poses, 7)
    """
    poses, step = poses.copy(), np.full(len(poses), first_step)
    for _ in range(rounds):
        probes = poses[:, None] + _PROBES * step[:, None, None]
        scores = _scores(template, edges, probes, sides)
        slope = (scores[:, 1:8] - scores[:, 8:]) / 2.0
        ascent = slope / np.maximum(np.abs(slope).max(axis=1, keepdims=True), 1e-9) * _STEPS * step[:, None]
        best = np.take_along_axis(probes, scores.argmax(axis=1)[:, None, None], axis=1)[:, 0]
        tried = np.stack([best, poses + ascent, poses + ascent / 2.0], axis=1)
        gained = _scores(template, edges, tried, sides)
        chosen = np.take_along_axis(tried, gained.argmax(axis=1)[:, None, None], axis=1)[:, 0]
        better = gained.max(axis=1) > scores[:, 0] + 1e-6
        poses = np.where(better[:, None], chosen, poses)
        step = np.where(better, step, step / 2.0)
    return poses


def _scores(template: FemurTemplate, edges: EdgeGrid, poses: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Agreement less a penalty for unlikely size and turn; poses of shape (n, m, 7), one side a row.

    The sum over what is seen, as evidence adds up: a mean would drive what disagrees out of the scan.
    """
    flat = poses.reshape(-1, 7)
    found, seen = agreement(template, edges, flat, np.repeat(sides, poses.shape[1]))
    found = found * np.maximum(seen, MATCH.least_seen)
    unlikely = (flat[:, 6] / MATCH.size_sd) ** 2 + (flat[:, 3:6] ** 2).sum(axis=1) / MATCH.turn_sd_rad**2
    return (found - MATCH.prior_weight * unlikely).reshape(poses.shape[:2])


def fit_ball(
    template: FemurTemplate,
    edges: EdgeGrid,
    pose: np.ndarray,
    side: float,
    other_radius_mm: float | None = None,
) -> tuple[np.ndarray, float, float]:
    """Find the ball whose surface, away from the neck, agrees best with the edges of bone.

    Parameters
    ----------
    template : FemurTemplate
    edges : EdgeGrid
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
    expected, spread = HEAD.of_pose * template.head_radius_mm * np.exp(pose[6]), HEAD.size_sd
    if other_radius_mm is not None:
        expected, spread = other_radius_mm, HEAD.both_sd
    centre = pose[:3]
    for reach, step, radius_step, every in HEAD.rounds:
        axis = np.arange(-reach, reach + 0.1, step)
        places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        places = centre + places[np.linalg.norm(places, axis=1) <= reach]
        radii = np.arange(HEAD.smallest_mm, HEAD.largest_mm + 0.1, radius_step)
        fits = _surface_fits(edges, places, directions[::every], radii, radius_step)
        far = (np.linalg.norm(places - pose[:3], axis=1) / HEAD.place_sd_mm) ** 2
        unlike = (np.log(radii / expected) / spread) ** 2
        scores = fits - HEAD.prior_weight * (far[:, None] + unlike)
        place, size = np.unravel_index(scores.argmax(), scores.shape)
        centre = places[place]
    return centre, float(radii[size]), float(fits[place, size])


def _surface_fits(
    edges: EdgeGrid, places: np.ndarray, directions: np.ndarray, radii: np.ndarray, gap: float
) -> np.ndarray:
    """Edges on the ball and of its cortex less edges within it, shape (n_places, n_radii)."""
    sampled = np.arange(radii[0] - _WITHIN_MM[-1], radii[-1] + _SOCKET_MM[-1] + 0.1, gap)
    found = np.empty((len(places), len(sampled)))
    for column, radius in enumerate(sampled):
        towards_bone, seen = edges.at(places[:, None] + radius * directions)
        along = -np.einsum("qpa,pa->q", towards_bone, directions)
        found[:, column] = along / np.maximum(seen.sum(axis=1), 0.4 * len(directions))
    at = np.rint((radii - sampled[0]) / gap).astype(int)
    within = np.max([found[:, at - round(depth / gap)] for depth in _WITHIN_MM], axis=0)
    plate = -found[:, at - round(HEAD.plate_mm / gap)]
    socket = np.max([-found[:, at + round(beyond / gap)] for beyond in _SOCKET_MM], axis=0)
    return found[:, at] + 0.5 * (plate + np.maximum(socket, 0.0) - np.maximum(within, 0.0))

"""How well a femur of average shape, in some pose, agrees with the edges of bone in a CT.

A pose is seven numbers: head centre (RAS mm), rotation vector (rad) and log of the size; with the side it
places the average femur, which is mirrored for the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ..surface import Surface
from .heads_grid import Edges

_POINTS, _HEAD_POINTS = 500, 200
# What one step of the search moves: mm, rad, log size.
_STEPS = np.array([4.0, 4.0, 4.0, 0.15, 0.15, 0.15, 0.05])
_PROBES = np.concatenate([np.zeros((1, 7)), np.diag(_STEPS), -np.diag(_STEPS)])
# At one standard deviation of size and turn the agreement counts 0.01 less.
_SIZE_SD, _TURN_SD_RAD, _PRIOR_WEIGHT = 0.12, 0.35, 0.01
# Of less than this share of the femur the rest counts as disagreeing, lest a corner of the scan fit best.
_LEAST_SEEN = 0.45


@dataclass(frozen=True)
class FemurTemplate:
    """The average right femur as points with areas.

    Attributes
    ----------
    points, normals : ndarray of shape (n, 3)
        Head centre at the origin, axes RAS, mm; outward unit normals.
    areas : ndarray of shape (n,)
        Share of the surface that each stands for; sum 1.
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
        few = chosen[:_POINTS]
        reach = np.linalg.norm(points, axis=1)
        medial = points[:, 0] < 0
        radius = float(np.median(reach[medial & (points[:, 2] > 0)]))
        round_part = chosen[np.abs(reach[chosen] / radius - 1.0) < 0.05][:_HEAD_POINTS]
        directions = points[round_part] / reach[round_part, None]
        return cls(points[few], normals[few], areas[few] / areas[few].sum(), directions, radius)

    def placed(self, poses: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give points and normals in each pose.

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
    """Give the rotation, with the mirror image for the left, of each pose, shape (n_poses, 3, 3)."""
    mirror = np.ones((len(poses), 1, 3))
    mirror[:, 0, 0] = sides
    return Rotation.from_rotvec(poses[:, 3:6]).as_matrix() * mirror


def agreement(
    template: FemurTemplate, edges: Edges, poses: np.ndarray, sides: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compare poses with the image.

    Parameters
    ----------
    template : FemurTemplate
    edges : Edges
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
    return along / np.maximum(share, _LEAST_SEEN), share


def refine(
    template: FemurTemplate,
    edges: Edges,
    poses: np.ndarray,
    sides: np.ndarray,
    rounds: int,
    first_step: float = 1.0,
) -> np.ndarray:
    """Climb from each pose to the best one near it: a pattern search, whose step halves when stuck.

    Parameters
    ----------
    template, edges, poses, sides
        As for `agreement`.
    rounds : int
        How many steps.
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


def _scores(template: FemurTemplate, edges: Edges, poses: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Agreement less what an unlikely size or turn costs; poses of shape (n, m, 7), one side each row."""
    flat = poses.reshape(-1, 7)
    found, _ = agreement(template, edges, flat, np.repeat(sides, poses.shape[1]))
    unlikely = (flat[:, 6] / _SIZE_SD) ** 2 + (flat[:, 3:6] ** 2).sum(axis=1) / _TURN_SD_RAD**2
    return (found - _PRIOR_WEIGHT * unlikely).reshape(poses.shape[:2])

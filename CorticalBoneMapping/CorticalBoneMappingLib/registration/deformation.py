"""Bend the average femur smoothly onto a subject: regression with a Gaussian process prior.

Closest points pull at the average, hard along the normal of the surface and hardly along the surface: a ball
or a cylinder says nothing of where a point went along it, so there the prior decides. Position, rotation and
size are estimated again with every step, together with the modes and the bumps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.transform import Rotation

from ..progress import Progress
from ..shape_model import pose_basis
from ..surface import Surface
from .pairs import Pairs, Sample, pairs_between
from .pose import Pose
from .prior import Prior

_N_SAMPLES = 2500
_POSE_VARIANCE = 1e4  # position, rotation and size are free
_FIXED = 1e12


class Step(NamedTuple):
    """A stage of the coarse-to-fine bending: believed errors of a pair, repeats, and whether bumps move."""

    along_normal_mm: float
    along_surface_mm: float
    repeats: int
    with_bumps: bool = True


MODEL_STEPS = (Step(4.0, 40.0, 6, False), Step(2.0, 40.0, 6, False))
BUMP_STEPS = (Step(3.0, 24.0, 8), Step(1.5, 18.0, 6), Step(0.7, 11.0, 6))


@dataclass(frozen=True)
class Bending:
    """The average bent onto a subject.

    Attributes
    ----------
    points : ndarray of shape (n_average, 3)
        The average's vertices, bent, in its own frame; mm.
    pose : Pose
        From there to the subject.
    mode_coefficients : ndarray of shape (k,)
    bump_coefficients : ndarray of shape (r, 3)
    """

    points: np.ndarray
    pose: Pose
    mode_coefficients: np.ndarray
    bump_coefficients: np.ndarray


def bend(
    average: Surface,
    subject: Surface,
    pose: Pose,
    prior: Prior,
    *,
    steps: tuple[Step, ...],
    n_samples: int = _N_SAMPLES,
    progress: Progress | None = None,
) -> Bending:
    """Bend the average smoothly onto a subject.

    Parameters
    ----------
    average, subject : Surface
        With ``cut_end``, or with flat cut ends; what lies at a cut pulls at nothing.
    pose : Pose
        From the average to the subject, to begin with.
    prior : Prior
        On the average's vertices.
    steps : tuple of Step
        From coarse to fine.
    n_samples : int
        Number of points of each surface that look for partners.
    progress : Progress, optional
        Told of each step.

    Returns
    -------
    Bending
    """
    progress = progress or Progress()
    source, target = Sample.of(average, n_samples), Sample.of(subject, n_samples)
    sampled = prior.at(source.index)
    bending = Bending(average.points, pose, np.zeros(len(prior.modes)), np.zeros((prior.bumps.shape[1], 3)))
    schedule = [step for step in steps for _ in range(step.repeats)]
    for done, step in enumerate(schedule):
        progress.report(done / len(schedule), "Bending the average femur onto the subject")
        bent = Surface(bending.points, average.triangles)
        here = source.moved(bent.points[source.index], bent.normals[source.index])
        there = target.moved(bending.pose.undo(target.points), target.normals @ bending.pose.rotation)
        pairs = pairs_between(here, there)
        precision, pull = _pulls(source, there, pairs, step)
        bending = _most_likely(bending, prior, sampled, here.points, precision, pull, step.with_bumps)
    return bending


def _pulls(source: Sample, target: Sample, pairs: Pairs, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Sum over each source point's pairs of the precision, and of precision times displacement."""
    normals = target.normals[pairs.target]
    across, along = pairs.weight / step.along_normal_mm**2, pairs.weight / step.along_surface_mm**2
    precision = (across - along)[:, None, None] * normals[:, :, None] * normals[:, None, :]
    precision += along[:, None, None] * np.eye(3)
    displacement = target.points[pairs.target] - source.points[pairs.source]
    pull = np.einsum("nij,nj->ni", precision, displacement)
    return _summed(precision, pairs.source, len(source.index)), _summed(pull, pairs.source, len(source.index))


def _summed(values: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    columns = values.reshape(len(values), -1).T
    total = [np.bincount(rows, weights=column, minlength=n_rows) for column in columns]
    return np.stack(total, axis=1).reshape(n_rows, *values.shape[1:])


def _most_likely(
    bending: Bending,
    prior: Prior,
    sampled: Prior,
    here: np.ndarray,
    precision: np.ndarray,
    pull: np.ndarray,
    with_bumps: bool,
) -> Bending:
    """Posterior mean of all coefficients and of a small move (Rasmussen and Williams 2006, eq. 2.8)."""
    moves = pose_basis(here).reshape(7, -1, 3)
    dense = np.concatenate([moves, sampled.modes])
    bumps = sampled.bumps if with_bumps else sampled.bumps[:, :0]
    system, right = normal_equations(dense, bumps, precision, pull)
    system[np.diag_indices(len(system))] += 1.0
    system[np.diag_indices(7)] += 1.0 / _POSE_VARIANCE - 1.0
    if not len(sampled.modes):  # without a model the widest bumps and the size say the same
        system[6, 6] += _FIXED
    found = cho_solve(cho_factor(system, lower=True, overwrite_a=True, check_finite=False), right)
    move, modes = found[:7], found[7 : 7 + len(sampled.modes)]
    coefficients = bending.bump_coefficients
    if with_bumps:
        coefficients = found[len(dense) :].reshape(3, -1).T
    points = prior.displaced(modes, coefficients)
    return Bending(points, moved_pose(bending.pose, move), modes, coefficients)


def normal_equations(
    dense: np.ndarray, bumps: np.ndarray, precision: np.ndarray, pull: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted normal equations of vector-valued functions and of scalar ones in each direction.

    Parameters
    ----------
    dense : ndarray of shape (m, n, 3)
        Vector-valued functions at n places.
    bumps : ndarray of shape (n, r)
        Scalar functions, each used in the three directions; float32.
    precision : ndarray of shape (n, 3, 3)
        Of the displacement at each place.
    pull : ndarray of shape (n, 3)
        Precision times displacement.

    Returns
    -------
    system : ndarray of shape (m + 3 r, m + 3 r)
        Without the prior; the bumps are ordered by direction.
    right : ndarray of shape (m + 3 r,)
    """
    m, r = len(dense), bumps.shape[1]
    system = np.empty((m + 3 * r, m + 3 * r))
    weighted = np.einsum("nij,mnj->mni", precision, dense)
    system[:m, :m] = weighted.reshape(m, -1) @ dense.reshape(m, -1).T
    single = precision.astype(np.float32)  # the bumps are whitened, so single precision is enough
    for i in range(3):
        rows = slice(m + i * r, m + (i + 1) * r)
        system[rows, :m] = (weighted[:, :, i].astype(np.float32) @ bumps).T
        system[:m, rows] = system[rows, :m].T
        for j in range(i, 3):
            columns = slice(m + j * r, m + (j + 1) * r)
            system[rows, columns] = (bumps * single[:, i, j, None]).T @ bumps
            system[columns, rows] = system[rows, columns].T
    right = np.concatenate([np.einsum("mni,ni->m", dense, pull), (bumps.T @ pull).T.ravel()])
    return system, right


def moved_pose(pose: Pose, move: np.ndarray) -> Pose:
    """Put a small move, as in `shape_model.pose_basis`, before a pose."""
    turn, growth = Rotation.from_rotvec(move[3:6]).as_matrix(), float(np.exp(move[6]))
    return replace(
        pose,
        scale=pose.scale * growth,
        rotation=pose.rotation @ turn,
        translation=pose.apply(move[None, :3])[0],
    )

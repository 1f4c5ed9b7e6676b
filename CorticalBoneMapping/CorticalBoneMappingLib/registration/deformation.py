"""Bend the average femur smoothly onto a subject: regression with a Gaussian process prior.

Closest points pull at the average, hard along the normal of the surface and hardly along the surface: a ball
or a cylinder says nothing of where a point went along it, so there the prior decides. Position, rotation and
size are estimated again with every step, together with the modes and the bumps; how far the bumps may go is
learned from the subject itself (MacKay 1992, Neural Comput 4:415), since some femurs are more like the model
than others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dtrtri
from scipy.spatial.transform import Rotation

from ..core.progress import Progress
from ..core.surface import Surface
from ..mesh.shape_model import pose_basis
from .pairs import Pairs, Sample, pairs_between
from .pose import Pose
from .prior import WIDTHS_MM, Prior

N_SAMPLES = 2500
"""About how many points of each surface look for partners."""
_POSE_VARIANCE = 1e4  # position, rotation and size are free
_FIXED = 1e8
_LOOSENESS = (0.25, 4.0)
_TOLD_BEFORE = 3.0  # as many coefficients of the usual size are believed before any is seen
_ALONG_SURFACE_MM = 60.0  # closest points say nothing along the surface; this keeps steps there small
_LEAST_ERROR_MM = 0.25


class Step(NamedTuple):
    """A stage of the coarse-to-fine bending: greatest believed error of a pair, repeats, whether bumps move.

    Without them, what the modes leave errs alike over a whole patch: a pair is believed much less.
    """

    along_normal_mm: float
    repeats: int
    with_bumps: bool = True


# Few repeats: where no shape says where a point belongs, as on the head, more of them let it wander off.
MODEL_STEPS = (Step(6.0, 4, False), Step(3.0, 2, False), Step(3.0, 3), Step(1.0, 3))
ALONE_STEPS = (Step(3.0, 7), Step(1.2, 6), Step(0.8, 6))  # without a shape model, bumps have farther to go


@dataclass(frozen=True)
class Bendable:
    """The average and what it may become.

    Attributes
    ----------
    surface : Surface
        The average.
    prior : Prior
        On its vertices.
    sample : Sample
        Those of them that look for partners.
    """

    surface: Surface
    prior: Prior
    sample: Sample

    @cached_property
    def sampled(self) -> Prior:
        """The prior at `sample`."""
        return self.prior.at(self.sample.index)


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
    looseness : ndarray of shape (3,)
        Standard deviation of the coefficients of bumps of each width, as far as this subject tells: 1 is what
        is usual. An osteophyte asks for narrow bumps; that shall not let the head turn.
    pair_error_mm : float
        What pairs are wrong by along the normal.
    uncertainty : ndarray of shape (7 + k + 3 r, 7 + k + 3 r)
        A matrix that, times its transpose, is the covariance of the pose (as in `shape_model.pose_basis`), of
        the modes' coefficients, and of the bumps' by direction.
    """

    points: np.ndarray
    pose: Pose
    mode_coefficients: np.ndarray
    bump_coefficients: np.ndarray
    looseness: np.ndarray = field(default_factory=lambda: np.ones(len(WIDTHS_MM)))
    pair_error_mm: float = np.inf
    uncertainty: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


def bend(
    average: Bendable,
    target: Sample,
    pose: Pose,
    *,
    steps: tuple[Step, ...],
    progress: Progress | None = None,
) -> Bending:
    """Bend the average smoothly onto a subject.

    Parameters
    ----------
    average : Bendable
        With what it may become.
    target : Sample
        Of the subject; what lies at a cut pulls at nothing.
    pose : Pose
        From the average to the subject, to begin with.
    steps : tuple of Step
        From coarse to fine.
    progress : Progress, optional
        Told of each step.

    Returns
    -------
    Bending
    """
    progress = progress or Progress()
    source, prior, sampled = average.sample, average.prior, average.sampled
    bending = Bending(prior.points, pose, np.zeros(len(prior.modes)), np.zeros((prior.bumps.shape[1], 3)))
    total, done = sum(step.repeats for step in steps), 0
    for step in steps:
        for _ in range(step.repeats):
            progress.report(done / total, "Bending the average femur onto the subject")
            here, there, pairs = partners(bending, average, target, step.along_normal_mm)
            bending = replace(bending, pair_error_mm=_pair_error(here, there, pairs, step.along_normal_mm))
            system, right = _equations(bending, source, here, there, pairs, sampled, step.with_bumps)
            root = cholesky(system, lower=True, check_finite=False)
            bending, done = _most_likely(bending, prior, cho_solve((root, True), right)), done + 1
        if step.with_bumps:
            bending = replace(bending, uncertainty=dtrtri(root, lower=1)[0].T)
            bending = replace(bending, looseness=_looseness(bending, prior.width))
    return bending


def partners(
    bending: Bending, average: Bendable, target: Sample, believed_mm: float
) -> tuple[Sample, Sample, Pairs]:
    """Give both samples as they lie now, in the frame of the average, and their pairs.

    A pair that is farther apart than is believed, as at an osteophyte, fades (Geman and McClure 1987).
    """
    source = average.sample
    bent = Surface(bending.points, average.surface.triangles)
    here = source.moved(bent.points[source.index], bent.normals[source.index])
    there = target.moved(bending.pose.undo(target.points), target.normals @ bending.pose.rotation)
    pairs = pairs_between(here, there)
    weight = pairs.weight / (1.0 + (across(here, there, pairs) / believed_mm) ** 2) ** 2
    return here, there, pairs._replace(weight=weight)


def across(here: Sample, there: Sample, pairs: Pairs) -> np.ndarray:
    """Give the distance of each pair along the normal, mm."""
    apart = there.points[pairs.target] - here.points[pairs.source]
    return np.einsum("ij,ij->i", apart, there.normals[pairs.target])


def _pair_error(here: Sample, there: Sample, pairs: Pairs, greatest: float) -> float:
    """What pairs are believed to err by along the normal: twice what they do, for neighbours err alike."""
    squared = across(here, there, pairs) ** 2
    error = 2.0 * np.sqrt((pairs.weight * squared).sum() / max(pairs.weight.sum(), 1e-12))
    return float(np.clip(error, _LEAST_ERROR_MM, greatest))


def _equations(
    bending: Bending,
    source: Sample,
    here: Sample,
    there: Sample,
    pairs: Pairs,
    sampled: Prior,
    with_bumps: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior precision of a small move, of the modes and of the bumps, and its product with their mean."""
    precision, pull = _pulls(source, there, pairs, bending.pair_error_mm)
    dense = np.concatenate([pose_basis(here.points).reshape(7, -1, 3), sampled.modes])
    bumps = sampled.bumps if with_bumps else sampled.bumps[:, :0]
    system, right = normal_equations(dense, bumps, precision, pull)
    system[np.diag_indices(len(system))] += _prior_precision(
        len(sampled.modes), np.tile(bending.looseness[sampled.width], 3 if with_bumps else 0)
    )
    return system, right


def _prior_precision(n_modes: int, looseness: np.ndarray) -> np.ndarray:
    """Prior precision of the coefficients: 7 of the pose, the modes', the bumps'; shape (7 + k + 3 r,)."""
    pose = np.full(7, 1.0 / _POSE_VARIANCE)
    if len(looseness):  # the widest bumps and the size say the same, and in a smaller frame all costs less
        pose[6] = _FIXED
    return np.concatenate([pose, np.ones(n_modes), looseness**-2])


def _pulls(source: Sample, target: Sample, pairs: Pairs, error_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Sum over each source point's pairs of the precision, and of precision times displacement."""
    normals = target.normals[pairs.target]
    across, along = pairs.weight / error_mm**2, pairs.weight / _ALONG_SURFACE_MM**2
    precision = (across - along)[:, None, None] * normals[:, :, None] * normals[:, None, :]
    precision += along[:, None, None] * np.eye(3)
    displacement = target.points[pairs.target] - source.points[pairs.source]
    pull = np.einsum("nij,nj->ni", precision, displacement)
    return _summed(precision, pairs.source, len(source.index)), _summed(pull, pairs.source, len(source.index))


def _summed(values: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    columns = values.reshape(len(values), -1).T
    total = [np.bincount(rows, weights=column, minlength=n_rows) for column in columns]
    return np.stack(total, axis=1).reshape(n_rows, *values.shape[1:])


def _most_likely(bending: Bending, prior: Prior, found: np.ndarray) -> Bending:
    """Take over the posterior mean of a move and all coefficients (Rasmussen and Williams 2006, eq. 2.8)."""
    last = 7 + len(prior.modes)
    bumps = found[last:].reshape(3, -1).T if len(found) > last else bending.bump_coefficients
    return replace(
        bending,
        points=prior.displaced(found[7:last], bumps),
        pose=moved_pose(bending.pose, found[:7]),
        mode_coefficients=found[7:last],
        bump_coefficients=bumps,
    )


def _looseness(bending: Bending, width: np.ndarray) -> np.ndarray:
    """Standard deviations of the bumps' coefficients under which these data are most likely, one a width."""
    squares = bending.bump_coefficients**2
    variances = (bending.uncertainty[-squares.size :] ** 2).sum(axis=1).reshape(3, -1).T
    # A coefficient counts as far as the data, not the prior, determine it.
    told = 1.0 - variances / bending.looseness[width][:, None] ** 2
    counted = np.bincount(width, weights=told.sum(axis=1)) + _TOLD_BEFORE
    found = np.sqrt((np.bincount(width, weights=squares.sum(axis=1)) + _TOLD_BEFORE) / counted)
    return np.clip(found, *_LOOSENESS)


def normal_equations(
    dense: np.ndarray, bumps: np.ndarray, precision: np.ndarray, pull: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted normal equations of vector-valued functions and of scalar ones in each direction.

    Parameters
    ----------
    dense : ndarray of shape (m, n, 3)
        Vector-valued functions at n places.
    bumps : ndarray of shape (n, r)
        Scalar functions, each used in the three directions.
    precision : ndarray of shape (n, 3, 3)
        Of the displacement at each place.
    pull : ndarray of shape (n, 3)
        Precision times displacement.

    Returns
    -------
    system : ndarray of shape (m + 3 r, m + 3 r)
        Lower triangle, without the prior; the bumps are ordered by direction.
    right : ndarray of shape (m + 3 r,)
    """
    m, r = len(dense), bumps.shape[1]
    system = np.zeros((m + 3 * r, m + 3 * r))
    weighted = np.einsum("nij,mnj->mni", precision, dense)
    system[:m, :m] = weighted.reshape(m, -1) @ dense.reshape(m, -1).T
    for i in range(3):
        rows = slice(m + i * r, m + (i + 1) * r)
        system[rows, :m] = (weighted[:, :, i] @ bumps).T
        system[rows, rows] = _gram(bumps, precision[:, i, i])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        rows, columns = (slice(m + axis * r, m + (axis + 1) * r) for axis in (j, i))
        # xᵀPy of two axes from the lengths of x, y and x + y: a Gram matrix costs half of any other product.
        both = _gram(bumps, precision[:, i, i] + precision[:, j, j] + 2.0 * precision[:, i, j])
        system[rows, columns] = 0.5 * (both - system[rows, rows] - system[columns, columns])
    right = np.concatenate([np.einsum("mni,ni->m", dense, pull), (bumps.T @ pull).T.ravel()])
    return system, right


def _gram(bumps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Products of all columns with each other, rows weighted.

    In double precision: what single precision rounds otherwise with another number of threads, the rounds of
    closest points make a tenth of a millimetre of.
    """
    scaled = bumps * np.sqrt(np.maximum(weights, 0.0))[:, None]
    return scaled.T @ scaled


def moved_pose(pose: Pose, move: np.ndarray) -> Pose:
    """Put a small move, as in `shape_model.pose_basis`, before a pose."""
    turn, growth = Rotation.from_rotvec(move[3:6]).as_matrix(), float(np.exp(move[6]))
    return replace(
        pose,
        scale=pose.scale * growth,
        rotation=pose.rotation @ turn,
        translation=pose.apply(move[None, :3])[0],
    )

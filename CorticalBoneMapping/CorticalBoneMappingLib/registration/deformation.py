"""Deform the average femur smoothly onto a subject: regression with a Gaussian process prior.

Closest points are weighted strongly along the normal of the surface and weakly along the surface: on a ball
or a cylinder a closest point does not show where a point went along it, so there the prior decides. Position,
rotation and size are estimated again with every step, together with the coefficients of the modes and of the
local basis. The prior width of the local basis is estimated from the subject itself (MacKay 1992, Neural
Comput 4:415), since some femurs are more like the model than others.
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
"""About how many points of each surface are paired. Chosen by hand; not tuned."""


@dataclass(frozen=True)
class DeformationSettings:
    """Numbers of the smooth deformation; chosen by hand and not tuned where no origin is given.

    Attributes
    ----------
    pose_variance : float
        Prior variance of a small move (mm², rad², log of size): so large that the pose is free. Numerical.
    fixed_precision : float
        Prior precision that holds the size still while the local basis moves. Numerical.
    prior_width_range : tuple of float
        Bounds of the estimated prior width of the local basis; 1 is the population's.
    prior_count : float
        Number of coefficients of the usual size that count before any is estimated.
    along_surface_mm : float
        Error of a pair along the surface, mm: closest points give no position there; keeps steps small.
    least_error_mm : float
        Least error of a pair along the normal, mm.
    """

    pose_variance: float = 1e4
    fixed_precision: float = 1e8
    prior_width_range: tuple[float, float] = (0.25, 4.0)
    prior_count: float = 3.0
    along_surface_mm: float = 60.0
    least_error_mm: float = 0.25


_SETTINGS = DeformationSettings()


class Step(NamedTuple):
    """A stage from coarse to fine: greatest error of a pair (mm), repeats, whether the local basis is used.

    Without it, what the modes leave is wrong by the same over a whole patch, so a pair has much less weight.
    """

    along_normal_mm: float
    repeats: int
    with_local_basis: bool = True


# Few repeats: where the shape does not show where a point belongs, as on the head, more let it drift. Repeats
# are tuned on the first eight simulated femurs and the deformed real ones (python -m
# validation.registration).
MODEL_STEPS = (Step(6.0, 4, False), Step(3.0, 2, False), Step(3.0, 3), Step(1.0, 3))
ALONE_STEPS = (
    Step(3.0, 7),
    Step(1.2, 6),
    Step(0.8, 6),
)  # without a shape model, the local basis goes farther


@dataclass(frozen=True)
class DeformableTemplate:
    """The average femur and the prior of its deformation.

    Attributes
    ----------
    surface : Surface
        The average.
    prior : Prior
        On its vertices.
    sample : Sample
        Those of them that are paired with the subject.
    """

    surface: Surface
    prior: Prior
    sample: Sample

    @cached_property
    def sampled(self) -> Prior:
        """The prior at `sample`."""
        return self.prior.at(self.sample.index)


@dataclass(frozen=True)
class Deformation:
    """The average deformed smoothly onto a subject.

    Attributes
    ----------
    points : ndarray of shape (n_average, 3)
        The average's vertices, deformed, in its own frame; mm.
    pose : Pose
        From there to the subject.
    mode_coefficients : ndarray of shape (k,)
    local_coefficients : ndarray of shape (r, 3)
    prior_width : ndarray of shape (3,)
        Prior standard deviation of the local coefficients of each width, estimated from this subject; 1 is
        usual. An osteophyte needs the narrowest width only, and must not let the head turn.
    pair_error_mm : float
        Error of the pairs along the normal.
    uncertainty : ndarray of shape (7 + k + 3 r, 7 + k + 3 r)
        A matrix that, times its transpose, is the covariance of the pose (as in `shape_model.pose_basis`), of
        the modes' coefficients, and of the local ones by direction.
    """

    points: np.ndarray
    pose: Pose
    mode_coefficients: np.ndarray
    local_coefficients: np.ndarray
    prior_width: np.ndarray = field(default_factory=lambda: np.ones(len(WIDTHS_MM)))
    pair_error_mm: float = np.inf
    uncertainty: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


def deform(
    average: DeformableTemplate,
    target: Sample,
    pose: Pose,
    *,
    steps: tuple[Step, ...],
    progress: Progress | None = None,
) -> Deformation:
    """Deform the average smoothly onto a subject.

    Parameters
    ----------
    average : DeformableTemplate
        The average femur and its prior.
    target : Sample
        Of the subject; what lies at a cut has no weight.
    pose : Pose
        From the average to the subject, to begin with.
    steps : tuple of Step
        From coarse to fine.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    Deformation
    """
    progress = progress or Progress()
    source, prior, sampled = average.sample, average.prior, average.sampled
    deformation = Deformation(
        prior.points, pose, np.zeros(len(prior.modes)), np.zeros((prior.local_basis.shape[1], 3))
    )
    total, done = sum(step.repeats for step in steps), 0
    for step in steps:
        for _ in range(step.repeats):
            progress.report(done / total, "Deforming the average femur onto the subject")
            here, there, pairs = matched_samples(deformation, average, target, step.along_normal_mm)
            deformation = replace(
                deformation, pair_error_mm=_pair_error(here, there, pairs, step.along_normal_mm)
            )
            system, right = _equations(
                deformation, source, here, there, pairs, sampled, step.with_local_basis
            )
            root = cholesky(system, lower=True, check_finite=False)
            deformation, done = (
                _with_posterior_mean(deformation, prior, cho_solve((root, True), right)),
                done + 1,
            )
        if step.with_local_basis:
            deformation = replace(deformation, uncertainty=dtrtri(root, lower=1)[0].T)
            deformation = replace(deformation, prior_width=_estimated_prior_width(deformation, prior.width))
    return deformation


def matched_samples(
    deformation: Deformation, average: DeformableTemplate, target: Sample, weight_scale_mm: float
) -> tuple[Sample, Sample, Pairs]:
    """Return both samples as they lie now, in the frame of the average, and their pairs.

    The weight of a pair fades beyond `weight_scale_mm`, as at an osteophyte (Geman and McClure 1987).
    """
    source = average.sample
    smooth = Surface(deformation.points, average.surface.triangles)
    here = source.moved(smooth.points[source.index], smooth.normals[source.index])
    there = target.moved(deformation.pose.undo(target.points), target.normals @ deformation.pose.rotation)
    pairs = pairs_between(here, there)
    weight = pairs.weight / (1.0 + (normal_distance(here, there, pairs) / weight_scale_mm) ** 2) ** 2
    return here, there, pairs._replace(weight=weight)


def normal_distance(here: Sample, there: Sample, pairs: Pairs) -> np.ndarray:
    """Return the distance of each pair along the normal, mm."""
    apart = there.points[pairs.target] - here.points[pairs.source]
    return np.einsum("ij,ij->i", apart, there.normals[pairs.target])


def _pair_error(here: Sample, there: Sample, pairs: Pairs, greatest: float) -> float:
    """Error of the pairs along the normal: twice the observed one, since neighbours are wrong alike."""
    squared = normal_distance(here, there, pairs) ** 2
    error = 2.0 * np.sqrt((pairs.weight * squared).sum() / max(pairs.weight.sum(), 1e-12))
    return float(np.clip(error, _SETTINGS.least_error_mm, greatest))


def _equations(
    deformation: Deformation,
    source: Sample,
    here: Sample,
    there: Sample,
    pairs: Pairs,
    sampled: Prior,
    with_local_basis: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior precision of a small move, the modes and the local basis, and its product with their mean."""
    precision, weighted_displacement = _weighted_displacements(
        source, there, pairs, deformation.pair_error_mm
    )
    dense = np.concatenate([pose_basis(here.points).reshape(7, -1, 3), sampled.modes])
    local_basis = sampled.local_basis if with_local_basis else sampled.local_basis[:, :0]
    system, right = basis_normal_equations(dense, local_basis, precision, weighted_displacement)
    system[np.diag_indices(len(system))] += _prior_precision(
        len(sampled.modes), np.tile(deformation.prior_width[sampled.width], 3 if with_local_basis else 0)
    )
    return system, right


def _prior_precision(n_modes: int, prior_width: np.ndarray) -> np.ndarray:
    """Prior precision of the coefficients: 7 of the pose, the modes', the local ones, (7 + k + 3 r,)."""
    pose = np.full(7, 1.0 / _SETTINGS.pose_variance)
    if len(
        prior_width
    ):  # the widest functions and the size do the same, and in a smaller frame all costs less
        pose[6] = _SETTINGS.fixed_precision
    return np.concatenate([pose, np.ones(n_modes), prior_width**-2])


def _weighted_displacements(
    source: Sample, target: Sample, pairs: Pairs, error_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sum over each source point's pairs of the precision, and of precision times displacement."""
    normals = target.normals[pairs.target]
    across, along = pairs.weight / error_mm**2, pairs.weight / _SETTINGS.along_surface_mm**2
    precision = (across - along)[:, None, None] * normals[:, :, None] * normals[:, None, :]
    precision += along[:, None, None] * np.eye(3)
    displacement = target.points[pairs.target] - source.points[pairs.source]
    weighted_displacement = np.einsum("nij,nj->ni", precision, displacement)
    return _summed(precision, pairs.source, len(source.index)), _summed(
        weighted_displacement, pairs.source, len(source.index)
    )


def _summed(values: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    columns = values.reshape(len(values), -1).T
    total = [np.bincount(rows, weights=column, minlength=n_rows) for column in columns]
    return np.stack(total, axis=1).reshape(n_rows, *values.shape[1:])


def _with_posterior_mean(deformation: Deformation, prior: Prior, found: np.ndarray) -> Deformation:
    """Apply the posterior mean of a move and all coefficients (Rasmussen and Williams 2006, eq. 2.8)."""
    last = 7 + len(prior.modes)
    local_basis = found[last:].reshape(3, -1).T if len(found) > last else deformation.local_coefficients
    return replace(
        deformation,
        points=prior.displaced(found[7:last], local_basis),
        pose=moved_pose(deformation.pose, found[:7]),
        mode_coefficients=found[7:last],
        local_coefficients=local_basis,
    )


def _estimated_prior_width(deformation: Deformation, width: np.ndarray) -> np.ndarray:
    """Prior widths of the local basis under which these data are most likely, one a width (MacKay 1992)."""
    squares = deformation.local_coefficients**2
    variances = (deformation.uncertainty[-squares.size :] ** 2).sum(axis=1).reshape(3, -1).T
    # A coefficient counts as far as the data, not the prior, determine it.
    determined = 1.0 - variances / deformation.prior_width[width][:, None] ** 2
    counted = np.bincount(width, weights=determined.sum(axis=1)) + _SETTINGS.prior_count
    found = np.sqrt((np.bincount(width, weights=squares.sum(axis=1)) + _SETTINGS.prior_count) / counted)
    return np.clip(found, *_SETTINGS.prior_width_range)


def basis_normal_equations(
    dense: np.ndarray, local_basis: np.ndarray, precision: np.ndarray, weighted_displacement: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted normal equations of vector functions and of scalar ones in each direction.

    Parameters
    ----------
    dense : ndarray of shape (m, n, 3)
        Vector-valued functions at n places.
    local_basis : ndarray of shape (n, r)
        Scalar functions, each used in the three directions.
    precision : ndarray of shape (n, 3, 3)
        Of the displacement at each place.
    weighted_displacement : ndarray of shape (n, 3)
        Precision times displacement.

    Returns
    -------
    system : ndarray of shape (m + 3 r, m + 3 r)
        Lower triangle, without the prior; the scalar functions are ordered by direction.
    right : ndarray of shape (m + 3 r,)
    """
    m, r = len(dense), local_basis.shape[1]
    system = np.zeros((m + 3 * r, m + 3 * r))
    weighted = np.einsum("nij,mnj->mni", precision, dense)
    system[:m, :m] = weighted.reshape(m, -1) @ dense.reshape(m, -1).T
    for i in range(3):
        rows = slice(m + i * r, m + (i + 1) * r)
        system[rows, :m] = (weighted[:, :, i] @ local_basis).T
        system[rows, rows] = _gram(local_basis, precision[:, i, i])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        rows, columns = (slice(m + axis * r, m + (axis + 1) * r) for axis in (j, i))
        # xᵀPy of two axes from the lengths of x, y and x + y: a Gram matrix costs half of any other product.
        both = _gram(local_basis, precision[:, i, i] + precision[:, j, j] + 2.0 * precision[:, i, j])
        system[rows, columns] = 0.5 * (both - system[rows, rows] - system[columns, columns])
    right = np.concatenate(
        [
            np.einsum("mni,ni->m", dense, weighted_displacement),
            (local_basis.T @ weighted_displacement).T.ravel(),
        ]
    )
    return system, right


def _gram(local_basis: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Products of all columns with each other, rows weighted.

    In double precision: single precision rounds differently with another number of threads, which the rounds
    of closest points turn into a tenth of a millimetre.
    """
    scaled = local_basis * np.sqrt(np.maximum(weights, 0.0))[:, None]
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

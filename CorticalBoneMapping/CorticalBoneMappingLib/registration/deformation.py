"""Bend the average femur smoothly onto a subject: regression with a Gaussian process prior.

A deformation is a priori a sum of Gaussian bumps of several widths (Lüthi et al. 2018) on control
points. Closest points pull at it, hard along the normal of the surface and hardly along the surface:
a ball or a cylinder says nothing of where a point went along it, so there the prior decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree

from ..progress import Progress
from ..surface import Surface
from .cut_ends import cut_end_of, thinned, widened

_WIDTHS_MM = (60.0, 25.0, 12.0)
_AMPLITUDES_MM = (5.0, 3.0, 1.5)
_CONTROL_SPACING_MM = 11.0  # near the least width: closer controls add nothing that is smooth
_N_SAMPLES = 2500
_TURN_MM = 10.0  # what a normal turned by a radian counts when closest points are looked for
_LEAST_COSINE = 0.5  # surfaces that look more than 60° apart are not the same place


class Step(NamedTuple):
    """A stage of the coarse-to-fine bending: believed errors of a pair, and the number of repeats."""

    along_normal_mm: float
    along_surface_mm: float
    repeats: int


STEPS = (Step(3.0, 24.0, 8), Step(1.5, 18.0, 6), Step(0.7, 11.0, 6))


def bend(
    average: Surface,
    subject: Surface,
    *,
    flexibility: float = 1.0,
    steps: tuple[Step, ...] = STEPS,
    n_samples: int = _N_SAMPLES,
    progress: Progress | None = None,
) -> np.ndarray:
    """Bend the average smoothly onto a subject that already lies in its pose and size.

    Parameters
    ----------
    average, subject : Surface
        With ``cut_end``, or with flat cut ends; what lies at a cut pulls at nothing.
    flexibility : float
        Multiplies the displacements that the prior holds likely.
    steps : tuple of Step
        From coarse to fine.
    n_samples : int
        Number of points of each surface that look for partners.
    progress : Progress, optional
        Told of each step.

    Returns
    -------
    ndarray of shape (n_average, 3)
        The average's vertices, bent; mm.
    """
    progress = progress or Progress()
    source, target = _Sample.of(average, n_samples), _Sample.of(subject, n_samples)
    tree = cKDTree(_features(target.points, target.normals))
    basis, stiffness = _smooth_basis(average.points, flexibility)
    sampled_basis = basis[source.index]
    bent = average
    schedule = [step for step in steps for _ in range(step.repeats)]
    for done, step in enumerate(schedule):
        progress.report(done / len(schedule), "Bending the average femur onto the subject")
        pairs = _pairs(source, bent, target, tree)
        precision, pull = _pulls(source, target, pairs, step)
        coefficients = _most_likely(sampled_basis, stiffness, precision, pull)
        bent = Surface(average.points + basis @ coefficients, average.triangles)
    return bent.points


@dataclass(frozen=True)
class _Sample:
    """Evenly spread vertices of a surface, without its cut ends."""

    index: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    beside_cut: np.ndarray

    @classmethod
    def of(cls, surface: Surface, n_samples: int) -> _Sample:
        cut = cut_end_of(surface)
        index = thinned(surface.points, np.sqrt(surface.point_areas.sum() / n_samples))
        index = index[~cut[index]]
        # Whatever lies beyond a cut finds its closest point on the rim, so partners there are no partners.
        beside = widened(surface, widened(surface, cut))
        return cls(index, surface.points[index], surface.normals[index], beside[index])


def _smooth_basis(points: np.ndarray, flexibility: float) -> tuple[np.ndarray, np.ndarray]:
    """What each control moves each point, and the inverse prior covariance of the controls' coefficients."""
    points = points - points.mean(axis=0)
    controls = points[thinned(points, _CONTROL_SPACING_MM)]
    among = _kernel(controls, controls, flexibility)
    among += 1e-6 * among[0, 0] * np.eye(len(controls))  # so that rounding cannot make it indefinite
    return _kernel(points, controls, flexibility), among


def _kernel(points: np.ndarray, controls: np.ndarray, flexibility: float) -> np.ndarray:
    squared = (points**2).sum(axis=1)[:, None] + (controls**2).sum(axis=1) - 2.0 * points @ controls.T
    kernel = np.zeros_like(squared)
    for amplitude, width in zip(_AMPLITUDES_MM, _WIDTHS_MM):
        kernel += (flexibility * amplitude) ** 2 * np.exp(squared / (-2.0 * width**2))
    return kernel


class _Pairs(NamedTuple):
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray


def _features(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return np.concatenate([points, _TURN_MM * normals], axis=1)


def _pairs(source: _Sample, bent: Surface, target: _Sample, tree: cKDTree) -> _Pairs:
    """Closest points both ways in position and normal; distant or turned ones count little or nothing."""
    normals = bent.normals[source.index]
    moved = _features(bent.points[source.index], normals)
    forth, to_target = tree.query(moved)
    back, to_source = cKDTree(moved).query(tree.data)
    at_source = np.concatenate([np.arange(len(moved)), to_source])
    at_target = np.concatenate([to_target, np.arange(tree.n)])
    distance = np.concatenate([forth, back])
    weight = 1.0 / (1.0 + (distance / (4.0 * np.median(distance) + 1e-6)) ** 2) ** 2
    weight[target.beside_cut[at_target] | source.beside_cut[at_source]] = 0.0
    weight[np.einsum("ij,ij->i", normals[at_source], target.normals[at_target]) < _LEAST_COSINE] = 0.0
    return _Pairs(at_source, at_target, weight)


def _pulls(source: _Sample, target: _Sample, pairs: _Pairs, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Sum over each source point's pairs of the precision, and of precision times displacement."""
    normals = target.normals[pairs.target]
    across, along = pairs.weight / step.along_normal_mm**2, pairs.weight / step.along_surface_mm**2
    precision = (across - along)[:, None, None] * normals[:, :, None] * normals[:, None, :]
    precision += along[:, None, None] * np.eye(3)
    displacement = target.points[pairs.target] - source.points[pairs.source]
    pull = np.einsum("nij,nj->ni", precision, displacement)
    return _summed(precision, pairs.source, len(source.index)), _summed(pull, pairs.source, len(source.index))


def _summed(values: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    total = np.zeros((n_rows, *values.shape[1:]))
    np.add.at(total, rows, values)
    return total


def _most_likely(
    basis: np.ndarray, stiffness: np.ndarray, precision: np.ndarray, pull: np.ndarray
) -> np.ndarray:
    """Posterior mean of the coefficients, shape (n_controls, 3) (Rasmussen and Williams 2006, eq. 2.8).

    A precision that is not the same in all directions ties the three coordinates together.
    """
    n = basis.shape[1]
    system = np.empty((3, n, 3, n))
    for i in range(3):
        for j in range(i, 3):
            system[i, :, j] = (basis * precision[:, i, j, None]).T @ basis
            system[j, :, i] = system[i, :, j]
        system[i, :, i] += stiffness
    right = (basis.T @ pull).T.ravel()
    factor = cho_factor(system.reshape(3 * n, 3 * n), lower=True, overwrite_a=True, check_finite=False)
    return cho_solve(factor, right).reshape(3, n).T

"""Mean and modes of corresponding shapes of people, parts of which may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ..core.errors import SettingError
from ..core.progress import Progress
from ..core.surface import Surface
from ..mesh.shape_model import ShapeModel, similarity
from ..mesh.shape_modes import left_out_of, principal_modes, weights_of, without_pose
from ..registration.cut_ends import thinned

EXPLAINED = 0.98
"""Modes are kept until they explain this share of the variance of shape. Chosen by hand; not tuned."""
_ROUNDS, _SETTLED_MM = 30, 0.002  # most iterations, and movement when it has converged; by hand, not tuned
# How what the modes leave goes on where a shape is missing: length of its correlation, and error over its
# variance. Tuned on the ten people of femur_surfaces_mpl with their shafts cut at random, against their mean
# uncut, with five kinds of correlation: Gaussian of 15, 25, 40 and 60 mm, and this one (Matérn, 3/2).
_LENGTH_MM, _ERROR = 40.0, 0.02
_SPACING_MM = 5.0  # of the points beside a gap from which it goes on; by hand, not tuned


def shape_model_of(
    shapes: np.ndarray,
    covered: np.ndarray,
    average: Surface,
    explained: float = EXPLAINED,
    persons: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> ShapeModel:
    """Find the mean and the modes of shapes of which points may be missing.

    The shapes are aligned to the mean (generalised Procrustes; Gower 1975), missing points are filled from
    the model so far, mean and modes are estimated again, and so on until the mean converges
    (expectation-maximisation of principal components; Roweis 1998). What the modes leave beside a gap goes on
    into it and fades (kriging), so that a filled shape has no step where the known part ends. Each person
    weighs the same: a femur has the weight of one over the number of that person's femurs, in the mean as in
    the covariance.

    Parameters
    ----------
    shapes : ndarray of shape (femurs, n, 3)
        Corresponding points of right femurs, mm, in any pose and size.
    covered : ndarray of bool, shape (femurs, n)
        Which points are known.
    average : Surface
        Mesh of n points near the mean; fixes the pose of the mean.
    explained : float
        Modes are kept until they explain this share of the variance; at most one fewer than people.
    persons : sequence of str, optional
        Whose each femur is; by default every one is another person's.
    progress : Progress, optional
        Called with the fraction done at most and a text; can cancel.

    Returns
    -------
    ShapeModel
        Its mean has the size of the shapes (geometric mean) and the pose of `average`; its ``people`` are
        persons.
    """
    femurs, n = covered.shape
    weights = np.ones(femurs) if persons is None else weights_of(persons)
    if len(weights) != femurs:
        raise SettingError(f"There are {femurs} shapes, but persons are named for {len(weights)}.")
    model = ShapeModel(
        Surface(average.points, average.triangles), np.zeros((0, n, 3)), 1.0, femurs, np.zeros(0)
    )
    gaps = [_Gap.of(average.points, known) for known in covered]
    progress = progress or Progress()
    for done in range(_ROUNDS):
        progress.report(done / _ROUNDS, f"Averaging {femurs} femurs")
        aligned, sizes = _aligned(shapes, covered, gaps, model)
        centre, size = np.average(aligned, axis=0, weights=weights), _mean_size(sizes, weights)
        mean = centre * size
        _, rotation, translation = similarity(mean, average.points, rigid=True)
        mean = mean @ rotation.T + translation
        moved = np.sqrt(((mean - model.mean) ** 2).sum(axis=1).mean())
        rows = _rows(size * (aligned - centre) @ rotation.T, mean)
        model = principal_modes(Surface(mean, average.triangles), rows, weights, explained=explained)
        if moved < _SETTLED_MM:
            break
    return model


def with_left_out(
    model: ShapeModel,
    shapes: np.ndarray,
    covered: np.ndarray,
    persons: Sequence[str] | None = None,
    judged: np.ndarray | None = None,
) -> ShapeModel:
    """Add to a model what it makes of people left out, so that it can judge a shape by what it leaves of it.

    Parameters
    ----------
    model : ShapeModel
        That `shape_model_of` made from these shapes.
    shapes, covered, persons
        As for `shape_model_of`.
    judged : ndarray of bool, shape (n,), optional
        Which points count: the flat end of the shaft does not. By default all.

    Returns
    -------
    ShapeModel
        With `left_out`; None, as before, for few people.
    """
    persons = [str(row) for row in range(len(shapes))] if persons is None else persons
    weights, aligned = weights_of(persons), aligned_to(model, shapes, covered)

    def model_without(kept: np.ndarray) -> ShapeModel:
        # The others stay as they are aligned to the mean of all; to align them anew moves them little.
        centre = np.average(aligned[kept], axis=0, weights=weights[kept])
        rows = _rows(aligned[kept] - centre, centre)
        mean = Surface(centre, model.surface.triangles)
        return principal_modes(mean, rows, weights[kept], most=len(model.modes))

    known = covered if judged is None else covered & judged
    return replace(model, left_out=left_out_of(model, shapes, known, persons, model_without))


def aligned_to(model: ShapeModel, shapes: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Align shapes to the mean of a model, without their sizes, and fill missing points, shape (m, n, 3)."""
    gaps = [_Gap.of(model.mean, known) for known in covered]
    return _aligned(shapes, covered, gaps, model)[0]


def _rows(deviations: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return without_pose(deviations.reshape(len(deviations), -1), mean)


def _mean_size(sizes: np.ndarray, weights: np.ndarray) -> float:
    """Geometric mean."""
    return float(np.exp(np.average(np.log(sizes), weights=weights)))


class _Gap(NamedTuple):
    """Missing points of a shape, known points beside them, and how much the former take of the latter."""

    missing: np.ndarray
    beside: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, known: np.ndarray) -> _Gap:
        missing, beside = np.flatnonzero(~known), np.flatnonzero(known)
        if len(missing):
            distance, _ = cKDTree(points[missing]).query(points[beside])
            beside = beside[distance < _LENGTH_MM]
        if not (len(missing) and len(beside)):
            return cls(missing, beside[:0], np.zeros((len(missing), 0)))
        beside = beside[thinned(points[beside], _SPACING_MM)]
        among = _correlation(points[beside], points[beside]) + _ERROR * np.eye(len(beside))
        return cls(missing, beside, np.linalg.solve(among, _correlation(points[beside], points[missing])).T)

    def go_on(self, shape: np.ndarray, filled: np.ndarray) -> np.ndarray:
        """Let what a filled shape leaves of the known one go on into the gap."""
        filled = filled.copy()
        filled[self.missing] += self.share @ (shape - filled)[self.beside]
        return filled


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    distance = np.sqrt(3.0) / _LENGTH_MM * cdist(one, other)
    return (1.0 + distance) * np.exp(-distance)


def _aligned(
    shapes: np.ndarray, covered: np.ndarray, gaps: Sequence[_Gap], model: ShapeModel
) -> tuple[np.ndarray, np.ndarray]:
    """Align each shape to the mean, without its size, and fill missing points; the shapes and their sizes."""
    aligned, sizes = np.empty_like(shapes), np.empty(len(shapes))
    for row, (points, known, gap) in enumerate(zip(shapes, covered, gaps)):
        fit = model.fit(points, known)
        back = (points - fit.translation) @ fit.rotation / fit.size
        filled = gap.go_on(back, model.reconstruct(fit.coordinates))
        aligned[row] = np.where(known[:, None], back, filled)
        sizes[row] = fit.size
    return aligned, sizes

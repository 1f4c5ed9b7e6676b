"""Mean and modes of corresponding shapes of people, parts of which may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ..core.errors import SettingError
from ..core.progress import Progress
from ..core.surface import Surface
from ..mesh.shape_model import ShapeModel, pose_basis, similarity
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
        deviations = size * (aligned - centre) @ rotation.T
        model = _principal(Surface(mean, average.triangles), deviations, weights, explained)
        if moved < _SETTLED_MM:
            break
    return model


def weights_of(persons: Sequence[str]) -> np.ndarray:
    """Weight of each femur: one over the number of its person's femurs."""
    _, person, femurs = np.unique(np.asarray(persons, dtype=object), return_inverse=True, return_counts=True)
    return 1.0 / femurs[person]


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


def _principal(mean: Surface, deviations: np.ndarray, weights: np.ndarray, explained: float) -> ShapeModel:
    """Principal components of the deviations, without what is left of pose and size."""
    people = round(float(weights.sum()))
    rows = deviations.reshape(len(deviations), -1)
    pose, _ = np.linalg.qr(pose_basis(mean.points).T)
    rows = np.sqrt(weights)[:, None] * (rows - (rows @ pose) @ pose.T)
    variances, vectors = np.linalg.eigh(rows @ rows.T / (people - 1))
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    shares = variances / variances.sum()
    count = min(int(np.searchsorted(np.cumsum(shares), explained)) + 1, people - 1)
    modes = vectors[:, :count].T @ rows / np.sqrt(people - 1)
    # An eigenvector has no sign of its own; the point that moves most decides, so that a build repeats.
    most = np.take_along_axis(modes, np.abs(modes).argmax(axis=1)[:, None], axis=1)
    modes = (modes * np.sign(most)).reshape(count, -1, 3)
    left = variances[count:].sum() / rows.shape[1]
    return ShapeModel(mean, modes, float(np.sqrt(left)), people, shares[:count])

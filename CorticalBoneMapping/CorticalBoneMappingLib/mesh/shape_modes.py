"""Modes of shape: principal components of people's deviations, and what they leave of people left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..core.surface import Surface
from .plausibility import LeftOut, excess, length
from .shape_model import ShapeModel, pose_basis
from .smoothing import smooth

# Chosen by hand; not tuned.
FEWEST_LEFT_OUT = 6  # people, for what is left of them to be known at all
_SMOOTH_MM = 15.0  # full width at half maximum: what modes leave is smooth, and few people show it
_PRIOR_PEOPLE = 10.0  # the mean over the surface counts as so many people at every point
_PASSES = 3  # fits of everybody, each with the residual of the one before as its noise
_MOST_CORRELATION = 0.95


def weights_of(persons: Sequence[str]) -> np.ndarray:
    """Weight of each femur, shape (femurs,): one over the number of its person's femurs."""
    _, person, femurs = np.unique(np.asarray(persons, dtype=object), return_inverse=True, return_counts=True)
    return 1.0 / femurs[person]


def without_pose(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Take small displacements, turns and growth out of deviations.

    Parameters
    ----------
    rows : ndarray of shape (m, 3 n)
        Deviations from the mean, mm.
    mean : ndarray of shape (n, 3)
        mm.

    Returns
    -------
    ndarray of shape (m, 3 n)
    """
    pose, _ = np.linalg.qr(pose_basis(mean).T)
    return rows - (rows @ pose) @ pose.T


def principal_modes(
    mean: Surface, rows: np.ndarray, weights: np.ndarray, *, explained: float = 1.0, most: int | None = None
) -> ShapeModel:
    """Find the principal components of deviations.

    Parameters
    ----------
    mean : Surface
        n points.
    rows : ndarray of shape (m, 3 n)
        Deviations from it, mm, without pose (`without_pose`).
    weights : ndarray of shape (m,)
        Of the rows; their sum is the number of people.
    explained : float
        Modes are kept until they explain this share of the variance.
    most : int, optional
        At most so many; always one fewer than people.

    Returns
    -------
    ShapeModel
    """
    people = round(float(weights.sum()))
    rows = np.sqrt(weights / (people - 1))[:, None] * rows
    variances, vectors = np.linalg.eigh(rows @ rows.T)
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    shares = variances / max(variances.sum(), np.finfo(float).tiny)
    count = min(int(np.searchsorted(np.cumsum(shares), explained)) + 1, people - 1)
    count = count if most is None else min(count, most)
    modes = vectors[:, :count].T @ rows
    # An eigenvector has no sign of its own; the point that moves most decides, so that a build repeats.
    most_moved = np.take_along_axis(modes, np.abs(modes).argmax(axis=1)[:, None], axis=1)
    modes = (modes * np.sign(most_moved)).reshape(count, *mean.points.shape)
    left = variances[count:].sum() / rows.shape[1]
    return ShapeModel(mean, modes, float(np.sqrt(left)), people, shares[:count])


def left_out_of(
    model: ShapeModel,
    shapes: np.ndarray,
    known: np.ndarray,
    persons: Sequence[str],
    model_without: Callable[[np.ndarray], ShapeModel],
) -> LeftOut | None:
    """Find what a model makes of people that it was not made from, by leaving each out in turn.

    Parameters
    ----------
    model : ShapeModel
        Of all, n points.
    shapes : ndarray of shape (femurs, n, 3)
        Of those that it was made from, in any pose, mm.
    known : ndarray of bool, shape (femurs, n)
        Which points are known.
    persons : sequence of str
        Whose each femur is; those of one person are left out together.
    model_without : callable
        Takes which femurs are kept, bool of shape (femurs,), and returns the model made from them alone in
        the same way.

    Returns
    -------
    LeftOut or None
        None for fewer than `FEWEST_LEFT_OUT` people.
    """
    persons = np.asarray(persons, dtype=object)
    names = np.unique(persons)
    if len(names) < FEWEST_LEFT_OUT:
        return None
    weights, areas = weights_of(persons), model.surface.point_areas
    folds = {name: model_without(persons != name) for name in names}
    residual_mm = model.residual_sd_mm
    for _ in range(_PASSES):
        models = [replace(folds[name], residual_sd_mm=residual_mm) for name in persons]
        fits = [one.fit(points, there, sliding=True) for one, points, there in zip(models, shapes, known)]
        across = np.array([fit.across_mm for fit in fits])
        residual_mm = _root_mean_square(across, weights, areas)
    squares = smooth(model.surface, across.T**2, _SMOOTH_MM).T
    # A person's own residual must not be part of what is usual for him.
    usual = [_usual_sd(squares, weights * (persons != name), areas) for name in persons]
    values = np.log(
        [
            [max(length(fit.coordinates), 1e-12), max(excess(one, sd, areas), 1e-12)]
            for fit, one, sd in zip(fits, across, usual)
        ]
    )
    mean, sd, correlation = _moments(values, weights)
    return LeftOut(
        people=len(names),
        sd_mm=_usual_sd(squares, weights, areas),
        residual_mm=residual_mm,
        explained=_explained(model, models, shapes, known, weights),
        coordinates_log=(float(mean[0]), float(sd[0])),
        residual_log=(float(mean[1]), float(sd[1])),
        correlation=correlation,
    )


def _root_mean_square(across: np.ndarray, weights: np.ndarray, areas: np.ndarray) -> float:
    there = np.isfinite(across) * weights[:, None] * areas
    return float(np.sqrt((np.where(there > 0, across, 0.0) ** 2 * there).sum() / there.sum()))


def _usual_sd(squares: np.ndarray, weights: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Root mean square at each point, of squared residuals of the femurs with their weights."""
    there = np.isfinite(squares) * weights[:, None]
    sums, counts = (np.where(there > 0, squares, 0.0) * there).sum(axis=0), there.sum(axis=0)
    everywhere = (sums @ areas) / (counts @ areas)
    variance = (sums + _PRIOR_PEOPLE * everywhere) / (counts + _PRIOR_PEOPLE)
    return np.sqrt(np.maximum(variance, 1e-8))


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and standard deviation of two numbers a femur, and their correlation, not below zero."""
    mean = np.average(values, axis=0, weights=weights)
    off = values - mean
    covariance = (weights[:, None] * off).T @ off / (weights.sum() - 1.0)
    sd = np.maximum(np.sqrt(np.diag(covariance)), 1e-6)
    return mean, sd, float(np.clip(covariance[0, 1] / (sd[0] * sd[1]), 0.0, _MOST_CORRELATION))


def _explained(
    model: ShapeModel,
    models: Sequence[ShapeModel],
    shapes: np.ndarray,
    known: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Share of the variance of people left out that each mode of the others explains, shape (k,).

    Modes of about the same variance change places when a person is left out, so each of the others' modes
    counts for the mode of all that is most like it. A point that is not known lies where the fit puts it.
    """
    of_all = _axes(model)
    found, total = np.zeros(len(of_all)), 0.0
    for one, points, there, weight in zip(models, shapes, known, weights):
        fit = one.fit(points, there)
        back = (points - fit.translation) @ fit.rotation / fit.size
        off = np.where(there[:, None], back, one.reconstruct(fit.coordinates)) - one.mean
        off = without_pose(off.reshape(1, -1), one.mean)[0]
        axes = _axes(one)
        mode, same = linear_sum_assignment(np.abs(of_all @ axes.T), maximize=True)
        found[mode] += weight * (axes[same] @ off) ** 2
        total += weight * float(off @ off)
    return found / total


def _axes(model: ShapeModel) -> np.ndarray:
    """Unit vectors along the modes, orthogonal, shape (k, 3 n)."""
    return np.linalg.qr(model.modes.reshape(len(model.modes), -1).T)[0].T

"""Simultaneous confidence bands: bounds that hold for all regions and endpoints at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import StatisticsError
from ..model.contrast_map import ContrastMap, check_alternative
from ..model.contrasts import Contrast
from ..model.effects import Model

N_DRAWS = 200_000
_BATCH = 20_000  # draws made together; bounds the memory


@dataclass(frozen=True)
class Bands:
    """Effects with bounds that all hold together.

    Attributes
    ----------
    answers : tuple of ContrastMap
        Of each model and contrast, in their order.
    critical : float
        Half width of the bands in standard errors (one-sided: distance of the bound).
    lower, upper : tuple of ndarray of shape (v,)
        Bounds of each answer.
    p : tuple of ndarray of shape (v,)
        Corrected for all effects of all answers.
    """

    answers: tuple[ContrastMap, ...]
    critical: float
    lower: tuple[np.ndarray, ...]
    upper: tuple[np.ndarray, ...]
    p: tuple[np.ndarray, ...]


def simultaneous_bands(
    models: Sequence[Model],
    contrasts: Sequence[Contrast | str],
    alternative: str = "two-sided",
    level: float = 0.95,
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> Bands:
    """Give confidence bands for every contrast in every column of every model.

    All t together are taken as multivariate t with the correlation of their estimates: that of the models'
    whitened residuals between columns, times that of the contrasts within a model (Hothorn, Bretz, Westfall
    2008), and the fewest degrees of freedom of any. The quantile of the largest comes from drawing.
    Bonferroni's bands are wider, for regions of one bone much so.

    Parameters
    ----------
    models : sequence of Fit or MixedFit
        Of the same rows, e.g. thickness by region, density by region, and the trial's scalar endpoints.
        For many regions, not for the vertices of a map.
    contrasts : sequence of Contrast or str
        Of one row each; every one is tested in every model.
    alternative : str
        ``two-sided``, ``greater`` or ``less``.
    level : float
        Probability with which all intervals hold their effects.
    seed : int
        Of the drawing; the same seed gives the same bands.
    n_draws : int
        Draws of the largest t.

    Returns
    -------
    Bands
        Answers are ordered by model, then contrast. Columns that could not be fitted have no bounds and do
        not count.

    Raises
    ------
    StatisticsError
        If the models have different rows, or nothing was fitted.
    """
    check_alternative(alternative)
    rows = {len(model.design.matrix) for model in models}
    if len(rows) != 1:
        raise StatisticsError("Models in one set of bands must have the same rows of the study.")
    answers = tuple(model.test(contrast, alternative) for model in models for contrast in contrasts)
    if not all(answered.is_t for answered in answers):
        raise StatisticsError("Bands are of single effects; ask each row of the contrast by itself.")
    t = np.concatenate([answered.statistic for answered in answers])
    known = np.isfinite(t)
    if not known.any():
        raise StatisticsError("No effect was fitted, so bands are not available.")
    dof = np.concatenate([answered.dof for answered in answers])[known].min()
    factor = _estimates(models, answers, len(contrasts))[:, known]
    largest = _largest(_root(factor), float(dof), alternative, seed, n_draws)
    critical = float(np.quantile(largest, level, method="higher"))
    lower, upper = zip(*(_bounds(answered, critical, alternative) for answered in answers))
    sign = {"two-sided": np.abs, "greater": np.positive, "less": np.negative}[alternative]
    p = tuple(_corrected(sign(answered.statistic), largest) for answered in answers)
    return Bands(answers, critical, lower, upper, p)


def _estimates(models: Sequence[Model], answers: Sequence[ContrastMap], n_contrasts: int) -> np.ndarray:
    """Vectors whose products are the correlations of all estimates, shape (anything, effects).

    Each is the residual vector of its column (unit length) beside the direction of its contrast in the
    coefficients: both products of their kind are correlations, and the Kronecker product of the two vectors
    multiplies them.
    """
    parts = []
    for index, model in enumerate(models):
        residuals = model.standardised_residuals()
        directions_in_all = np.concatenate(
            [a.contrast.matrix for a in answers[index * n_contrasts : (index + 1) * n_contrasts]]
        )
        directions = _directions(model, directions_in_all)
        parts += [(residuals[:, None, :] * direction[None, :, None]) for direction in directions]
    width = max(part.shape[1] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0))) for part in parts]
    return np.concatenate([part.reshape(-1, part.shape[2]) for part in padded], axis=1)


def _directions(model: Model, rows: np.ndarray) -> np.ndarray:
    """Unit vectors whose products are the correlations of the contrasts, shape (q, q)."""
    covariance = model.covariance_of(rows)[model.fitted]
    scale = np.sqrt(np.einsum("vqq->vq", covariance))
    correlation = covariance / (scale[:, :, None] * scale[:, None, :])
    # One for all columns: with gaps or a mixed model it differs a little from column to column.
    return _root_of(correlation.mean(axis=0))


def _root(vectors: np.ndarray) -> np.ndarray:
    """Matrix that turns independent draws into correlated ones, shape (k, k)."""
    length = np.linalg.norm(vectors, axis=0)
    vectors = vectors / np.where(length > 0, length, 1.0)
    return _root_of(vectors.T @ vectors)


def _root_of(correlation: np.ndarray) -> np.ndarray:
    """Symmetric root; unlike others it is unique, so those of two models can be multiplied."""
    values, vectors = np.linalg.eigh(correlation)
    return vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T


def _largest(root: np.ndarray, dof: float, alternative: str, seed: int, n_draws: int) -> np.ndarray:
    """Draw the largest t of all effects when none is there, sorted, shape (n_draws,)."""
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, n_draws, _BATCH):
        count = min(_BATCH, n_draws - start)
        z = rng.standard_normal((count, len(root))) @ root.T
        scale = np.sqrt(rng.chisquare(dof, count) / dof)
        found.append((np.abs(z) if alternative == "two-sided" else z).max(axis=1) / scale)
    return np.sort(np.concatenate(found))


def _bounds(answered: ContrastMap, critical: float, alternative: str) -> tuple[np.ndarray, np.ndarray]:
    reach = critical * answered.standard_error
    known = np.isfinite(reach)
    lower = np.full_like(reach, -np.inf) if alternative == "less" else answered.effect - reach
    upper = np.full_like(reach, np.inf) if alternative == "greater" else answered.effect + reach
    return np.where(known, lower, np.nan), np.where(known, upper, np.nan)


def _corrected(t: np.ndarray, largest: np.ndarray) -> np.ndarray:
    beyond = len(largest) - np.searchsorted(largest, t, side="left")
    return np.where(np.isfinite(t), (1.0 + beyond) / (1.0 + len(largest)), np.nan)

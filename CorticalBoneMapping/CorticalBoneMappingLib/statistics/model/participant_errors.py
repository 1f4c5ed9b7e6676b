"""Standard errors of a mixed model that hold however the rows of one person are correlated.

The mixed model assumes that a person's rows share a level, and each hip another. People also differ in how
they change, both hips of a visit share its calibration, and the spread grows with time. None of that moves an
estimate, but the model's own standard errors ignore it and are too small: of trials without any effect a
third found one after three years. Here each participant is left out in turn (jackknife), so all rows of a
person count as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...core.errors import StatisticsError
from .design import Design
from .mixed_model import MixedFit, whiten

_FIT_STEP = 0.02  # of log(1 + λ) within which vertices share weights
_RANK_TOLERANCE = 1e-9


def leave_one_out(
    values: np.ndarray, design: Design, row: np.ndarray, mixed: MixedFit | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate an effect from all rows, and without each participant.

    Vertices with the same rows present, and nearly the same variance ratios, share one set of weights of the
    rows per participant left out, which makes all their effects one matrix product.

    Parameters
    ----------
    values : ndarray of shape (k, n, v)
        Several measures, with not-a-number in the same places.
    design : Design
        Of n rows.
    row : ndarray of shape (p,)
        Weights of the coefficients.
    mixed : MixedFit, optional
        Whose variance ratios describe how the rows of a participant hang together, the same for every measure
        and replicate; without it rows are independent.

    Returns
    -------
    effect : ndarray of shape (k, v)
        Not-a-number where the model has no fit.
    replicates : ndarray of shape (k, m, v)
        Without each of the m participants; not-a-number where the model has no fit without them. A
        participant without a value at a vertex leaves the effect there as it is.
    """
    basis, triangle = np.linalg.qr(design.matrix)
    row = row @ np.linalg.inv(triangle)
    belongs = rows_of_each(design)
    found = np.full((len(values), 1 + len(belongs), values.shape[2]), np.nan)
    for vertices, present, ratios in groups_of_similar(values[0], mixed, _FIT_STEP):
        levels = [] if mixed is None else mixed.levels
        shown = present[:, None].astype(np.float64)
        x = whiten(shown * basis, shown, levels, ratios[:, None])
        y = np.where(present[:, None], values[:, :, vertices], 0.0)
        found[:, :, vertices] = _weights(x, belongs, row) @ whiten(y, shown, levels, ratios[:, None])
    return found[:, 0], found[:, 1:]


def rows_of_each(design: Design) -> np.ndarray:
    """Mark which rows are of which of the m participants, shape (m, n) of bool."""
    return np.eye(design.participants.max() + 1, dtype=bool)[:, design.participants]


def groups_of_similar(
    values: np.ndarray, mixed: MixedFit | None, step: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Group the vertices that have the same rows and, to a step of log(1 + λ), the same variance ratios.

    Parameters
    ----------
    values : ndarray of shape (n, v)
        Not-a-number where a row has no value.
    mixed : MixedFit or None
        Whose ratios; vertices where it could not be fitted are in no group.
    step : float
        Of log(1 + λ).

    Yields
    ------
    vertices : ndarray of int
    present : ndarray of bool, shape (n,)
        Rows with a value.
    ratios : ndarray of shape (levels,)
        Their mean.
    """
    patterns = np.packbits(np.isfinite(values), axis=0).T
    ratios = np.empty((len(patterns), 0)) if mixed is None else mixed.ratios
    fitted = np.isfinite(ratios).all(axis=1)
    cells = np.round(np.log1p(np.where(fitted[:, None], ratios, 0.0)) / step).astype(np.int64)
    keys = np.concatenate(
        [patterns, np.ascontiguousarray(cells).view(np.uint8).reshape(len(cells), -1)], axis=1
    )
    group = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    group = np.where(fitted, group, -1)
    order = np.argsort(group, kind="stable")[np.sum(group < 0) :]
    if len(order) == 0:
        return
    for vertices in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        mean = np.expm1(np.log1p(ratios[vertices]).mean(axis=0))
        yield vertices, np.isfinite(values[:, vertices[0]]), mean


def grams_without_each(x: np.ndarray, belongs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multiply xᵀx out of all rows, and out of those left without each participant.

    Parameters
    ----------
    x : ndarray of shape (n, p)
        Whitened columns.
    belongs : ndarray of bool, shape (m, n)
        Rows of each participant.

    Returns
    -------
    grams : ndarray of shape (1 + m, p, p)
        The identity where the columns are not separable.
    regular : ndarray of bool, shape (1 + m,)
        Where they can.
    """
    kept = np.concatenate([np.ones((1, len(x))), ~belongs])
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    grams = (kept @ products).reshape(len(kept), x.shape[1], x.shape[1])
    values = np.linalg.eigvalsh(grams)
    regular = values[:, 0] > _RANK_TOLERANCE * np.maximum(values[:, -1], np.finfo(float).tiny)
    return np.where(regular[:, None, None], grams, np.eye(x.shape[1])), regular


def _weights(x: np.ndarray, belongs: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Weights of the rows in the effect, and in that without each participant, shape (1 + m, n)."""
    grams, regular = grams_without_each(x, belongs)
    solved = np.linalg.solve(grams, np.broadcast_to(row, (len(grams), len(row)))[..., None])[..., 0]
    weights = solved @ x.T
    weights[1:][belongs] = 0.0
    return np.where(regular[:, None], weights, np.nan)


_STEP = 0.1  # of log(1 + λ) within which vertices share weights, for their errors only
_AT_ONCE = 256  # vertices; bounds the memory


def with_participant_errors(fit: MixedFit) -> MixedFit:
    """Replace the covariance of a mixed model's coefficients by that of the jackknife over participants.

    Parameters
    ----------
    fit : MixedFit
        Of n rows of m participants.

    Returns
    -------
    MixedFit
        The same estimates; `covariance` is (m − 1)/m Σ (β₍ᵢ₎ − β)(β₍ᵢ₎ − β)ᵀ, β₍ᵢ₎ without participant i at
        the same weights (CR3, Bell and McCaffrey 2002, Surv Methodol 28:169), and contrasts have
        `participant_dof` degrees of freedom; m counts those with a value. Where too many values are missing
        for that, a vertex has no fit. The fit itself where the design with all its rows cannot do without
        some participant.

    Raises
    ------
    StatisticsError
        If there are too few participants.
    """
    participant_dof(fit.design)
    basis, triangle = np.linalg.qr(fit.design.matrix)
    belongs = rows_of_each(fit.design)
    if not grams_without_each(basis, belongs)[1].all():
        return fit
    back = np.linalg.inv(triangle)
    covariance = np.full_like(fit.covariance, np.nan)
    dof = np.full(len(fit.variance), np.nan)
    for group, present, ratios in groups_of_similar(fit.residuals, fit, _STEP):
        shown = present[:, None].astype(np.float64)
        levels, ratio = fit.levels, ratios[:, None]
        x = whiten(shown * basis, shown, levels, ratio)
        grams, regular = grams_without_each(x, belongs)
        left = _dof(fit.design, present)
        if not regular.all() or left < 1.0:
            continue
        dof[group] = left
        without = np.linalg.inv(grams[1:])
        people = (belongs & present).any(axis=1).sum()
        for vertices in np.array_split(group, -(-len(group) // _AT_ONCE)):
            y = np.where(present[:, None], fit.residuals[:, vertices], 0.0)
            r = whiten(y, shown, levels, ratio)
            away = without @ _sums(x[:, :, None] * r[:, None], fit.design.participants)
            spread = np.einsum("mpv,mqv->vpq", away, away, optimize=True) * (people - 1.0) / people
            covariance[vertices] = back @ spread @ back.T
    known = np.isfinite(dof)
    return replace(
        fit,
        coefficients=np.where(known, fit.coefficients, np.nan),
        variance=np.where(known, fit.variance, np.nan),
        covariance=covariance,
        participant_dof=dof,
    )


def participant_dof(design: Design) -> float:
    """Count the participants less the columns that their means separate.

    Raises
    ------
    StatisticsError
        If nothing is left to estimate their spread from.
    """
    dof = _dof(design, np.ones(len(design.matrix), dtype=bool))
    if dof < 1:
        raise StatisticsError(
            f"{design.participants.max() + 1} participants are too few for this design: nothing is left to "
            "estimate their spread from."
        )
    return dof


def _dof(design: Design, present: np.ndarray) -> float:
    """The same for those with a row that is present, 0 or less if nothing is left."""
    rows = np.bincount(design.participants[present])
    means = _sums(design.matrix[present], design.participants[present]) / rows[rows > 0, None]
    return float(len(means) - np.linalg.matrix_rank(means))


def _sums(rows: np.ndarray, participants: np.ndarray) -> np.ndarray:
    """Sum rows (n, ...) over the participants that have any: shape (m, ...)."""
    order = np.argsort(participants, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(participants[order]) != 0))
    return np.add.reduceat(rows[order], starts, axis=0)

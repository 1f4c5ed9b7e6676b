"""Standard errors of a mixed model that hold however the rows of one person hang together.

The mixed model says that a person's rows share a level, and each hip another. People also differ in how they
change, both hips of a visit share its calibration, and the spread grows with time. None of that moves an
estimate, but the model's own standard errors know nothing of it and are too small: of trials without any
effect a third found one after three years. Here the spread is told from what becomes of the estimates when
each person is left out, so all rows of a person count as one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import StatisticsError
from ._jackknife import grams_without_each, groups_of_alike, rows_of_each
from .design import Design
from .mixed_model import MixedFit, whiten

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
    for group, present, ratios in groups_of_alike(fit.residuals, fit, _STEP):
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
    """Count the participants less the columns that their means tell apart.

    Raises
    ------
    StatisticsError
        If nothing is left to tell their spread from.
    """
    dof = _dof(design, np.ones(len(design.matrix), dtype=bool))
    if dof < 1:
        raise StatisticsError(
            f"{design.participants.max() + 1} participants are too few for this design: nothing is left to "
            "tell their spread from."
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

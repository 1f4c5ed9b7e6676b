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
from ._jackknife import groups_of_alike
from .design import Design
from .mixed_model import MixedFit, whiten

_STEP = 0.1  # of log(1 + λ) within which vertices share weights, for their errors only
_AT_ONCE = 256  # vertices; bounds the memory
_RANK_TOLERANCE = 1e-9


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
        `participant_dof` degrees of freedom. The fit itself where the design cannot do without some
        participant.

    Raises
    ------
    StatisticsError
        If there are too few participants.
    """
    dof = participant_dof(fit.design)
    basis, triangle = np.linalg.qr(fit.design.matrix)
    back = np.linalg.inv(triangle)
    covariance = np.full_like(fit.covariance, np.nan)
    for group, present, ratios in groups_of_alike(fit.residuals, fit, _STEP):
        shown = present[:, None].astype(np.float64)
        levels, ratio = fit.levels, ratios[:, None]
        x = whiten(shown * basis, shown, levels, ratio)
        without = _without_each(x, fit.design.participants)
        if without is None:
            return fit
        for vertices in np.array_split(group, -(-len(group) // _AT_ONCE)):
            y = np.where(present[:, None], fit.residuals[:, vertices], 0.0)
            r = whiten(y, shown, levels, ratio)
            away = without @ _sums(x[:, :, None] * r[:, None], fit.design.participants)
            people = len(np.unique(fit.design.participants[present]))
            spread = np.einsum("mpv,mqv->vpq", away, away, optimize=True) * (people - 1.0) / people
            covariance[vertices] = back @ spread @ back.T
    return replace(fit, covariance=covariance, participant_dof=dof)


def participant_dof(design: Design) -> float:
    """Count the participants less the columns that their means tell apart.

    Raises
    ------
    StatisticsError
        If nothing is left to tell their spread from.
    """
    rows = np.bincount(design.participants)
    means = _sums(design.matrix, design.participants) / rows[:, None]
    dof = len(means) - int(np.linalg.matrix_rank(means))
    if dof < 1:
        raise StatisticsError(
            f"{len(means)} participants are too few for this design: nothing is left to "
            "tell their spread from."
        )
    return float(dof)


def _without_each(x: np.ndarray, participants: np.ndarray) -> np.ndarray | None:
    """Inverse of xᵀx without each participant, shape (m, p, p); None if one of them has none."""
    own = _sums(x[:, :, None] * x[:, None], participants)
    left = own.sum(axis=0) - own
    values = np.linalg.eigvalsh(left)
    if np.any(values[:, 0] <= _RANK_TOLERANCE * values[:, -1]):
        return None
    return np.linalg.inv(left)


def _sums(rows: np.ndarray, participants: np.ndarray) -> np.ndarray:
    """Sum rows (n, ...) over participants: shape (m, ...)."""
    order = np.argsort(participants, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(participants[order]) != 0))
    return np.add.reduceat(rows[order], starts, axis=0)

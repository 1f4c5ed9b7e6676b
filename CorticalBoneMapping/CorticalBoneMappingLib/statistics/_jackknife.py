"""Effects of least squares with each participant left out in turn."""

from __future__ import annotations

import numpy as np

from .design import Design

_CHUNK = 256  # vertices with gaps worked on together; bounds the memory
_RANK_TOLERANCE = 1e-9


def leave_one_out(values: np.ndarray, design: Design, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate an effect from all rows, and without each participant.

    Parameters
    ----------
    values : ndarray of shape (k, n, v)
        Several measures, with not-a-number in the same places.
    design : Design
        Of n rows.
    row : ndarray of shape (p,)
        Weights of the coefficients.

    Returns
    -------
    effect : ndarray of shape (k, v)
        Not-a-number where the model cannot be fitted.
    replicates : ndarray of shape (k, m, v)
        Without each of the m participants; not-a-number where the model cannot be fitted without them. A
        participant without a value at a vertex leaves the effect there as it is.
    """
    k, _, count = values.shape
    basis, triangle = np.linalg.qr(design.matrix)
    row = row @ np.linalg.inv(triangle)
    belongs = design.participants == np.arange(design.participants.max() + 1)[:, None]
    present = np.isfinite(values[0])
    whole = present.all(axis=0)
    effect, replicates = np.full((k, count), np.nan), np.full((k, len(belongs), count), np.nan)
    # Where nothing is missing, each effect is one set of weights of the rows.
    grams = np.einsum("mn,np,nq->mpq", belongs, basis, basis, optimize=True)
    left = _solve(np.eye(basis.shape[1]) - grams, np.broadcast_to(row, (len(belongs), len(row))))
    weights = (left @ basis.T) * ~belongs
    effect[:, whole] = (basis @ row) @ values[:, :, whole]
    replicates[:, :, whole] = weights @ values[:, :, whole]
    gaps = np.flatnonzero(~whole)
    for start in range(0, len(gaps), _CHUNK):
        part = gaps[start : start + _CHUNK]
        effect[:, part], replicates[:, :, part] = _with_gaps(
            values[:, :, part], present[:, part], basis, belongs, row
        )
    return effect, replicates


def _with_gaps(
    values: np.ndarray, present: np.ndarray, basis: np.ndarray, belongs: np.ndarray, row: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    k, n, count = values.shape
    p, m = basis.shape[1], len(belongs)
    filled = np.where(present, values, 0.0)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(n, p * p)
    grams, sides = np.empty((m + 1, count, p, p)), np.empty((m + 1, k, count, p))
    for index, rows in enumerate(belongs, start=1):
        grams[index] = (present[rows].T @ products[rows]).reshape(count, p, p)
        sides[index] = np.swapaxes(filled[:, rows], 1, 2) @ basis[rows]
    grams[0], sides[0] = grams[1:].sum(axis=0), sides[1:].sum(axis=0)
    grams[1:], sides[1:] = grams[0] - grams[1:], sides[0] - sides[1:]
    weights = _solve(grams, np.broadcast_to(row, (m + 1, count, p)))
    found = np.einsum("mvp,mkvp->kmv", weights, sides)
    return found[:, 0], found[:, 1:]


def _solve(grams: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve symmetric systems; not-a-number where one is singular."""
    values = np.linalg.eigvalsh(grams)
    whole = values[..., 0] > _RANK_TOLERANCE
    safe = np.where(whole[..., None, None], grams, np.eye(grams.shape[-1]))
    return np.where(whole[..., None], np.linalg.solve(safe, right[..., None])[..., 0], np.nan)

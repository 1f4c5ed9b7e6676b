"""What estimated variances do to standard errors when participants are few."""

from __future__ import annotations

import numpy as np

from ._reml import Precision, State, Sums

_SINGULAR = 1e-9


def inflation(sums: Sums, state: State) -> np.ndarray:
    """Give what is to be added to (XᵀV⁻¹X)⁻¹ because V was estimated.

    Kenward and Roger 1997, eq. 5 (Biometrics 53:983): 2 Φ Σ W_kl (Q_kl − P_k Φ P_l) Φ. The term of σ² and its
    crossed ones vanish, since V is proportional to σ²; what is left is over the ratios. It is nought where
    the estimate does not depend on the ratios, as that of an arm in a balanced trial.

    Parameters
    ----------
    sums : Sums
        Of v vertices.
    state : State
        At the maximum.

    Returns
    -------
    ndarray of shape (v, p, p)
        For a residual variance of 1, in the basis of `sums`.
    """
    precision = Precision(sums, state.ratios)
    x = precision.outer(sums.x)
    spread = [x]
    if sums.nested:
        spread.insert(0, sums.spread(sums.per_participant(x)))
    pushed = [precision.outer(sums.size[..., None] * each) for each in spread]
    weights = parameter_covariance(state.information, state.ratios)[:, 1:, 1:]
    inner = np.zeros_like(state.inverse)
    for k, first in enumerate(spread):
        for m, second in enumerate(pushed):
            crossed = np.swapaxes(first, 1, 2) @ second
            crossed -= state.sensitivity[k] @ state.inverse @ state.sensitivity[m]
            inner += weights[:, k, m, None, None] * crossed
    return 2.0 * state.inverse @ inner @ state.inverse


def parameter_covariance(information: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Give the covariance of (log σ², ratios), without the ratios that are on their bound.

    Parameters
    ----------
    information : ndarray of shape (v, k + 1, k + 1)
        As in `State`.
    ratios : ndarray of shape (v, k)
        Those of 0 are on their bound and taken as known.

    Returns
    -------
    ndarray of shape (v, k + 1, k + 1)
    """
    held = np.concatenate([np.zeros((len(ratios), 1), dtype=bool), ratios <= 0], axis=1)
    pair = held[:, :, None] | held[:, None, :]
    information = np.where(pair, np.eye(held.shape[1]), information)
    scale = np.sqrt(np.einsum("vkk->vk", information))
    scale = np.where(scale > 0, scale, 1.0)
    scale = scale[:, :, None] * scale[:, None, :]
    # Gaps may leave one row to each participant: then only the sum of the variances is known.
    inverse = np.linalg.pinv(information / scale, rcond=_SINGULAR, hermitian=True)
    return np.where(pair, 0.0, 2.0 * inverse / scale)

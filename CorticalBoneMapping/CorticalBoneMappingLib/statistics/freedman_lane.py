"""t or F at every vertex for many rearrangements of the rows at once, by two matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space

from ..errors import StatisticsError


@dataclass(frozen=True)
class Rearranged:
    """A contrast of a linear model, prepared so that rows can be exchanged (Freedman and Lane 1983).

    The errors that the model without the effect leaves are exchanged, and the whole model is fitted to
    them anew; adding its fitted values back, as the method has it, would not change the t of the effect.

    Attributes
    ----------
    basis : ndarray of shape (n, p)
        Orthonormal columns that span the design; the first `n_effects` are the effect beyond the rest.
    n_effects : int
        Rows of the contrast.
    errors : ndarray of shape (n, v)
        Of the model without the effect, of unit sum of squares; zero where a vertex is not tested.
    dof : float
        Residual degrees of freedom of the whole model.
    """

    basis: np.ndarray
    n_effects: int
    errors: np.ndarray
    dof: float

    @staticmethod
    def of(values: np.ndarray, design: np.ndarray, contrast: np.ndarray) -> Rearranged:
        """Split the design into the effect of the contrast and the rest (Beckmann's partition).

        Parameters
        ----------
        values : ndarray of shape (n, v)
            Maps, finite.
        design : ndarray of shape (n, p)
            Of full rank.
        contrast : ndarray of shape (q, p)
            One row for t, several for F.

        Raises
        ------
        StatisticsError
            If the design is not of full rank, or leaves no degrees of freedom.
        """
        n, p = design.shape
        if np.linalg.matrix_rank(design) < p:
            raise StatisticsError(
                "The columns of the design cannot all be told apart; leave one of them out."
            )
        if n <= p:
            raise StatisticsError(f"{n} maps leave no degrees of freedom for a design of {p} columns.")
        # Rows of C D⁺ span what the contrast asks for; in what is left, D with Cβ = 0, it is always 0.
        effect = np.linalg.pinv(design).T @ contrast.T
        rest = _orthonormal(design @ null_space(contrast))
        errors = values - rest @ (rest.T @ values)
        size = np.sqrt(np.einsum("nv,nv->v", errors, errors))
        spread = np.sqrt(np.einsum("nv,nv->v", values, values))
        has_errors = size > 1e-10 * spread
        errors = errors / np.where(has_errors, size, np.inf)
        return Rearranged(
            np.concatenate([_orthonormal(effect), rest], axis=1), len(contrast), errors, float(n - p)
        )

    def statistics(self, source: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """Give t (or F) of every vertex for rearrangements of the rows.

        Parameters
        ----------
        source : ndarray of shape (m, n)
            From which row each row takes its error.
        sign : ndarray of shape (m, n)
            1 or −1.

        Returns
        -------
        ndarray of shape (m, v)
            0 where a vertex has no errors.
        """
        m, n = source.shape
        p = self.basis.shape[1]
        # (P e)ᵀ W = eᵀ (Pᵀ W): it is the small basis that is rearranged, not the maps.
        turned = np.empty((m, n, p))
        turned[np.arange(m)[:, None], source] = sign[:, :, None] * self.basis
        turned = np.ascontiguousarray(turned.transpose(2, 0, 1)).reshape(p * m, n)
        projected = (turned @ self.errors).reshape(p, m, -1)
        effect, rest = projected[: self.n_effects], projected[self.n_effects :]
        explained = np.einsum("pmv,pmv->mv", effect, effect)
        left = 1.0 - explained - np.einsum("pmv,pmv->mv", rest, rest)
        variance = np.maximum(left, np.finfo(float).tiny) / self.dof
        if self.n_effects == 1:
            return effect[0] / np.sqrt(variance)
        return explained / self.n_effects / variance


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Orthonormal columns of the same span; a single column keeps its direction."""
    if columns.shape[1] == 0:
        return columns
    q, r = np.linalg.qr(columns)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)

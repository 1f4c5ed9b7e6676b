"""t or F at every vertex for many rearrangements of the rows at once, by a few matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import null_space

from ...core.errors import StatisticsError

_RANK_TOLERANCE = 1e-8  # of a squared length of 1
_LEAST_LEFT = 1e-12  # of the sum of squares: less than that is rounding


@dataclass(frozen=True)
class Rearranged:
    """A contrast of a linear model, prepared so that rows can be exchanged (Freedman and Lane 1983).

    The errors that the model without the effect leaves are exchanged, and the whole model is fitted to
    them anew; adding its fitted values back, as the method has it, would not change the t of the effect.
    A missing value travels with the error that it is.

    Attributes
    ----------
    basis : ndarray of shape (n, p)
        Orthonormal columns that span the design; the last `n_effects` are the effect beyond the rest.
    n_effects : int
        1 for t, more for F.
    errors : ndarray of shape (n, v)
        Of the model without the effect, of unit sum of squares; zero without a value or spread.
    gaps : ndarray of shape (g,)
        Vertices where some rows have no value.
    present : ndarray of shape (n, g)
        1.0 where they have one.
    n_free : ndarray of shape (v,)
        Rows with a value, less the blocks whose means were taken out.
    """

    basis: np.ndarray
    n_effects: int
    errors: np.ndarray
    gaps: np.ndarray
    present: np.ndarray
    n_free: np.ndarray

    @staticmethod
    def of(
        values: np.ndarray, design: np.ndarray, contrast: np.ndarray, blocks: np.ndarray | None = None
    ) -> Rearranged:
        """Split the design into the effect of the contrast and the rest (Beckmann's partition).

        Parameters
        ----------
        values : ndarray of shape (n, v)
            Maps; not-a-number without a value.
        design : ndarray of shape (n, p)
            Of full rank.
        contrast : ndarray of shape (q, p)
            One row for t, several for F.
        blocks : ndarray of shape (n,), optional
            Where rows will be exchanged within blocks only, their blocks: what differs between them is
            then no error, and is taken out as the difference of pairs does. A block with a gap at a vertex
            does not count there.

        Raises
        ------
        StatisticsError
            If the design is not of full rank, leaves no degrees of freedom, or the effect lies between the
            blocks.
        """
        n, p = design.shape
        if np.linalg.matrix_rank(design) < p:
            raise StatisticsError("The columns of the design depend on each other; leave one of them out.")
        # Rows of C D⁺ span what the contrast asks for; in what is left, D with Cβ = 0, it is always 0.
        effect, rest = _unit(np.linalg.pinv(design).T @ contrast.T), _unit(design @ null_space(contrast))
        known, n_free = np.isfinite(values), np.isfinite(values).sum(axis=0)
        filled = np.where(known, values, 0.0)
        if blocks is not None:
            known, filled, n_free = _within(blocks, known, filled)
            whole = np.ones((n, 1), dtype=bool)
            effect, rest = _within(blocks, whole, effect)[1], _within(blocks, whole, rest)[1]
        rest = _orthonormal(rest)
        effect = _orthonormal(effect - rest @ (rest.T @ effect), least=len(contrast))
        basis = np.concatenate([rest, effect], axis=1)
        if n_free.max() <= basis.shape[1]:
            raise StatisticsError(f"{n} maps leave no degrees of freedom for a design of {p} columns.")
        gaps = np.flatnonzero(~known.all(axis=0))
        present = known[:, gaps].astype(np.float64)
        errors = filled - rest @ (rest.T @ filled)
        if len(gaps):
            errors[:, gaps] = _errors_with_gaps(filled[:, gaps], present, rest)
        size = np.sqrt(np.einsum("nv,nv->v", errors, errors))
        spread = np.sqrt(np.einsum("nv,nv->v", filled, filled))
        errors = errors / np.where(size > 1e-10 * spread, size, np.inf)
        return Rearranged(basis, len(contrast), errors, gaps, present, n_free.astype(np.float64))

    @property
    def dof(self) -> float:
        """Residual degrees of freedom of the whole model where no value is missing."""
        return float(self.n_free.max() - self.basis.shape[1])

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
            0 where a vertex has no errors, or where the missing values leave the effect undetermined.
        """
        m, n = source.shape
        p = self.basis.shape[1]
        # (P e)ᵀ W = eᵀ (Pᵀ W): it is the small basis that is rearranged, not the maps.
        turned = np.empty((m, n, p))
        turned[np.arange(m)[:, None], source] = sign[:, :, None] * self.basis
        turned = np.ascontiguousarray(turned.transpose(2, 0, 1))
        projected = (turned.reshape(p * m, n) @ self.errors).reshape(p, m, -1)
        rank: float | np.ndarray = float(p)
        if len(self.gaps):
            rank = np.full(projected.shape[1:], float(p))
            projected[:, :, self.gaps], rank[:, self.gaps] = self._with_gaps(turned, projected)
        dof = self.n_free - rank
        effect = projected[p - self.n_effects :]
        left = 1.0 - np.einsum("pmv,pmv->mv", projected, projected)
        # Where as many columns as values are fitted nothing is left to judge the effect by.
        variance = np.where(dof > 0.5, np.maximum(left, _LEAST_LEFT) / np.maximum(dof, 1.0), np.inf)
        if self.n_effects == 1:
            return effect[0] / np.sqrt(variance)
        return np.einsum("pmv,pmv->mv", effect, effect) / self.n_effects / variance

    def _with_gaps(self, turned: np.ndarray, projected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Components of the errors along the basis made orthonormal anew on the rows that have a value.

        Cholesky's factor of WᵀMW, column by column for all rearrangements and vertices at once; a column
        that the rows with a value do not separate from those before has no component.

        Returns
        -------
        components : ndarray of shape (p, m, g)
        rank : ndarray of shape (m, g)
        """
        p, m, n = turned.shape
        components = projected[:, :, self.gaps]
        factor = np.zeros((p, p, m, len(self.gaps)))
        rank = np.zeros(components.shape[1:])
        for column in range(p):
            products = (turned[column:] * turned[column]).reshape(-1, n) @ self.present
            below = products.reshape(p - column, m, -1)
            for earlier in range(column):
                below -= factor[column:, earlier] * factor[column, earlier]
                components[column] -= factor[column, earlier] * components[earlier]
            known = below[0] > _RANK_TOLERANCE
            pivot = np.where(known, np.sqrt(np.maximum(below[0], _RANK_TOLERANCE)), np.inf)
            factor[column:, column] = below / pivot
            components[column] /= pivot
            rank += known
        return components, rank


def _errors_with_gaps(filled: np.ndarray, present: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Errors of the model without the effect, fitted to the rows that have a value; zero elsewhere."""
    n, k = rest.shape
    if k == 0:
        return filled
    products = (rest[:, :, None] * rest[:, None, :]).reshape(n, k * k)
    gram = (present.T @ products).reshape(-1, k, k)
    coefficients = np.linalg.pinv(gram, rcond=_RANK_TOLERANCE, hermitian=True) @ (filled.T @ rest)[:, :, None]
    return present * (filled - rest @ coefficients[:, :, 0].T)


def _within(
    blocks: np.ndarray, known: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take out the means of the blocks; a block with a gap has no values at all.

    Returns
    -------
    known : ndarray of shape (n, v)
    values : ndarray of shape (n, v)
        Zero without a value.
    n_free : ndarray of shape (v,)
        Rows with a value, less their blocks.
    """
    number = np.unique(blocks, return_inverse=True)[1].ravel()
    count = np.bincount(number).astype(np.float64)
    member = sparse.csr_array((np.ones(len(number)), (number, np.arange(len(number)))))
    whole = (member @ known.astype(np.float64)) == count[:, None]
    means = (member @ values) / count[:, None]
    known = whole[number]
    values = np.where(known, values - means[number], 0.0)
    return known, values, (whole * (count - 1.0)[:, None]).sum(axis=0)


def _unit(columns: np.ndarray) -> np.ndarray:
    return columns / np.linalg.norm(columns, axis=0)


def _orthonormal(columns: np.ndarray, least: int = 0) -> np.ndarray:
    """Orthonormal columns of the same span, from columns that were of length 1; a single one keeps its sign.

    Raises
    ------
    StatisticsError
        If they span fewer than `least` dimensions.
    """
    left, size, right = np.linalg.svd(columns, full_matrices=False)
    spanned = left[:, size > _RANK_TOLERANCE]
    if spanned.shape[1] < least:
        raise StatisticsError(
            "The contrast asks for an effect between blocks, which rows exchanged within them cannot show. "
            "Exchange whole blocks."
        )
    return spanned * np.sign(right[0, 0]) if columns.shape[1] == 1 else spanned

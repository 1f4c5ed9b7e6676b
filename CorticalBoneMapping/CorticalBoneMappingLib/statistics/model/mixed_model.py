"""The linear mixed model for repeated visits and both hips, at all vertices at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import StatisticsError
from ...core.progress import Progress
from ..maps import Maps
from ..table import SIDE
from .contrast_map import ContrastMap
from .contrasts import Contrast, read_contrast
from .design import Design
from .grouping import Grouping
from .least_squares import answer, fit_least_squares
from .reml import State, inflation, maximise, parameter_covariance

_CHUNK = 1024  # vertices worked on together; bounds the memory


@dataclass(frozen=True)
class MixedFit:
    """A linear mixed model fitted at every vertex.

    Attributes
    ----------
    design : Design
        Of n rows and p columns.
    coefficients : ndarray of shape (p, v)
        Fixed effects; not-a-number where the model could not be fitted.
    residuals : ndarray of shape (n, v)
        Value minus expected value (random effects are part of it); not-a-number without a value.
    variance : ndarray of shape (v,)
        Residual variance σ².
    ratios : ndarray of shape (v, k)
        Variance of participants over σ², then that of sides within participants; 0 is on the bound.
    covariance : ndarray of shape (v, p, p)
        Of the coefficients.
    plain_covariance : ndarray of shape (v, p, p)
        The same as if the ratios were known: equal to `covariance` without the small-sample correction.
    sensitivity : ndarray of shape (k, v, p, p)
        Derivative of the plain covariance by each ratio, divided by σ².
    information : ndarray of shape (v, k + 1, k + 1)
        Of (log σ², ratios); the covariance of these estimates is twice its inverse.
    dof : ndarray of shape (v,)
        Rows with a value minus columns, from which σ² comes; a contrast has its own.
    units : ndarray of int, shape (n,)
        Finest unit (participant, or side of a participant) of each row.
    converged : ndarray of bool, shape (v,)
        Whether the likelihood's maximum was reached; elsewhere the fit is missing. It has none where a
        participant's rows are all equal.
    small_sample : bool
        Whether `covariance` allows for the ratios' having been estimated.
    participant_dof : ndarray of shape (v,), or None
        Degrees of freedom of contrasts, where `covariance` is estimated by leaving out participants
        (`participant_errors`); None where it is the model's own.
    """

    design: Design
    coefficients: np.ndarray
    residuals: np.ndarray
    variance: np.ndarray
    ratios: np.ndarray
    covariance: np.ndarray
    plain_covariance: np.ndarray
    sensitivity: np.ndarray
    information: np.ndarray
    dof: np.ndarray
    units: np.ndarray
    converged: np.ndarray
    small_sample: bool
    participant_dof: np.ndarray | None = None

    @property
    def fitted(self) -> np.ndarray:
        """Whether the model could be fitted at a vertex and has a spread, shape (v,)."""
        return np.isfinite(self.variance) & (self.variance > 0)

    @property
    def intraclass_correlation(self) -> np.ndarray:
        """Correlation of two rows of one participant (of different sides, if sides are separate)."""
        return self.ratios[:, 0] / (1.0 + self.ratios.sum(axis=1))

    def test(self, contrast: Contrast | str, alternative: str = "two-sided") -> ContrastMap:
        """Answer a contrast at every vertex.

        Degrees of freedom are Satterthwaite's (1946), as Giesbrecht and Burns 1985 use them for one row and
        Fai and Cornelius 1996 for several. A random effect whose variance is 0 does not count in them. With
        `participant_dof`, they are those, and several rows are Hotelling's T².

        Parameters
        ----------
        contrast : Contrast or str
            A question, or its words.
        alternative : str
            ``two-sided``, ``greater`` or ``less``.

        Returns
        -------
        ContrastMap
        """
        contrast = read_contrast(self.design, contrast) if isinstance(contrast, str) else contrast
        covariance = self.covariance_of(contrast.matrix)
        dof = np.full(len(self.variance), np.nan)
        if self.participant_dof is not None:
            left = self.participant_dof - len(contrast.matrix) + 1.0
            enough = left >= 1.0  # false without a fit
            if self.fitted.any() and not enough.any():
                raise StatisticsError(f"'{contrast.name}': there are too few participants for this question.")
            dof[enough] = left[enough]
            covariance = covariance * (self.participant_dof / dof)[:, None, None]
            answered = answer(contrast, alternative, self.coefficients, covariance, dof)
            how = "participants; standard errors from leaving out each in turn (Bell and McCaffrey 2002)"
            return replace(answered, dof_method=how)
        dof[self.fitted] = self._satterthwaite(contrast.matrix, self.fitted)
        answered = answer(contrast, alternative, self.coefficients, covariance, dof)
        widened = "; standard errors widened after Kenward and Roger 1997" if self.small_sample else ""
        return replace(answered, dof_method="Satterthwaite" + widened)

    def covariance_of(self, rows: np.ndarray) -> np.ndarray:
        """Covariance of the estimates rows @ β at every vertex, shape (v, q, q).

        Parameters
        ----------
        rows : ndarray of shape (q, p)
            Weights of the coefficients.
        """
        return rows @ self.covariance @ rows.T

    def standardised_residuals(self) -> np.ndarray:
        """Whitened residuals over the root of their sum of squares, shape (n, v): V^(−½) r / √(rᵀV⁻¹r).

        Rows without a value are 0, as are vertices without a fit.
        """
        present = np.isfinite(self.residuals).astype(np.float64)
        ratios = np.nan_to_num(self.ratios).T
        residuals = whiten(np.nan_to_num(self.residuals), present, self.levels, ratios)
        scale = np.sqrt(np.where(self.fitted, self.variance * self.dof, np.inf))
        return residuals / scale

    @property
    def levels(self) -> list[np.ndarray]:
        """Number of each row's participant, then of its side if sides are separate; each shape (n,)."""
        return [self.design.participants, self.units][: self.ratios.shape[1]]

    def _satterthwaite(self, rows: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Degrees of freedom of the fitted vertices."""
        covariance = rows @ self.plain_covariance[which] @ rows.T
        parameters = parameter_covariance(self.information[which], self.ratios[which])
        values, vectors = np.linalg.eigh(covariance)
        rotated = np.swapaxes(vectors, 1, 2) @ rows  # contrasts whose effects are independent, (v, q, p)
        slopes = np.stack(
            [values]
            + [
                np.einsum("vqp,vpr,vqr->vq", rotated, each[which], rotated, optimize=True)
                * self.variance[which, None]
                for each in self.sensitivity
            ],
            axis=-1,
        )
        spread = np.einsum("vqk,vkl,vql->vq", slopes, parameters, slopes, optimize=True)
        each = 2.0 * values**2 / spread
        if len(rows) == 1:
            return each[:, 0]
        expected = np.where(each > 2, each / np.maximum(each - 2.0, 1e-12), 0.0).sum(axis=1)
        return np.where(expected > len(rows), 2.0 * expected / (expected - len(rows)), 1.0)


def fit_mixed_model(
    maps: Maps | np.ndarray,
    design: Design,
    sides: bool | None = None,
    small_sample: bool = True,
    progress: Progress | None = None,
) -> MixedFit:
    """Fit the design with participants as random intercepts, by restricted maximum likelihood.

    Parameters
    ----------
    maps : Maps or ndarray of shape (n, v)
        One row a row of the design; rows without a value at a vertex do not count there.
    design : Design
        Its participants are the blocks.
    sides : bool, optional
        Whether the sides of a participant have a random intercept of their own within the participant's;
        by default, if the table has both sides of a participant at several visits.
    small_sample : bool
        Widen standard errors for the variances' having been estimated (Kenward and Roger 1997). Without it
        they are those of statsmodels, BrainStat and lme4, and too small where participants are few and the
        estimate depends on the ratio of variances, as one that is adjusted for the baseline does.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    MixedFit

    Raises
    ------
    StatisticsError
        If no participant has two rows, or sides are not separable from the residual.
    """
    progress = progress or Progress()
    ordinary = fit_least_squares(maps, design)
    units, nested = _units(design, sides)
    basis, triangle = np.linalg.qr(design.matrix)
    back = np.linalg.inv(triangle)
    p, count = ordinary.coefficients.shape
    k = 2 if nested else 1
    fit = MixedFit(
        design,
        ordinary.coefficients.copy(),
        ordinary.residuals,
        np.full(count, np.nan),
        np.full((count, k), np.nan),
        np.full((count, p, p), np.nan),
        np.full((count, p, p), np.nan),
        np.full((k, count, p, p), np.nan),
        np.full((count, k + 1, k + 1), np.nan),
        ordinary.dof,
        units,
        np.zeros(count, dtype=bool),
        small_sample,
    )
    grouped = Grouping(basis, units, design.participants, nested)
    fitted = np.flatnonzero(ordinary.fitted)
    fit.coefficients[:, ~ordinary.fitted] = np.nan
    whole = np.isfinite(ordinary.residuals).all(axis=0)[fitted]
    done = 0
    for vertices in [*_chunks(fitted[whole]), *_chunks(fitted[~whole])]:
        progress.report(done / len(fitted), "Fitting the mixed model")
        done += len(vertices)
        sums = grouped.sums(ordinary.residuals[:, vertices])
        state, converged = maximise(sums)
        added = inflation(sums, state) if small_sample else np.zeros_like(state.inverse)
        _store(fit, vertices[converged], state.take(converged), added[converged], back)
        fit.coefficients[:, vertices[~converged]] = np.nan
        fit.converged[vertices] = converged
    fit.residuals[...] -= design.matrix @ (fit.coefficients - ordinary.coefficients)
    return fit


def whiten(
    values: np.ndarray, present: np.ndarray, levels: list[np.ndarray], ratios: np.ndarray
) -> np.ndarray:
    """Multiply rows by a root of V⁻¹, so that they are uncorrelated under the model.

    Parameters
    ----------
    values : ndarray of shape (..., n, v)
        Rows at each vertex, 0 without a value.
    present : ndarray of shape (n, v)
        1 where there is a value, else 0.
    levels : list of ndarray of int, shape (n,)
        Number of each row's participant, then of the side within.
    ratios : ndarray of shape (k, v)
        Variance of each level over the residual variance.

    Returns
    -------
    ndarray of shape (..., n, v)
    """
    direction = present
    for block, ratio in reversed(list(zip(levels, ratios))):  # sides first: participants are what is left
        values, direction = _take_out(values, direction, ratio, block)
    return values


def _chunks(vertices: np.ndarray) -> list[np.ndarray]:
    return [vertices[start : start + _CHUNK] for start in range(0, len(vertices), _CHUNK)]


def _store(fit: MixedFit, vertices: np.ndarray, state: State, added: np.ndarray, back: np.ndarray) -> None:
    fit.coefficients[:, vertices] += back @ state.shift.T
    fit.variance[vertices] = state.variance
    fit.ratios[vertices] = state.ratios
    inverse = back @ state.inverse
    fit.plain_covariance[vertices] = inverse @ back.T * state.variance[:, None, None]
    fit.covariance[vertices] = back @ (state.inverse + added) @ back.T * state.variance[:, None, None]
    # d(XᵀV⁻¹X)⁻¹/dλ = (XᵀV⁻¹X)⁻¹ XᵀV⁻¹ZZᵀV⁻¹X (XᵀV⁻¹X)⁻¹
    fit.sensitivity[:, vertices] = inverse @ state.sensitivity @ np.swapaxes(inverse, 1, 2)
    fit.information[vertices] = state.information


def check_repeats(design: Design) -> None:
    """Refuse a design in which no participant has more than one row."""
    if np.bincount(design.participants).max() < 2:
        raise StatisticsError(
            "No participant has more than one row, so the random effect is not estimable; use least squares."
        )


def _units(design: Design, sides: bool | None) -> tuple[np.ndarray, bool]:
    check_repeats(design)
    participants, table = design.participants, design.table
    if sides is False or (SIDE not in table and sides is None):
        return participants, False
    labels = np.unique(table.labels(SIDE) if SIDE in table else table.column(SIDE), return_inverse=True)[1]
    units = np.unique(participants * (labels.max() + 1) + labels, return_inverse=True)[1]
    distinguished = len(np.unique(units)) > len(np.unique(participants)) and np.bincount(units).max() > 1
    if sides and not distinguished:
        raise StatisticsError(
            "Sides cannot have a random effect of their own: that needs both sides of a participant, and a "
            "side at several visits. Leave it out; participants have one."
        )
    return (units, True) if distinguished else (participants, False)


def _take_out(
    values: np.ndarray, direction: np.ndarray, ratio: np.ndarray, block: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take one level of the random effects out: (I + λ z zᵀ)^(−½) of each block, z the `direction`."""
    order = np.argsort(block, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(block[order]) != 0))
    counts = np.diff(np.append(starts, len(block)))
    size = np.add.reduceat(direction[order] ** 2, starts, axis=0)
    along = np.add.reduceat((direction * values)[..., order, :], starts, axis=-2)
    shrink = 1.0 / np.sqrt(1.0 + ratio * size)
    share = np.divide(1.0 - shrink, size, out=np.zeros_like(size), where=size > 0)
    back = np.argsort(order, kind="stable")
    removed = direction * np.repeat(share * along, counts, axis=-2)[..., back, :]
    return values - removed, direction * np.repeat(shrink, counts, axis=0)[back]

"""The linear model by least squares, at all vertices at once.

Weights from the measurement's own standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import StatisticsError
from ..maps import Maps
from .contrast_map import ContrastMap
from .contrasts import Contrast, read_contrast
from .design import Design

_CHUNK = 4096  # vertices whose small systems are solved together; bounds the memory
_RANK_TOLERANCE = 1e-9
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Fit:
    """A linear model fitted at every vertex.

    Attributes
    ----------
    design : Design
        Of n rows and p columns.
    coefficients : ndarray of shape (p, v)
        Not-a-number where the model could not be fitted.
    residuals : ndarray of shape (n, v)
        Value minus expected value, not-a-number without a value.
    variance : ndarray of shape (v,)
        Residual variance (of a row of weight 1).
    dof : ndarray of shape (v,)
        Residual degrees of freedom: rows with a value minus columns.
    unscaled_covariance : ndarray of shape (p, p) or (v, p, p)
        (XᵀWX)⁻¹; one for all vertices if every row has a value everywhere and all weigh the same.
    weights : ndarray of shape (n, v) or (n, 1), optional
        As given; none if all rows weigh 1.
    """

    design: Design
    coefficients: np.ndarray
    residuals: np.ndarray
    variance: np.ndarray
    dof: np.ndarray
    unscaled_covariance: np.ndarray
    weights: np.ndarray | None = None

    @property
    def fitted(self) -> np.ndarray:
        """Whether the model could be fitted at a vertex and has a spread, shape (v,)."""
        return np.isfinite(self.variance) & (self.variance > 0)

    def test(self, contrast: Contrast | str, alternative: str = "two-sided") -> ContrastMap:
        """Answer a contrast at every vertex.

        Parameters
        ----------
        contrast : Contrast or str
            A question, or its words (see `contrasts.read_contrast`).
        alternative : str
            ``two-sided``, ``greater`` or ``less``.

        Returns
        -------
        ContrastMap
            t = cβ / (s √(c (XᵀWX)⁻¹ cᵀ)), or F for several rows.

        Raises
        ------
        StatisticsError
            If the design adjusts for the baseline by taking groups as equal there: least squares does not
            see that visits of one participant belong together, so it would not adjust.
        """
        if self.design.equal_at_reference and np.bincount(self.design.participants).max() > 1:
            raise StatisticsError(
                "This design adjusts for the baseline by taking groups as equal there, which only the mixed "
                "model can use; fit that, or add the group itself to the design."
            )
        contrast = read_contrast(self.design, contrast) if isinstance(contrast, str) else contrast
        covariance = self.covariance_of(contrast.matrix)
        return answer(contrast, alternative, self.coefficients, covariance, self.dof)

    def covariance_of(self, rows: np.ndarray) -> np.ndarray:
        """Covariance of the estimates rows @ β at every vertex, shape (v, q, q).

        Parameters
        ----------
        rows : ndarray of shape (q, p)
            Weights of the coefficients.
        """
        return rows @ self.unscaled_covariance @ rows.T * self.variance[:, None, None]

    def standardised_residuals(self) -> np.ndarray:
        """Residuals over the root of their weighted sum of squares: u = √w r / √Σ w r², shape (n, v).

        Rows without a value are 0, as are vertices without a fit: what random field theory needs to know
        how rough the maps are (Worsley 1999).
        """
        scale = np.sqrt(np.where(self.fitted, self.variance * self.dof, np.inf))
        rooted = 1.0 if self.weights is None else np.sqrt(self.weights)
        return np.nan_to_num(self.residuals * rooted, copy=False) / scale


def fit_least_squares(maps: Maps | np.ndarray, design: Design, weights: np.ndarray | None = None) -> Fit:
    """Fit the design at every vertex.

    Where rows have no value at a vertex, the model there is fitted to the rows that have one; where those
    do not separate all coefficients, or leave no degree of freedom, the vertex has no fit.

    Parameters
    ----------
    maps : Maps or ndarray of shape (n, v)
        One row a row of the design.
    design : Design
        Of n rows.
    weights : ndarray of shape (n,) or (n, v), optional
        Inverse variances up to a common factor, e.g. of `weighting.measurement_weights`; a row of weight 0
        does not count.

    Returns
    -------
    Fit

    Raises
    ------
    StatisticsError
        If the shapes do not fit, or a weight is negative or missing where there is a value.
    """
    values = maps.values if isinstance(maps, Maps) else np.asarray(maps)
    if values.ndim != 2 or len(values) != len(design.matrix):
        raise StatisticsError(
            f"The design has {len(design.matrix)} rows, but the maps have shape {values.shape}."
        )
    values = values.astype(np.float64, copy=False)
    present = np.isfinite(values)
    if weights is not None:
        weights = _checked_weights(weights, present)
    if weights is None and present.all():
        return _complete(values, design)
    return _with_gaps(values, design, present, weights)


def answer(
    contrast: Contrast, alternative: str, coefficients: np.ndarray, covariance: np.ndarray, dof: np.ndarray
) -> ContrastMap:
    """Make the contrast map of coefficients and of the covariance of the effects.

    Parameters
    ----------
    contrast : Contrast
        Of q rows.
    alternative : str
        See `ContrastMap`.
    coefficients : ndarray of shape (p, v)
        Of the model.
    covariance : ndarray of shape (v, q, q)
        Of the contrast's rows.
    dof : ndarray of shape (v,)
        For t, or for F's denominator.

    Returns
    -------
    ContrastMap
    """
    effect = contrast.matrix @ coefficients
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2).T)
    known = np.isfinite(effect).all(axis=0) & (error > 0).all(axis=0)
    effect = np.where(known, effect, np.nan)
    error = np.where(known, error, np.nan)
    if contrast.is_single:
        return ContrastMap(contrast, alternative, effect[0], error[0], effect[0] / error[0], dof)
    statistic = np.full(effect.shape[1], np.nan)
    solved = np.linalg.solve(covariance[known], effect.T[known][..., None])[..., 0]
    statistic[known] = np.einsum("vq,vq->v", effect.T[known], solved) / len(contrast.matrix)
    return ContrastMap(contrast, alternative, effect, error, statistic, dof)


def _complete(values: np.ndarray, design: Design) -> Fit:
    q, r = np.linalg.qr(design.matrix)
    projected = q.T @ values
    residuals = values - q @ projected
    inverse = np.linalg.inv(r)
    dof = float(len(values) - r.shape[1])
    left_over = np.einsum("nv,nv->v", residuals, residuals)
    variance = _with_spread(left_over / dof, np.einsum("pv,pv->v", projected, projected) + left_over)
    dofs = np.full(values.shape[1], dof)
    return Fit(design, inverse @ projected, residuals, variance, dofs, inverse @ inverse.T)


def _with_gaps(values: np.ndarray, design: Design, present: np.ndarray, weights: np.ndarray | None) -> Fit:
    """Solve the normal equations of every vertex in the orthonormal basis of the whole design.

    In that basis the matrix QᵀWQ of a vertex is near the identity, so the squaring costs no digits, and all
    of them come from one product of (v, n) weights with the (n, p²) products of columns.
    """
    q, r = np.linalg.qr(design.matrix)
    back = np.linalg.inv(r)
    n, p = q.shape
    count = values.shape[1]
    coefficients, covariance = np.full((p, count), np.nan), np.full((count, p, p), np.nan)
    products = (q[:, :, None] * q[:, None, :]).reshape(n, p * p)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        weight = present[:, part] * (
            1.0 if weights is None else weights[:, part if weights.shape[1] > 1 else slice(None)]
        )
        gram = (weight.T @ products).reshape(-1, p, p)
        inverse = _inverse(gram)
        right = (weight * np.where(present[:, part], values[:, part], 0.0)).T @ q
        coefficients[:, part] = back @ np.einsum("vpq,vq->pv", inverse, right)
        covariance[part] = back @ inverse @ back.T
    used = present if weights is None else present & (weights > 0)
    dof = used.sum(axis=0) - float(p)
    residuals = np.where(present, values - design.matrix @ coefficients, np.nan)
    squares = residuals**2 if weights is None else weights * residuals**2
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(dof > 0, np.nansum(squares, axis=0) / dof, np.nan)
    size = np.nansum(values**2, axis=0)
    variance = np.where(np.isfinite(coefficients[0]), _with_spread(variance, size), np.nan)
    return Fit(design, coefficients, residuals, variance, dof, covariance, weights)


def _with_spread(variance: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Take a variance that is only rounding as 0: equal values have no t, not a huge one.

    Parameters
    ----------
    variance : ndarray of shape (v,)
        Of the residuals.
    squares : ndarray of shape (v,)
        Sum of the squared values.
    """
    return np.where(variance <= _ROUNDING**2 * squares, 0.0, variance)


def _inverse(gram: np.ndarray) -> np.ndarray:
    """Inverses of symmetric matrices, not-a-number where a matrix has none, shape (v, p, p)."""
    values, vectors = np.linalg.eigh(gram)
    whole = values[:, 0] > _RANK_TOLERANCE * values[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = vectors / np.where(whole[:, None], values, np.nan)[:, None, :]
    return scaled @ np.swapaxes(vectors, 1, 2)


def _checked_weights(weights: np.ndarray, present: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights, dtype=np.float64)
    weights = weights[:, None] if weights.ndim == 1 else weights
    if weights.shape not in (present.shape, (len(present), 1)):
        raise StatisticsError(f"The weights have shape {weights.shape}, the maps {present.shape}.")
    wrong = ~(np.isfinite(weights) & (weights >= 0)) & present
    if wrong.any():
        raise StatisticsError(
            f"{int(wrong.sum())} values have no weight (negative or missing); "
            "is the measurement's own standard deviation known everywhere?"
        )
    return np.where(np.isfinite(weights), weights, 0.0)


_ITERATIONS = 25
_TOLERANCE = 1e-6


def measurement_weights(maps: Maps, design: Design) -> np.ndarray:
    """Weigh each value by the inverse of its whole variance: between people plus measurement.

    The variance between people τ² is that with which the weighted residual sum of squares is as large as its
    degrees of freedom (Paule and Mandel 1982, by the Newton steps of DerSimonian and Kacker 2007, eq. 13);
    where it is so without any, τ² is 0. Where people differ much more than the measurement errs, weights
    come out nearly equal, as they should.

    Parameters
    ----------
    maps : Maps
        With `sd`.
    design : Design
        Of its rows.

    Returns
    -------
    ndarray of shape (n, v)
        1 / (τ² + sd²), and 0 without a value.

    Raises
    ------
    StatisticsError
        If the maps have no standard deviations, or one is missing or not positive where there is a value.
    """
    if maps.sd is None:
        raise StatisticsError(
            "These maps have no standard deviations of their own, so they cannot weigh by them."
        )
    wrong = maps.measured & ~(maps.sd > 0)
    if wrong.any():
        rows = np.flatnonzero(wrong.any(axis=1))
        raise StatisticsError(
            f"The standard deviation is missing or not positive where there is a value, in "
            f"{maps.table.describe_rows(rows)}; map these again, or do not weigh."
        )
    squares = np.where(maps.measured, maps.sd, 1.0).astype(np.float64) ** 2
    between = np.zeros(squares.shape[1])
    moving = np.ones(len(between), dtype=bool)
    for _ in range(_ITERATIONS):
        step = _newton(maps.values[:, moving], design, squares[:, moving], between[moving])
        between[moving] += step
        moving[moving] = step > _TOLERANCE * (between[moving] + squares[:, moving].min(axis=0))
        if not moving.any():
            break
    return np.where(maps.measured, 1.0 / (between + squares), 0.0)


def _newton(values: np.ndarray, design: Design, squares: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Step towards the variance between people; from below, no step is too long."""
    weights = 1.0 / (between + squares)
    fit = fit_least_squares(values, design, weights)
    weighted = np.where(np.isfinite(fit.residuals), weights * fit.residuals, 0.0)
    too_much = (fit.variance - 1.0) * fit.dof
    step = too_much / np.maximum(np.sum(weighted**2, axis=0), np.finfo(float).tiny)
    return np.where(step > 0, step, 0.0)  # not where it is not-a-number

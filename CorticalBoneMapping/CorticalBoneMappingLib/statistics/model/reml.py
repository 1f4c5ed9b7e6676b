"""Restricted maximum likelihood of nested random intercepts, at many vertices at once.

The covariance of a vertex is σ² V with V = I + λ₁ Z₁Z₁ᵀ (+ λ₂ Z₂Z₂ᵀ); Z₁ marks which participant a row
belongs to, Z₂ which side of which participant. V⁻¹ differs from the identity only through sums over these
units, so all that is needed are sums over units and small matrices. σ² has a closed form given λ and is
profiled out (Bates, Mächler, Bolker, Walker 2015, eq. 41); λ is found by Newton steps with the average of
observed and expected information (Gilmour, Thompson, Cullis 1995).

What estimated variances do to standard errors when participants are few.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_LARGEST_RATIO = 1e8
_ITERATIONS = 200  # a few vertices begin beside a minimum of the likelihood and leave it slowly
_LONGEST_STEP = 2.0  # in log(1 + λ)
_DECREMENT = 1e-10  # expected gain in deviance below which a vertex is done
_FLOOR = 1e-300
_FIRST_RATIOS = (0.05, 100.0)


@dataclass(frozen=True)
class Sums:
    """The data of v vertices, as sums over units; the rows of x are in an orthonormal basis.

    Attributes
    ----------
    gram : ndarray of shape (v, p, p)
        xᵀx over the rows with a value.
    x : ndarray of shape (v, u, p)
        Sums of x over each unit.
    y : ndarray of shape (v, u)
        Sums of y over each unit, y being residuals of least squares (so that xᵀy = 0).
    squares : ndarray of shape (v,)
        yᵀy.
    size : ndarray of shape (v, u)
        Rows with a value in each unit.
    count : ndarray of shape (u,)
        Participants that a unit represents: all but one of them have sums of 0.
    starts : ndarray of int, shape (m,)
        First unit of each participant.
    nested : bool
        Whether units are sides within participants (else they are the participants).
    """

    gram: np.ndarray
    x: np.ndarray
    y: np.ndarray
    squares: np.ndarray
    size: np.ndarray
    count: np.ndarray
    starts: np.ndarray
    nested: bool

    def take(self, vertices: np.ndarray) -> Sums:
        """Give those of some vertices, by increasing indices."""
        if len(vertices) == len(self.y):
            return self
        names = ("gram", "x", "y", "squares", "size")
        return replace(self, **{name: getattr(self, name)[vertices] for name in names})

    @property
    def dof(self) -> np.ndarray:
        """Rows with a value minus columns, shape (v,)."""
        return self.size @ self.count - self.gram.shape[1]

    def per_participant(self, values: np.ndarray) -> np.ndarray:
        """Sum units (axis 1) over each participant."""
        return np.add.reduceat(values, self.starts, axis=1)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Give every unit its participant's value."""
        counts = np.diff(np.append(self.starts, self.size.shape[1]))
        return np.repeat(values, counts, axis=1)


@dataclass(frozen=True)
class State:
    """The likelihood of v vertices at some ratios, and its slopes.

    Attributes
    ----------
    ratios : ndarray of shape (v, k)
        λ: variance of participants (and of sides within them) over the residual variance.
    deviance : ndarray of shape (v,)
        −2 log REML likelihood with σ² profiled out, without constants.
    slope : ndarray of shape (v, k)
        Its derivative by λ.
    information : ndarray of shape (v, k + 1, k + 1)
        Average information of (log σ², λ) in the deviance; the covariance of the estimates is twice its
        inverse.
    shift : ndarray of shape (v, p)
        Coefficients to add to those of least squares.
    inverse : ndarray of shape (v, p, p)
        (XᵀV⁻¹X)⁻¹.
    sensitivity : ndarray of shape (k, v, p, p)
        XᵀV⁻¹ZZᵀV⁻¹X of each random effect.
    variance : ndarray of shape (v,)
        σ².
    """

    ratios: np.ndarray
    deviance: np.ndarray
    slope: np.ndarray
    information: np.ndarray
    shift: np.ndarray
    inverse: np.ndarray
    sensitivity: np.ndarray
    variance: np.ndarray

    def put(self, vertices: np.ndarray, other: State) -> None:
        """Overwrite some vertices with those of another state."""
        for name in vars(self):
            axis = (slice(None), vertices) if name == "sensitivity" else vertices
            getattr(self, name)[axis] = getattr(other, name)

    def take(self, vertices: np.ndarray) -> State:
        """Give those of some vertices."""
        return State(
            **{
                n: value[:, vertices] if n == "sensitivity" else value[vertices]
                for n, value in vars(self).items()
            }
        )


def maximise(sums: Sums) -> tuple[State, np.ndarray]:
    """Find the ratios of highest restricted likelihood.

    Parameters
    ----------
    sums : Sums
        Of v vertices.

    Returns
    -------
    state : State
        At the maximum; a ratio of 0 is on its bound.
    converged : ndarray of bool, shape (v,)
        Whether the steps came to rest there.
    """
    state = evaluate(sums, _start(sums))
    damping = np.zeros(len(sums.y))
    converged = np.zeros(len(sums.y), dtype=bool)
    for _ in range(_ITERATIONS):
        todo = np.flatnonzero(~converged)
        if len(todo) == 0:
            break
        now = state.take(todo)
        step, decrement = _newton(now, damping[todo])
        converged[todo[decrement < _DECREMENT]] = True
        moving = decrement >= _DECREMENT
        todo, now, step = todo[moving], now.take(moving), step[moving]
        if len(todo) == 0:
            break
        logs = np.clip(np.log1p(now.ratios) + step, 0.0, np.log1p(_LARGEST_RATIO))
        tried = evaluate(sums.take(todo), np.expm1(logs))
        better = tried.deviance <= now.deviance + 1e-11 * np.abs(now.deviance)
        state.put(todo[better], tried.take(better))
        damping[todo] = np.where(better, damping[todo] / 10.0, np.maximum(10.0 * damping[todo], 0.1))
    return state, converged


def _start(sums: Sums) -> np.ndarray:
    """Ratios to begin with, shape (v, k): mean squares between participants, between sides, and within."""
    levels = [(sums.count, sums.size, sums.y)]
    if sums.nested:
        wide = (sums.count[sums.starts], sums.per_participant(sums.size), sums.per_participant(sums.y))
        levels.insert(0, wide)
    rows = sums.size @ sums.count
    explained, groups = np.zeros(len(rows)), np.zeros(len(rows))  # by the wider levels
    mean_squares, rows_of_a_group = [], []
    for count, size, total in levels:
        between = np.sum(total**2 / np.maximum(size, 1.0), axis=1)
        number = (size > 0) @ count
        mean_squares.append((between - explained) / np.maximum(number - groups, 1.0))
        rows_of_a_group.append(rows / np.maximum(number, 1.0))
        explained, groups = between, number
    within = np.maximum((sums.squares - explained) / np.maximum(rows - groups, 1.0), _FLOOR)
    narrower = [*mean_squares[1:], within]
    ratios = [
        (wide - narrow) / (within * size)
        for wide, narrow, size in zip(mean_squares, narrower, rows_of_a_group)
    ]
    return np.clip(np.stack(ratios, axis=1), *_FIRST_RATIOS)


def evaluate(sums: Sums, ratios: np.ndarray) -> State:
    """Evaluate the restricted likelihood and its slopes.

    Parameters
    ----------
    sums : Sums
        Of v vertices.
    ratios : ndarray of shape (v, k)
        λ of participants, then of sides within them.

    Returns
    -------
    State
    """
    precision = InverseCovariance(sums, ratios)
    x = precision.outer(sums.x)  # sums of V⁻¹X over units
    gram = sums.gram + np.swapaxes(sums.x, 1, 2) @ precision.inner(sums.x)
    inverse = np.linalg.inv(gram)
    right = np.einsum("vup,vu->vp", sums.x, precision.inner(sums.y))
    shift = np.einsum("vpq,vq->vp", inverse, right)
    left_over = sums.squares + np.einsum("vu,vu->v", sums.y, precision.inner(sums.y))
    left_over = np.maximum(left_over - np.einsum("vp,vp->v", right, shift), _FLOOR)
    variance = left_over / sums.dof
    determinant = np.linalg.slogdet(gram)[1]
    deviance = sums.dof * np.log(variance) + precision.log_determinant + determinant
    error = precision.outer(sums.y - np.einsum("vup,vp->vu", sums.x, shift))  # sums of P y
    effects = [(x, error, error)]
    if sums.nested:
        wide = sums.per_participant(error)
        effects.insert(0, (sums.per_participant(x), wide, sums.spread(wide)))
    traces = precision.traces()
    sensitivity = np.stack([np.swapaxes(design, 1, 2) @ design for design, _, _ in effects])
    quadratic = np.stack([np.sum(part**2, axis=1) for _, part, _ in effects], axis=1) / variance[:, None]
    slope = traces - np.einsum("vpq,kvqp->vk", inverse, sensitivity) - quadratic
    pushed = [precision.outer(sums.size * spread) for _, _, spread in effects]
    onto = [np.einsum("vup,vu->vp", x, spread) for _, _, spread in effects]
    k = len(effects)
    information = np.empty((len(ratios), k + 1, k + 1))
    information[:, 0, 0] = sums.dof
    information[:, 0, 1:] = information[:, 1:, 0] = quadratic
    for a in range(k):
        for b in range(k):
            whole = np.einsum("vu,vu->v", effects[a][2], pushed[b])
            fixed = np.einsum("vp,vpq,vq->v", onto[a], inverse, onto[b], optimize=True)
            information[:, 1 + a, 1 + b] = (whole - fixed) / variance
    return State(ratios, deviance, slope, information, shift, inverse, sensitivity, variance)


class InverseCovariance:
    """V⁻¹ = I + U M Uᵀ, U marking which unit a row belongs to (Woodbury, once per level)."""

    def __init__(self, sums: Sums, ratios: np.ndarray) -> None:
        self._sums = sums
        self._ratio = ratios[:, -1:]  # of the units
        self._shrink = 1.0 / (1.0 + sums.size * self._ratio)
        self.log_determinant = -np.log(self._shrink) @ sums.count
        if sums.nested:
            self._weight = sums.per_participant(sums.size * self._shrink)
            self._outer_ratio = ratios[:, :1]
            wide = 1.0 + self._outer_ratio * self._weight
            self.log_determinant = self.log_determinant + np.log(wide) @ sums.count[sums.starts]
            self._factor = self._outer_ratio / wide

    def inner(self, values: np.ndarray) -> np.ndarray:
        """M times sums over units."""
        shrink, ratio = _like(self._shrink, values), _like(self._ratio, values)
        if not self._sums.nested:
            return -ratio * shrink * values
        shared = _like(self._factor, values) * self._sums.per_participant(shrink * values)
        return -shrink * (ratio * values + self._sums.spread(shared))

    def outer(self, values: np.ndarray) -> np.ndarray:
        """Sums over units of V⁻¹ z, from those of z."""
        shrink = _like(self._shrink, values)
        if not self._sums.nested:
            return shrink * values
        shared = _like(self._factor, values) * self._sums.per_participant(shrink * values)
        return shrink * (values - _like(self._sums.size, values) * self._sums.spread(shared))

    def traces(self) -> np.ndarray:
        """Trace of ZᵀV⁻¹Z of each random effect, shape (v, k)."""
        part = self._sums.size * self._shrink
        if not self._sums.nested:
            return (part @ self._sums.count)[:, None]
        wide = self._weight / (1.0 + self._outer_ratio * self._weight) @ self._sums.count[self._sums.starts]
        side = part * (1.0 - self._sums.spread(self._factor) * part) @ self._sums.count
        return np.stack([wide, side], axis=1)


def _like(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    return values[..., None] if other.ndim > values.ndim else values


def _newton(state: State, damping: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Step in log(1 + λ), in which the likelihood is nearer to a parabola, and the gain expected of it."""
    stretch = 1.0 + state.ratios
    slope = state.slope * stretch
    crossed = state.information[:, 0, 1:]
    curvature = state.information[:, 1:, 1:] - (
        crossed[:, :, None] * crossed[:, None, :] / state.information[:, 0, 0][:, None, None]
    )
    curvature = curvature * stretch[:, :, None] * stretch[:, None, :]
    held = (state.ratios <= 0) & (slope >= 0)  # on the bound, and pushed against it
    slope = np.where(held, 0.0, slope)
    curvature = np.where(held[:, :, None] | held[:, None, :], 0.0, curvature)
    diagonal = np.einsum("vkk->vk", curvature)
    index = np.arange(diagonal.shape[1])
    curvature[:, index, index] = diagonal * (1.0 + damping[:, None]) + 1e-12 + np.where(held, 1.0, 0.0)
    step = -np.linalg.solve(curvature, slope[..., None])[..., 0]
    decrement = -np.einsum("vk,vk->v", step, slope)
    return np.clip(step, -_LONGEST_STEP, _LONGEST_STEP), decrement


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
    precision = InverseCovariance(sums, state.ratios)
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

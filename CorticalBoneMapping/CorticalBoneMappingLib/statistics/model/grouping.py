"""Sums of rows over participants and sides, in as few numbers as hold all information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .reml import Sums

_RANK_TOLERANCE = 1e-10


class Grouping:
    """Sums over units (participants, or their sides) of the rows of maps.

    Parameters
    ----------
    basis : ndarray of shape (n, p)
        Orthonormal columns that span the design's.
    units : ndarray of int, shape (n,)
        Finest unit of each row.
    participants : ndarray of int, shape (n,)
        Participant of each row.
    nested : bool
        Whether units are sides within participants.
    """

    def __init__(self, basis: np.ndarray, units: np.ndarray, participants: np.ndarray, nested: bool) -> None:
        # The larger side first, so that participants of equal structure look alike.
        self._order = np.lexsort((units, -np.bincount(units)[units], participants))
        self._basis = basis[self._order]
        self._starts = _beginnings(units[self._order])
        self._first_units = _beginnings(participants[self._order][self._starts])
        self._nested = nested
        self._alike = self._structures()

    def sums(self, residuals: np.ndarray) -> Sums:
        """Sum the residuals of least squares of some vertices, shape (n, v).

        Either all rows have a value at all of them, which makes few numbers suffice, or they are taken one
        by one.
        """
        y = residuals[self._order].T
        present = np.isfinite(y)
        if present.all():
            return self._whole(y)
        y = np.where(present, y, 0.0)
        shown = present[:, :, None] * self._basis
        size = np.add.reduceat(present.astype(np.float64), self._starts, axis=1)
        return Sums(
            np.swapaxes(shown, 1, 2) @ shown,
            np.add.reduceat(shown, self._starts, axis=1),
            np.add.reduceat(y, self._starts, axis=1),
            np.einsum("vn,vn->v", y, y),
            size,
            np.ones(size.shape[1]),
            self._first_units,
            self._nested,
        )

    def _whole(self, y: np.ndarray) -> Sums:
        """Sums where nothing is missing: participants of equal structure may be rotated into each other.

        V treats them alike, so that any orthogonal mixture of them has the same likelihood. One mixture has
        the whole of the design in as many participants as its rank, and the rest of y in one (or, with two
        sides, two) without any design; the others are empty and only counted.
        """
        sums = np.add.reduceat(y, self._starts, axis=1)
        xs, ys, sizes, counts = [], [], [], []
        for alike in self._alike:
            mixed, count = alike.mix(sums[:, alike.units])
            xs.append(alike.x.reshape(-1, alike.x.shape[2]))
            ys.append(mixed.reshape(len(y), -1))
            sizes.append(np.tile(alike.sizes, len(alike.x)))
            counts.append(np.repeat(count, len(alike.sizes)))
        widths = np.concatenate([np.full(len(alike.x), len(alike.sizes)) for alike in self._alike])
        firsts = np.concatenate([[0], np.cumsum(widths)[:-1]])
        x, size, n = np.concatenate(xs), np.concatenate(sizes), len(y)
        return Sums(
            np.broadcast_to(np.eye(x.shape[1]), (n, x.shape[1], x.shape[1])),
            np.broadcast_to(x, (n, *x.shape)),
            np.concatenate(ys, axis=1),
            np.einsum("vn,vn->v", y, y),
            np.broadcast_to(size, (n, len(size))),
            np.concatenate(counts),
            firsts,
            self._nested,
        )

    def _structures(self) -> list[_Alike]:
        sizes = np.diff(np.append(self._starts, len(self._basis)))
        x = np.add.reduceat(self._basis, self._starts, axis=0)
        kinds: dict[tuple[int, ...], list[np.ndarray]] = {}
        for units in np.split(np.arange(len(sizes)), self._first_units[1:]):
            kinds.setdefault(tuple(sizes[units]), []).append(units)
        return [_Alike.of(np.array(kind), np.array(units), x) for kind, units in kinds.items()]


@dataclass(frozen=True)
class _Alike:
    """Participants with the same number of rows in each unit.

    Attributes
    ----------
    sizes : ndarray of shape (j,)
        Rows of each unit of one of them.
    units : ndarray of int, shape (m, j)
        Units of each of the m.
    rotation : ndarray of shape (m, r)
        Orthonormal mixtures that hold all of x.
    x : ndarray of shape (r + j, j, p)
        Sums of x of the mixtures, nought in the last j.
    """

    sizes: np.ndarray
    units: np.ndarray
    rotation: np.ndarray
    x: np.ndarray

    @classmethod
    def of(cls, sizes: np.ndarray, units: np.ndarray, x: np.ndarray) -> _Alike:
        """Find the mixtures."""
        m, j = units.shape
        flat = x[units].reshape(m, -1)
        left, strength, _ = np.linalg.svd(flat, full_matrices=False)
        rotation = left[:, strength > _RANK_TOLERANCE * max(strength[0], 1e-300)]
        mixed = (rotation.T @ flat).reshape(-1, j, x.shape[1])
        return cls(sizes, units, rotation, np.concatenate([mixed, np.zeros((j, j, x.shape[1]))]))

    def mix(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mix sums of y, shape (v, m, j), into (v, r + j, j); give how many participants each represents."""
        m, j = self.units.shape
        held = np.einsum("mr,vmj->vrj", self.rotation, y, optimize=True)
        rest = y - np.einsum("mr,vrj->vmj", self.rotation, held, optimize=True)
        count = np.ones(len(self.x))
        # The rest is j mixtures at most; they represent all that are left, none of which holds any x.
        count[-j:] = 0.0
        count[-j] = m - self.rotation.shape[1]
        return np.concatenate([held, _triangle(np.einsum("vmi,vmj->vij", rest, rest))], axis=1), count


def _triangle(products: np.ndarray) -> np.ndarray:
    """Upper triangular rows whose products are the given ones, shape (v, j, j); noughts stay noughts."""
    rows = np.zeros_like(products)
    left = products.copy()
    for k in range(products.shape[1]):
        root = np.sqrt(np.maximum(left[:, k, k], 0.0))
        rows[:, k] = np.divide(
            left[:, k], root[:, None], out=np.zeros_like(left[:, k]), where=root[:, None] > 0
        )
        left -= rows[:, k, :, None] * rows[:, k, None, :]
    return rows


def _beginnings(sorted_labels: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.append(True, np.diff(sorted_labels) != 0))

"""What may be exchanged under the null: rows, rows within a participant, whole participants, or signs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial, prod

import numpy as np

from ...core.errors import StatisticsError
from ..model.design import Design
from ..table import SIDE, VISIT

HOW = ("permute", "flip")


@dataclass(frozen=True)
class Exchange:
    """What the null hypothesis leaves exchangeable.

    Attributes
    ----------
    how : str
        ``permute``: the errors may be exchanged. ``flip``: they are independent and symmetric around 0, so
        their signs may be; this is what tests a mean, or the mean of differences.
    blocks : ndarray of shape (n,), optional
        Exchangeability block of each row, such as the participant; without, each row is for itself.
    whole : bool
        Whether blocks are exchanged (or flipped) as wholes, as for an effect between participants with
        several visits or hips; else rows are exchanged within their block only, as for an effect of visit.
    slots : ndarray of shape (n,), optional
        What a row is within its block, such as visit and side. Whole blocks are exchanged slot by slot, and
        only with blocks that have the same slots; without, rows count in their order.
    """

    how: str = "permute"
    blocks: np.ndarray | None = None
    whole: bool = False
    slots: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise StatisticsError(f"Unknown exchange of rows '{self.how}'; choose one of {', '.join(HOW)}.")
        if self.whole and self.blocks is None:
            raise StatisticsError("Whole blocks can only be exchanged where the blocks are given.")

    @property
    def is_within(self) -> bool:
        """Whether rows are exchanged within blocks only."""
        return self.how == "permute" and self.blocks is not None and not self.whole

    def in_words(self) -> str:
        """Say it for a methods section."""
        verb = "signs flipped" if self.how == "flip" else "permuted"
        if self.blocks is None:
            return f"rows {verb}"
        count = len(np.unique(self.blocks))
        if self.whole:
            return f"{count} blocks {verb} as wholes"
        return f"rows {verb}" if self.how == "flip" else f"rows permuted within {count} blocks"


def exchange_of(design: Design, contrast: np.ndarray) -> Exchange:
    """Return what the null hypothesis of a contrast leaves exchangeable.

    Where every row is another participant, rows are. Otherwise an effect between participants (each term
    that it weighs holds a column that never changes within a participant, such as the arm) exchanges whole
    participants, visit by visit and side by side; an effect within them exchanges their own rows.

    Parameters
    ----------
    design : Design
        Of the model.
    contrast : ndarray of shape (q, p)
        The question.

    Returns
    -------
    Exchange
    """
    blocks = design.participants
    if len(np.unique(blocks)) == len(blocks):
        return Exchange()
    asked = [
        coding
        for coding, columns in zip(design.codings, list(design.terms.values())[1:])
        if np.any(contrast[:, columns])
    ]
    between = bool(asked) and all(
        any(_constant_within(factor.code(design.table), blocks) for factor in coding) for coding in asked
    )
    if not between:
        return Exchange(blocks=blocks)
    names = [name for name in (VISIT, SIDE) if name in design.table]
    slots = [" ".join(row) for row in zip(*(design.table.labels(name) for name in names))]
    return Exchange(blocks=blocks, whole=True, slots=np.array(slots) if slots else None)


def _constant_within(values: np.ndarray, blocks: np.ndarray) -> bool:
    """Whether rows of one block have the same values."""
    _, first, member = np.unique(blocks, return_index=True, return_inverse=True)
    return bool(np.array_equal(values, values[first][member]))


@dataclass(frozen=True)
class Shuffles:
    """Rearrangements of the rows; the first leaves all as it is.

    Attributes
    ----------
    source : ndarray of shape (m, n)
        From which row each row takes its error, int32.
    sign : ndarray of shape (m, n)
        1 or −1, int8.
    exhaustive : bool
        Whether these are all that differ, rather than a sample.
    """

    source: np.ndarray
    sign: np.ndarray
    exhaustive: bool

    def __len__(self) -> int:
        return len(self.source)


def draw_shuffles(exchange: Exchange, design: np.ndarray, n_permutations: int, seed: int) -> Shuffles:
    """Draw rearrangements, or list all of them if they are fewer than requested.

    Parameters
    ----------
    exchange : Exchange
        What may be exchanged.
    design : ndarray of shape (n, p)
        Rearrangements between rows of the same design are the same.
    n_permutations : int
        Number of random ones, beside the one that leaves all as it is.
    seed : int
        Of the random numbers.

    Returns
    -------
    Shuffles

    Raises
    ------
    StatisticsError
        If blocks or slots are not one a row, or nothing that may be exchanged differs in the design.
    """
    sets = _exchangeable_sets(exchange, len(design))
    random = np.random.default_rng(seed)
    draw = _flips if exchange.how == "flip" else _permutations
    return draw(sets, design, n_permutations, random)


def _exchangeable_sets(exchange: Exchange, n_rows: int) -> list[np.ndarray]:
    """Sets within which items may be exchanged; an item is one or more rows, shape (n_items, n_rows_each)."""
    rows = np.arange(n_rows)
    if exchange.blocks is None:
        return [rows[:, None]]
    blocks = _one_a_row(exchange.blocks, n_rows, "blocks")
    slots = None if exchange.slots is None else _one_a_row(exchange.slots, n_rows, "slots")
    members = [rows[blocks == block] for block in np.unique(blocks)]
    if not exchange.whole:
        return [member[:, None] for member in members]
    if slots is not None:
        members = [member[np.argsort(slots[member], kind="stable")] for member in members]
    alike: dict[tuple, list[np.ndarray]] = {}
    for member in members:
        key = (len(member),) if slots is None else tuple(slots[member].tolist())
        alike.setdefault(key, []).append(member)
    return [np.stack(items) for items in alike.values()]


def _one_a_row(labels: np.ndarray, n_rows: int, name: str) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (n_rows,):
        raise StatisticsError(f"There are {n_rows} rows, but the {name} have shape {labels.shape}.")
    return labels


def _flips(
    sets: list[np.ndarray], design: np.ndarray, n_permutations: int, random: np.random.Generator
) -> Shuffles:
    n_rows, n_items = len(design), sum(len(items) for items in sets)
    item_of = np.empty(n_rows, dtype=np.int64)
    start = 0
    for items in sets:
        item_of[items] = start + np.arange(len(items))[:, None]
        start += len(items)
    exhaustive = n_items < 63 and 2**n_items <= n_permutations + 1
    if exhaustive:
        is_flipped = (np.arange(2**n_items)[:, None] >> np.arange(n_items)) & 1
    else:
        is_flipped = random.integers(0, 2, (n_permutations + 1, n_items))
        is_flipped[0] = 0
    sign = (1 - 2 * is_flipped).astype(np.int8)[:, item_of]
    source = np.broadcast_to(np.arange(n_rows, dtype=np.int32), sign.shape)
    return Shuffles(source, sign, exhaustive)


def _permutations(
    sets: list[np.ndarray], design: np.ndarray, n_permutations: int, random: np.random.Generator
) -> Shuffles:
    labels = [_labels(design, items) for items in sets]
    count = prod(_n_arrangements(label) for label in labels)
    if count == 1:
        raise StatisticsError(
            "Nothing that may be exchanged differs in the design, so there is nothing to compare with. "
            "Exchange whole blocks for an effect between participants, rows within blocks for one between "
            "visits, and flip signs to test a mean."
        )
    exhaustive = count <= n_permutations + 1
    n_shuffles = count if exhaustive else n_permutations + 1
    source = np.tile(np.arange(len(design), dtype=np.int32), (n_shuffles, 1))
    if exhaustive:
        listed = itertools.product(*(list(_arrangements(label)) for label in labels))
        for row, orders in enumerate(listed):
            for items, order in zip(sets, orders):
                source[row, items] = items[order]
    else:
        for items in sets:
            shuffled = random.permuted(np.tile(np.arange(len(items)), (n_permutations, 1)), axis=1)
            source[1:, items] = items[shuffled]
    return Shuffles(source, np.ones(source.shape, dtype=np.int8), exhaustive)


def _labels(design: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Number items so that those with the same rows of the design have the same number."""
    rows = design[items].reshape(len(items), -1)
    return np.unique(rows, axis=0, return_inverse=True)[1].ravel()


def _n_arrangements(labels: np.ndarray) -> int:
    return factorial(len(labels)) // prod(factorial(int(count)) for count in np.bincount(labels))


def _arrangements(labels: np.ndarray) -> Iterator[np.ndarray]:
    """Orders of the items that bring a different set of items to each label; the given one first."""
    places = np.argsort(labels, kind="stable")
    for arrangement in _different_orders(labels.tolist()):
        order = np.empty(len(labels), dtype=np.int64)
        order[places] = np.argsort(arrangement, kind="stable")
        yield order


def _different_orders(labels: list[int]) -> Iterator[list[int]]:
    if not labels:
        yield []
        return
    for first in dict.fromkeys(labels):  # each label once, the first one first
        rest = labels.copy()
        rest.remove(first)
        for others in _different_orders(rest):
            yield [first, *others]

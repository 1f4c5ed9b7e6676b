"""The design of a linear model, built from named columns of a table."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from ...core.errors import StatisticsError
from ...io.numbers import number_of
from ..table import PARTICIPANT, SIDE, VISIT, Table, is_numeric, sorted_levels
from .collinearity import explain_dependence, near_collinearity

INTERCEPT = "intercept"
_LEVELS = {VISIT, SIDE, PARTICIPANT}


@dataclass(frozen=True)
class Categorical:
    """A column of levels; its effects are differences from `reference` (default: the first level)."""

    column: str
    reference: str | None = None


@dataclass(frozen=True)
class Continuous:
    """A column of numbers, centred by default at its mean over participants' rows."""

    column: str
    centred: bool = True


@dataclass(frozen=True)
class Interaction:
    """The products of two or more terms: whether the effect of one depends on the others."""

    factors: tuple[Categorical | Continuous, ...]


Term = Categorical | Continuous | Interaction


@dataclass(frozen=True)
class Factor:
    """A column as the design codes it.

    Attributes
    ----------
    column : str
        Its name.
    levels : tuple of str
        Of a categorical one, the reference first; empty for a continuous one.
    centre : float
        What was taken from a continuous one.
    """

    column: str
    levels: tuple[str, ...] = ()
    centre: float = 0.0

    @property
    def names(self) -> list[str]:
        """Names of its columns in the matrix."""
        return [f"{self.column} {level}" for level in self.levels[1:]] if self.levels else [self.column]

    def code(self, table: Table) -> np.ndarray:
        """Give its columns of the matrix, shape (n, number of names)."""
        if not self.levels:
            return table.numbers(self.column)[:, None] - self.centre
        return (table.labels(self.column)[:, None] == np.array(self.levels[1:])).astype(np.float64)

    def at(self, setting: Mapping[str, str | float]) -> np.ndarray:
        """Give its row of the matrix at a level or value; by default at the mean of all levels."""
        if self.column not in setting:
            return np.full(len(self.names), 1.0 / len(self.levels)) if self.levels else np.zeros(1)
        if not self.levels:
            return np.array([self._number(setting[self.column]) - self.centre])
        if str(setting[self.column]) not in self.levels:
            raise StatisticsError(
                f"'{self.column}' has no level '{setting[self.column]}'; it has {', '.join(self.levels)}."
            )
        return np.array([float(level == str(setting[self.column])) for level in self.levels[1:]])

    def _number(self, value: str | float) -> float:
        number = number_of(value) if isinstance(value, str) else float(value)
        if number is None:
            raise StatisticsError(f"'{value}' is not a number, which '{self.column}' needs.")
        return number


@dataclass(frozen=True)
class Design:
    """The matrix of a linear model and what its rows and columns mean.

    Attributes
    ----------
    matrix : ndarray of shape (n, p)
        float64, of full column rank.
    columns : tuple of str
        Names of its columns; the first is the intercept.
    terms : dict of str to slice
        Columns of each term, by its name (``arm``, ``visit × arm``).
    codings : tuple of tuple of Factor
        Of each term after the intercept, in the order of `terms`.
    table : Table
        The n rows.
    participants : ndarray of int, shape (n,)
        Number of each row's participant, from 0: the block within which observations belong together.
    warnings : tuple of str
        What a reader of the results should know about the design.
    """

    matrix: np.ndarray
    columns: tuple[str, ...]
    terms: dict[str, slice]
    codings: tuple[tuple[Factor, ...], ...]
    table: Table
    participants: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def factors(self) -> dict[str, Factor]:
        """Every column of the table that the design uses, by name."""
        return {factor.column: factor for coding in self.codings for factor in coding}

    @property
    def equal_at_reference(self) -> list[tuple[str, str, str]]:
        """Columns whose levels are taken as equal where another column is at its reference.

        Each as (column, other column, reference): an interaction is in the design with the effect of the
        other column, but without that of the column itself.
        """
        return [
            (column.column, other.column, other.levels[0])
            for coding in self.codings
            if len(coding) == 2
            for column, other in (coding, coding[::-1])
            if column.column not in self.terms
            and other.column in self.terms
            and column.levels
            and other.levels
        ]

    def at(self, setting: Mapping[str, str | float]) -> np.ndarray:
        """Weights of the coefficients in the expected value at some levels and values.

        Parameters
        ----------
        setting : mapping of str to str or float
            Column to level or value. Categorical columns that are not given are averaged over their levels
            with equal weights, continuous ones are at their mean: the marginal mean of Searle, Speed,
            Milliken 1980 (*Am Stat* 34:216).

        Returns
        -------
        ndarray of shape (p,)
        """
        unknown = [name for name in setting if name not in self.factors]
        if unknown:
            raise StatisticsError(f"The design has no '{unknown[0]}'; it has {', '.join(self.factors)}.")
        parts = [reduce(_product_row, (factor.at(setting) for factor in coding)) for coding in self.codings]
        return np.concatenate([np.ones(1), *parts])


def build_design(table: Table, terms: Sequence[Term]) -> Design:
    """Build the design of an intercept and the named terms.

    Parameters
    ----------
    table : Table
        Rows of the study. Without a column ``participant`` every row is a participant of its own.
    terms : sequence of Term
        An interaction without one of its main effects is meant so: ``visit`` and ``visit × arm`` without
        ``arm`` takes the arms as equal at the reference visit (constrained longitudinal analysis, Liang and
        Zeger 2000).

    Returns
    -------
    Design

    Raises
    ------
    StatisticsError
        If a row appears twice, a covariate is missing in a row, a categorical column has one level only, or
        the columns depend on each other; the text names them and what to do.

    Examples
    --------
    >>> table = Table.of({"arm": ["drug", "placebo"] * 2, "age": [60, 62, 64, 70]})
    >>> build_design(table, [Categorical("arm", "placebo"), Continuous("age")]).columns
    ('intercept', 'arm drug', 'age')
    """
    table.refuse_duplicates()
    codings = [
        tuple(_factor(part, table) for part in (term.factors if isinstance(term, Interaction) else (term,)))
        for term in terms
    ]
    columns, blocks, slices = [INTERCEPT], [np.ones((len(table), 1))], {INTERCEPT: slice(0, 1)}
    for coding in codings:
        block = reduce(_product, (factor.code(table) for factor in coding))
        names = reduce(_product_names, (factor.names for factor in coding))
        name = " × ".join(factor.column for factor in coding)
        if name in slices:
            raise StatisticsError(f"The term '{name}' appears twice in the design; name it once.")
        slices[name] = slice(len(columns), len(columns) + len(names))
        columns += names
        blocks.append(block)
    matrix = np.concatenate(blocks, axis=1)
    trouble = explain_dependence(matrix, columns, table)
    if trouble:
        raise StatisticsError(trouble)
    participants = _participants(table)
    design = Design(matrix, tuple(columns), slices, tuple(codings), table, participants)
    warnings = [
        *_small_groups(codings, table, participants),
        *near_collinearity(matrix, columns),
        *(
            f"Every {column} is taken as equal at {other} {reference}: the design has no '{column}' alone."
            for column, other, reference in design.equal_at_reference
        ),
    ]
    return replace(design, warnings=tuple(warnings))


def read_terms(
    texts: Sequence[str],
    table: Table,
    categorical: Collection[str] = (),
    reference: Mapping[str, str] | None = None,
) -> list[Term]:
    """Read terms from words: ``arm``, ``age``, ``visit × arm`` (or with ``*`` or ``:``).

    Text, visit, side and participant are levels, other numbers are continuous.

    Parameters
    ----------
    texts : sequence of str
        The terms.
    table : Table
        Whose columns they name.
    categorical : collection of str
        Columns of numbers that are levels all the same.
    reference : mapping of str to str, optional
        Level of a categorical column with which the others are compared; else the first.

    Returns
    -------
    list of Term

    Raises
    ------
    StatisticsError
        If the table lacks a column.

    Examples
    --------
    >>> table = Table.of({"visit": [0, 36], "age": [60, 62]})
    >>> read_terms(["visit", "age"], table, reference={"visit": "0"})
    [Categorical(column='visit', reference='0'), Continuous(column='age', centred=True)]
    """
    reference = reference or {}

    def main_effect(name: str) -> Categorical | Continuous:
        levels = name in _LEVELS or name in categorical or not is_numeric(table.column(name))
        return Categorical(name, reference.get(name)) if levels else Continuous(name)

    terms: list[Term] = []
    for text in texts:
        factors = tuple(main_effect(name) for name in re.split(r"\s*[×*:]\s*", text.strip()))
        terms.append(factors[0] if len(factors) == 1 else Interaction(factors))
    return terms


def _factor(term: Categorical | Continuous, table: Table) -> Factor:
    rows = np.flatnonzero(table.missing(term.column))
    if len(rows):
        raise StatisticsError(
            f"'{term.column}' is missing in {table.describe_rows(rows)}; fill it in, leave these rows out, "
            "or leave the term out."
        )
    if isinstance(term, Continuous):
        values = table.numbers(term.column)
        return Factor(term.column, centre=float(values.mean()) if term.centred else 0.0)
    levels = sorted_levels(table.labels(term.column))
    reference = levels[0] if term.reference is None else str(term.reference)
    if reference not in levels:
        raise StatisticsError(
            f"The reference '{reference}' does not occur in column '{term.column}'; "
            f"its levels are {', '.join(levels)}."
        )
    if len(levels) < 2:
        raise StatisticsError(
            f"Every row has '{term.column}' {levels[0]}: nothing to compare; leave the term out, or add rows."
        )
    return Factor(term.column, (reference, *(level for level in levels if level != reference)))


def _participants(table: Table) -> np.ndarray:
    if PARTICIPANT not in table:
        return np.arange(len(table))
    rows = np.flatnonzero(table.missing(PARTICIPANT))
    if len(rows):
        raise StatisticsError(f"{table.describe_rows(rows)}: no participant is named; name them.")
    return np.unique(table.labels(PARTICIPANT), return_inverse=True)[1]


def _small_groups(codings: list[tuple[Factor, ...]], table: Table, participants: np.ndarray) -> list[str]:
    warnings = []
    for factor in {factor.column: factor for coding in codings for factor in coding}.values():
        for level in factor.levels:
            inside = table.labels(factor.column) == level
            if len(np.unique(participants[inside])) == 1:
                warnings.append(
                    f"Only one participant ({table.describe(int(np.flatnonzero(inside)[0]))}) has "
                    f"{factor.column} '{level}': its spread is taken from the other groups, and one unusual "
                    "person decides the effect."
                )
    return warnings


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)


def _product_row(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.outer(first, second).ravel()


def _product_names(first: list[str], second: list[str]) -> list[str]:
    return [f"{a} × {b}" for a in first for b in second]

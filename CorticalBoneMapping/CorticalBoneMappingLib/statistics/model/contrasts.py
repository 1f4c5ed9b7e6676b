"""Contrasts: questions to a model, in words and as weights of its coefficients."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ...core.errors import StatisticsError
from .design import Design, Factor

_MINUS = re.compile(r"\s+(?:−|–|-|minus|versus|vs\.?)\s+")
_FORMS = (
    "'denosumab − placebo', 'denosumab − placebo at visit 36', 'visit 36 − visit 0 at arm placebo', "
    "'denosumab − placebo in the change from visit 0 to visit 36', 'slope of age', 'mean at visit 0', "
    "'any difference in arm', 'interaction of visit and arm'"
)


@dataclass(frozen=True)
class Contrast:
    """A question to a model.

    Attributes
    ----------
    name : str
        In words.
    matrix : ndarray of shape (q, p)
        Weights of the p coefficients; one row asks for an effect (t), several ask whether any of them is
        there (F).
    reference : ndarray of shape (p,), optional
        Weights of the expected value against which the effect is given in percent, if it has one: of
        ``denosumab − placebo at visit 36``, the mean of placebo at visit 36.
    compared : tuple of str, optional
        Column and the two levels of a comparison: ``("arm", "denosumab", "placebo")``.
    """

    name: str
    matrix: np.ndarray
    reference: np.ndarray | None = None
    compared: tuple[str, str, str] | None = None

    @property
    def is_single(self) -> bool:
        """Whether it is one effect (t) rather than several (F)."""
        return len(self.matrix) == 1


def read_contrast(design: Design, text: str) -> Contrast:
    """Read a contrast from words.

    Parameters
    ----------
    design : Design
        Whose columns and levels the words name.
    text : str
        ``A − B`` for two levels of a column, each with the column's name before it if it is not clear
        without; then ``at <column> <level>``, more joined by ``and``; ``A − B in the change from <column>
        <level> to <column> <level>``; ``slope of <continuous column>``; ``mean``; ``any difference in
        <column>``; ``interaction of <column> and <column>``. ``, adjusted for …`` at the end is checked:
        those columns must be in the design (``baseline`` is in a design that takes the arms as equal there,
        see `build_design`). Columns that are not named are averaged, see `Design.at`.

    Returns
    -------
    Contrast

    Raises
    ------
    StatisticsError
        If the words do not fit the design.

    Examples
    --------
    >>> from CorticalBoneMappingLib.statistics.model.design import build_design, read_terms
    >>> from CorticalBoneMappingLib.statistics.table import Table
    >>> table = Table.of({"arm": ["drug", "placebo"] * 2, "age": [60, 62, 64, 70]})
    >>> design = build_design(table, read_terms(["arm", "age"], table))
    >>> read_contrast(design, "drug − placebo").matrix.tolist()
    [[0.0, -1.0, 0.0]]
    """
    question, _, adjusted = text.partition(", adjusted for ")
    _check_adjusted(design, adjusted)
    question = question.strip()
    interaction = re.fullmatch(r"interaction of (.+) and (.+)", question)
    if interaction:
        return Contrast(text, _interaction(design, *interaction.groups()))
    question, change = _cut(question, r"\s+in the change from (.+) to (.+)")
    question, place = _cut(question, r"\s*\bat (.+)")
    setting = _setting(design, place[0]) if place else {}
    any_difference = re.fullmatch(r"any difference in (.+)", question)
    if any_difference:
        factor = _categorical(design, any_difference[1], text)
        rows = [
            _difference(design, factor.column, level, factor.levels[0], setting)
            for level in factor.levels[1:]
        ]
        return Contrast(text, np.stack(rows))
    slope = re.fullmatch(r"slope of (.+)", question)
    if slope:
        return Contrast(text, _slope(design, slope[1], setting)[None])
    if question == "mean":
        return Contrast(text, design.at(setting)[None])
    return _comparison(design, text, question, setting, change)


def _comparison(
    design: Design, text: str, question: str, setting: dict[str, str], change: tuple[str, ...] | None
) -> Contrast:
    sides = _MINUS.split(question)
    if len(sides) != 2:
        raise StatisticsError(f"The contrast '{text}' is not understood; write it like {_FORMS}.")
    (column, high), (other, low) = (_level(design, side, text) for side in sides)
    if column != other:
        raise StatisticsError(
            f"'{text}' compares a {column} with a {other}; compare two levels of one column."
        )
    if change is None:
        row = _difference(design, column, high, low, setting)
        return Contrast(text, row[None], design.at(setting | {column: low}), (column, high, low))
    start, stop = (dict([_level(design, when, text)]) for when in change)
    row = _difference(design, column, high, low, setting | stop)
    row = row - _difference(design, column, high, low, setting | start)
    return Contrast(text, row[None], design.at(setting | start | {column: low}), (column, high, low))


def _cut(question: str, pattern: str) -> tuple[str, tuple[str, ...] | None]:
    found = re.search(pattern + "$", question)
    return (question[: found.start()], found.groups()) if found else (question, None)


def _difference(design: Design, column: str, high: str, low: str, setting: dict[str, str]) -> np.ndarray:
    return design.at(setting | {column: high}) - design.at(setting | {column: low})


def _slope(design: Design, column: str, setting: dict[str, str]) -> np.ndarray:
    factor = design.factors.get(column)
    if factor is None or factor.levels:
        continuous = [name for name, one in design.factors.items() if not one.levels]
        raise StatisticsError(
            f"The design has no continuous column '{column}'; it has {', '.join(continuous) or 'none'}."
        )
    at_zero, at_one = ({column: factor.centre + step} for step in (0.0, 1.0))
    return design.at(setting | at_one) - design.at(setting | at_zero)


def _interaction(design: Design, first: str, second: str) -> np.ndarray:
    for name in (f"{first} × {second}", f"{second} × {first}"):
        if name in design.terms:
            return np.eye(len(design.columns))[design.terms[name]]
    raise StatisticsError(
        f"The design has no interaction of '{first}' and '{second}'; its terms are {', '.join(design.terms)}."
    )


def _setting(design: Design, place: str) -> dict[str, str]:
    return dict(_level(design, part.strip(), place) for part in re.split(r"\s+and\s+|,", place))


def _level(design: Design, words: str, text: str) -> tuple[str, str]:
    """Column and level that some words name: ``visit 36``, ``36`` or, if only one has it, ``month 36``."""
    words = words.strip()
    for column, factor in design.factors.items():
        if words.startswith(column + " "):
            level = words.removeprefix(column).strip()
            if level in factor.levels or not factor.levels:
                return column, level
    for level in (words, words.rpartition(" ")[2]):
        having = [column for column, factor in design.factors.items() if level in factor.levels]
        if len(having) == 1:
            return having[0], level
        if having:
            raise StatisticsError(
                f"'{level}' in '{text}' is a level of {' and of '.join(having)}; write '{having[0]} {level}'."
            )
    levels = "; ".join(f"{name}: {', '.join(f.levels)}" for name, f in design.factors.items() if f.levels)
    raise StatisticsError(
        f"'{words}' in '{text}' is not a level of the design, which has {levels or 'none'}."
    )


def _categorical(design: Design, column: str, text: str) -> Factor:
    factor = design.factors.get(column)
    if factor is None or not factor.levels:
        raise StatisticsError(f"'{column}' in '{text}' is not a categorical column of the design.")
    return factor


def _check_adjusted(design: Design, adjusted: str) -> None:
    for name in filter(None, re.split(r"\s*,\s*|\s+and\s+", adjusted.strip())):
        if name not in design.factors and not (name == "baseline" and design.equal_at_reference):
            raise StatisticsError(
                f"The contrast is to be adjusted for '{name}', but the design has no such term; "
                f"it has {', '.join(design.factors)}."
            )

"""Check the questions of a study on its table, without any map; add size and shape of the femurs to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import CorticalBoneMappingError, SettingError, StatisticsError
from ...pipeline.result import PROVENANCE_FILE
from ...statistics.maps import Maps
from ...statistics.model.contrast_map import check_direction
from ...statistics.model.contrasts import read_contrast
from ...statistics.model.mixed_model import check_repeats
from ...statistics.table import PATH, Table, sorted_levels
from .fit_and_test import endpoints_of, rows_and_design
from .further_tests import check_further_tests

if TYPE_CHECKING:
    from ..study_file.analyses import Analysis
    from ..study_file.study_toml import Coding, StudyFile

COLUMNS = "[columns]"
_SHOWN = 5  # faults in one message
SIZE = "femur size"
_SHAPE = re.compile(r"femur shape (\d+)")


def faults_of_questions(
    study: StudyFile, table: Table, analyses: Iterable[Analysis] | None = None
) -> Iterator[tuple[str, str]]:
    """Find what is wrong with the words of a study file: terms, contrasts, references, visits, endpoints.

    Parameters
    ----------
    study : StudyFile
    table : Table
        A row a femur; one without a ``path`` has no map.
    analyses : iterable of Analysis, optional
        By default all of the study's.

    Yields
    ------
    where : str
        Name of the analysis, or `COLUMNS`.
    sentence : str
        The wrong word, and what there is.
    """
    yield from ((COLUMNS, sentence) for sentence in _faults_of_columns(study.coding, table))
    for analysis in study.analyses if analyses is None else analyses:
        try:
            check_question(study.coding, table, analysis)
        except CorticalBoneMappingError as error:
            yield analysis.name, str(error)


def refuse_wrong_questions(
    study: StudyFile, table: Table, analyses: Iterable[Analysis] | None = None
) -> None:
    """Refuse a study with a question that does not fit its table; see `faults_of_questions`.

    Raises
    ------
    SettingError
        Naming the analyses, the wrong words and what there is.
    """
    faults = [
        f"  {where}: {sentence}" if where == COLUMNS else f"  analysis '{where}': {sentence}"
        for where, sentence in faults_of_questions(study, table, analyses)
    ]
    if faults:
        more = [f"  and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        listed = "\n".join([*faults[:_SHOWN], *more])
        raise SettingError(
            f"{study.source}: correct the questions first, or take them out for now:\n{listed}"
        )


def check_question(coding: Coding, table: Table, analysis: Analysis) -> None:
    """Build the design of an analysis and read its contrast, as if each row with a path had a map.

    Raises
    ------
    CorticalBoneMappingError
        As the analysis itself would, which only reads the maps first.
    """
    # Size and shape are in the maps' records, unread here; independent columns of numbers represent them.
    rng = np.random.default_rng(1)
    shapes = shape_columns(table, analysis.terms)
    table = table.with_columns({name: rng.normal(size=len(table)) for name in shapes})
    there = ~table.missing(PATH)
    if not there.any():
        raise StatisticsError("No row of the table has a result; fill in its column 'path'.")
    _ask(Maps(np.where(there, 1.0, np.nan)[:, None], table), analysis, coding)
    if analysis.endpoints:
        _ask(*endpoints_of(table, analysis), coding)


def _ask(maps: Maps, analysis: Analysis, coding: Coding) -> None:
    _, design = rows_and_design(maps, analysis, coding)
    if analysis.model == "mixed":
        check_repeats(design)
    for text in (analysis.contrast, *analysis.conjunction):
        check_direction(read_contrast(design, text), analysis.alternative)
    check_further_tests(design, analysis)


def _faults_of_columns(coding: Coding, table: Table) -> Iterator[str]:
    for name in coding.levels:
        if name not in table:
            yield f"the table has no column '{name}'; it has {', '.join(table.columns)}."
    for name, level in coding.reference.items():
        if name in table and level not in (levels := sorted_levels(table.labels(name))):
            yield f"the reference '{level}' does not occur in '{name}'; its levels are {', '.join(levels)}."


def with_shape(table: Table, results: Path, terms: tuple[str, ...]) -> Table:
    """Add the columns ``femur size`` and ``femur shape 1``, 2 … that some terms name.

    Where bones of different shape are registered to one average, a misfit that goes with shape can look like
    an effect; shape as covariate takes it out (Gee and Treece 2014, Gee, Treece and Poole 2018).

    Parameters
    ----------
    table : Table
        With a column ``path``.
    results : Path
        What its paths are relative to.
    terms : tuple of str
        Of an analysis.

    Returns
    -------
    Table
        Size in shares of the average femur's, shapes in standard deviations of the atlas' population;
        missing where the row has no result.

    Raises
    ------
    StatisticsError
        If a record lacks such a number, names the row; or if a shape is not among the few modes that explain
        enough of how people differ to be offered (`ShapeModel.n_covariates`).
    """
    asked = shape_columns(table, terms)
    if not asked:
        return table
    rows = [_of_row(table, row, results, asked) for row in range(len(table))]
    columns = {name: np.array([row[name] for row in rows]) for name in asked}
    return table.with_columns(columns)


def shape_columns(table: Table, terms: tuple[str, ...]) -> list[str]:
    """Return the names of size and shape that some terms hold and the table does not."""
    asked = {name for term in terms for name in re.split(r"\s*[×*:]\s*", term.strip())}
    return sorted(name for name in asked if name not in table and (name == SIZE or _SHAPE.fullmatch(name)))


def _of_row(table: Table, row: int, results: Path, asked: list[str]) -> dict[str, float]:
    path = table.labels(PATH)[row]
    if not path:
        return dict.fromkeys(asked, float("nan"))
    try:
        record = json.loads((results / path / PROVENANCE_FILE).read_text(encoding="utf-8"))["shape"]
        _refuse_modes_not_offered(record, asked)
        return {name: _number(record, name) for name in asked}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise StatisticsError(
            f"{table.describe(row)}: the record of its map lacks '{asked[-1]}'; map this scan again with "
            "an atlas that has a shape model."
        ) from error


def _refuse_modes_not_offered(record: dict, asked: list[str]) -> None:
    """Refuse modes that explain next to nothing; records before the shares were written offer all."""
    shares = record.get("explained")
    for name in asked:
        if shares is None or name == SIZE or _mode(name) <= len(shares):
            continue
        offered = ", ".join(f"femur shape {mode} ({share:.0%})" for mode, share in enumerate(shares, start=1))
        raise StatisticsError(
            f"'{name}' explains too little of how femurs differ to be a covariate. Those of this atlas, with "
            f"the share that each explains: {offered or 'none'}. 'cbm atlas show' says what they mean."
        )


def _mode(name: str) -> int:
    return int(_SHAPE.fullmatch(name)[1])


def _number(record: dict, name: str) -> float:
    if name == SIZE:
        return float(record["size"])
    return float(record["coordinates"][_mode(name) - 1])

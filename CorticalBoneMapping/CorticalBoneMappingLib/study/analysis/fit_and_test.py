"""Fit the model of an analysis and test its question: at every vertex, in clusters, regions, endpoints."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from ...anatomy.regions import CUT_END, region_names_of
from ...core.errors import StatisticsError
from ...core.progress import Progress
from ...statistics.inference.correction import CorrectedTests, Correction, correct_for_vertices
from ...statistics.maps import Maps, scalars
from ...statistics.model.contrast_map import ContrastMap
from ...statistics.model.design import Design, build_design
from ...statistics.model.effects import Model, PercentEffect, percent_effect
from ...statistics.study_fit import fit_model
from ...statistics.table import SIDE, Table
from ..study_file.analyses import Analysis
from ..study_file.study_toml import Coding
from .collect import outcome_of, parse_terms, rows_of_hips


@dataclass(frozen=True)
class Fitted:
    """A model of one set of maps, and its answer.

    Attributes
    ----------
    maps : Maps
        The rows that the model was fitted to.
    model : Fit or MixedFit
    answered : ContrastMap
        The question at every vertex, region or endpoint.
    percent : PercentEffect or None
        Where the question compares values with a reference.
    """

    maps: Maps
    model: Model
    answered: ContrastMap
    percent: PercentEffect | None

    @property
    def design(self) -> Design:
        """Of the model."""
        return self.model.design


def fit_analysis(maps: Maps, analysis: Analysis, coding: Coding, progress: Progress | None = None) -> Fitted:
    """Fit the model of an analysis to maps, regional means or endpoints, and ask its question.

    Parameters
    ----------
    maps : Maps
        All rows of the study; those without any value are left out.
    analysis : Analysis
        Which model, question, hips and outcome.
    coding : Coding
        Of the table's columns.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    Fitted

    Raises
    ------
    StatisticsError
        If design or question do not fit the table.
    """
    rows, design = rows_and_design(maps, analysis, coding)
    weigh = analysis.weights == "measurement" and rows.surface is not None
    model = fit_model(rows, design, analysis.model, weigh=weigh, progress=progress)
    answered = model.test(analysis.contrast, analysis.alternative)
    percent = None
    if analysis.outcome == "value" and answered.is_t and answered.contrast.reference is not None:
        percent = percent_effect(model, answered.contrast, analysis.alternative)
    return Fitted(rows, model, answered, percent)


def rows_and_design(maps: Maps, analysis: Analysis, coding: Coding) -> tuple[Maps, Design]:
    """Return the rows that the model of an analysis is fitted to, and its design; see `fit_analysis`."""
    rows = outcome_of(rows_of_hips(maps, analysis.hips), analysis.outcome, analysis.baseline)
    rows = rows.take(rows.measured.any(axis=1))  # a missed visit has no value, and perhaps no covariate
    if not len(rows.table):
        raise StatisticsError("No row of the table has a value for this question.")
    return rows, build_design(rows.table, parse_terms(analysis.terms, rows.table, coding))


def endpoints_of(table: Table, analysis: Analysis) -> tuple[Maps, Analysis]:
    """Return endpoints as maps, and their analysis: a blood test is not measured once a hip."""
    terms = tuple(term for term in analysis.terms if SIDE not in term)
    return scalars(table, list(analysis.endpoints)), replace(
        analysis, hips="mean", terms=terms, equivalence_margin_percent=None, conjunction=()
    )


def corrected_tests(
    fitted: Fitted, analysis: Analysis, executor: Executor | None = None, progress: Progress | None = None
) -> CorrectedTests:
    """Correct the answer for the many vertices, as the analysis asks.

    Parameters
    ----------
    fitted : Fitted
        On the average femur.
    analysis : Analysis
        Which correction.
    executor : Executor, optional
        For permutations; numbers do not depend on it.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    CorrectedTests
    """
    correction = Correction(
        analysis.correction, analysis.alpha, analysis.cluster_p, analysis.permutations, analysis.seed
    )
    return correct_for_vertices(
        fitted.maps, fitted.model, fitted.answered, correction, executor=executor, progress=progress
    )


def region_names(maps: Maps) -> dict[int, str]:
    """Give the regions that the average femur of the maps has, without the cut end."""
    present = set(np.unique(maps.surface.arrays["region"]).tolist()) - {CUT_END}
    return {number: name for number, name in region_names_of(maps.surface).items() if number in present}

"""Fit the model of an analysis and test its question: at every vertex, in clusters, regions, endpoints."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from ...anatomy.regions import CUT_END, region_names_of
from ...core.errors import StatisticsError
from ...core.progress import Progress
from ...statistics.inference.clusters import CorrectedTest
from ...statistics.inference.exchange import Exchange
from ...statistics.inference.false_discovery import false_discovery_test
from ...statistics.inference.permutation import PermutationSettings, permutation_tests
from ...statistics.inference.random_field import random_field_clusters, random_field_peaks
from ...statistics.inference.smoothness import Smoothness, estimate_smoothness
from ...statistics.maps import Maps, scalars
from ...statistics.model.contrast_map import ContrastMap
from ...statistics.model.design import Design, build_design
from ...statistics.model.effects import Model, PercentEffect, percent_effect
from ...statistics.model.least_squares import fit_least_squares, measurement_weights
from ...statistics.model.mixed_model import fit_mixed_model
from ...statistics.model.participant_errors import with_participant_errors
from ...statistics.table import SIDE, VISIT, Table
from ..study_file.analyses import BY_PERMUTATION, Analysis
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


@dataclass(frozen=True)
class CorrectedTests:
    """The test at every vertex, corrected for the many vertices.

    Attributes
    ----------
    peaks, clusters : CorrectedTest
        Family-wise, of each vertex and of each cluster.
    discovery : CorrectedTest
        False discovery rate.
    smoothness : Smoothness
        Of the residuals.
    decides : str
        Which of them marks what is significant: the correction that the analysis asks for.
    """

    peaks: CorrectedTest
    clusters: CorrectedTest
    discovery: CorrectedTest
    smoothness: Smoothness
    decides: str

    @property
    def deciding(self) -> CorrectedTest:
        """The test that marks what is significant."""
        return self.discovery if self.decides == "false-discovery-rate" else self.peaks


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
    if analysis.model == "mixed":
        model: Model = with_participant_errors(fit_mixed_model(rows, design, progress=progress))
    else:
        weigh = analysis.weights == "measurement" and rows.surface is not None
        model = fit_least_squares(rows, design, measurement_weights(rows, design) if weigh else None)
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
    surface, answered = fitted.maps.surface, fitted.answered
    inside = surface.arrays["region"] != CUT_END
    smoothness = estimate_smoothness(surface, fitted.model.standardised_residuals(), inside)
    shared = {"alpha": analysis.alpha}
    if analysis.correction in BY_PERMUTATION:
        peaks, clusters = _by_permutation(fitted, analysis, inside, executor, progress)
    else:
        peaks = random_field_peaks(answered, smoothness, **shared)
        clusters = random_field_clusters(
            surface, answered, smoothness, cluster_forming_p=analysis.cluster_p, **shared
        )
    discovery = false_discovery_test(_only(answered, inside), **shared)
    return CorrectedTests(peaks, clusters, discovery, smoothness, analysis.correction)


def region_names(maps: Maps) -> dict[int, str]:
    """Give the regions that the average femur of the maps has, without the cut end."""
    present = set(np.unique(maps.surface.arrays["region"]).tolist()) - {CUT_END}
    return {number: name for number, name in region_names_of(maps.surface).items() if number in present}


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


def _by_permutation(
    fitted: Fitted,
    analysis: Analysis,
    inside: np.ndarray,
    executor: Executor | None,
    progress: Progress | None,
) -> tuple[CorrectedTest, CorrectedTest]:
    peaks = "TFCE" if analysis.correction == "TFCE" else "peak"
    settings = PermutationSettings(
        methods=(peaks, "cluster extent"),
        n_permutations=analysis.permutations,
        seed=analysis.seed,
        cluster_forming_p=analysis.cluster_p,
        alpha=analysis.alpha,
    )
    contrast = fitted.answered.contrast.matrix
    found = permutation_tests(
        fitted.maps.surface,
        fitted.maps.values.astype(np.float64),
        fitted.design.matrix,
        contrast,
        exchange_of(fitted.design, contrast),
        settings,
        alternative=analysis.alternative,
        tested=inside,
        executor=executor,
        progress=progress,
    )
    return found[peaks], found["cluster extent"]


def _constant_within(values: np.ndarray, blocks: np.ndarray) -> bool:
    """Whether rows of one block have the same values."""
    _, first, member = np.unique(blocks, return_index=True, return_inverse=True)
    return bool(np.array_equal(values, values[first][member]))


def _only(answered: ContrastMap, inside: np.ndarray) -> ContrastMap:
    return replace(answered, statistic=np.where(inside, answered.statistic, np.nan))

"""What can be chosen in the statistics panel, with the words that a user reads; needs Slicer."""

from __future__ import annotations

import os
from pathlib import Path

from ..measures import MEASURES
from ..study.group.plan import Analysis, StudyPlan
from ..study.group.shown import VIEWS
from ..study.trial.scans import ScanPlan
from .choices import Labelled
from .trial_cases import trial_plan

ANALYSIS_NAME = "analysis"
"""The panel asks one question at a time; its answer stands in this folder of the output folder."""

AskedMeasure = Labelled(
    "AskedMeasure",
    {
        name.upper(): (name, measure.label)
        for name, measure in MEASURES.items()
        if not measure.is_uncertainty and name != "fit_residual"
    },
)
"""Measures that a study can be asked of."""


class Model(Labelled):
    """What is random; the values are `plan.MODELS`."""

    MIXED = "mixed", "Mixed: several rows per participant"
    LEAST_SQUARES = "least-squares", "Least squares: one row each"


class Hips(Labelled):
    """Which rows; the values are `plan.HIPS`."""

    BOTH = "both", "Both, as rows"
    MEAN = "mean", "Mean of both"
    LEFT = "left", "Left only"
    RIGHT = "right", "Right only"


class Correction(Labelled):
    """How significance is corrected for many vertices; the values are `plan.CORRECTIONS`."""

    RANDOM_FIELD = "random-field", "Random field theory"
    PERMUTATION = "permutation", "Permutation"
    TFCE = "TFCE", "Permutation, TFCE"
    FALSE_DISCOVERY_RATE = "false-discovery-rate", "False discovery rate"


class Alternative(Labelled):
    """Direction of the test; the values are `contrast_map.ALTERNATIVES`."""

    TWO_SIDED = "two-sided", "Two-sided"
    GREATER = "greater", "One-sided: greater"
    LESS = "less", "One-sided: less"


ShownView = Labelled("ShownView", {view.upper(): (view, label) for view, label in VIEWS.items()})
"""Views of an answer."""


def is_set(path: Path) -> bool:
    """Whether a path was chosen; Slicer keeps one that was not as the current folder."""
    return str(path) not in ("", os.curdir)


def study_plan(parameters) -> StudyPlan:
    """Give what was chosen in the panel, its parameter node, as the library takes it.

    Raises
    ------
    SettingError
        If a choice is out of its bounds, or no term is ticked.
    """
    analysis = Analysis(
        name=ANALYSIS_NAME,
        contrast=parameters.contrast,
        terms=terms_of(parameters.terms),
        measure=parameters.measure.value,
        model=parameters.model.value,
        hips=parameters.hips.value,
        alternative=parameters.alternative.value,
        correction=parameters.correction.value,
        smoothing_fwhm_mm=parameters.smoothing,
        permutations=round(parameters.permutations),
    )
    table, scans = Path(parameters.tableFile), scans_behind(parameters)
    return StudyPlan(table.stem, table, Path(parameters.resultsFolder), {}, (), (analysis,), "", scans)


def scans_behind(parameters) -> ScanPlan | None:
    """Give how the scans of the chosen table are mapped; None where it names folders of maps.

    Raises
    ------
    CorticalBoneMappingError
        If the study file cannot be read.
    """
    if not is_set(parameters.studyFile):
        return None
    plan = trial_plan(parameters.studyFile)
    return plan.scans if plan.table.resolve() == Path(parameters.tableFile).resolve() else None


def terms_of(text: str) -> tuple[str, ...]:
    """Split the terms as the parameter node keeps them."""
    return tuple(term for term in text.split("; ") if term)

"""What can be chosen in the statistics panel, with the words that a user reads; needs Slicer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import slicer.util

from ...core.measures import MEASURES
from ...study.analysis.shown import VIEWS
from ...study.study_file import Analysis, StudyFile, read_study_file
from .choices import Labelled, is_set

ANALYSIS_NAME = "analysis"
"""Name of a question that is no analysis of a study file; its answer goes to a folder of this name."""

AskedMeasure = Labelled(
    "AskedMeasure",
    {name.upper(): (name, measure.label) for name, measure in MEASURES.items() if not measure.is_uncertainty},
)
"""Measures that a study can be asked of."""


class Model(Labelled):
    """What is random; the values are `analyses.MODELS`."""

    MIXED = "mixed", "Mixed: several rows per participant"
    LEAST_SQUARES = "least-squares", "Least squares: one row each"


class Hips(Labelled):
    """Which rows; the values are `analyses.HIPS`."""

    BOTH = "both", "Both, as rows"
    MEAN = "mean", "Mean of both"
    LEFT = "left", "Left only"
    RIGHT = "right", "Right only"


class Correction(Labelled):
    """How significance is corrected for many vertices; the values are `analyses.CORRECTIONS`."""

    RANDOM_FIELD = "random-field", "Random field theory"
    PERMUTATION = "permutation", "Permutation"
    TFCE = "TFCE", "Permutation, TFCE"
    FALSE_DISCOVERY_RATE = "false-discovery-rate", "False discovery rate"


class Alternative(Labelled):
    """Direction of the test; the values are `contrast_map.ALTERNATIVES`."""

    TWO_SIDED = "two-sided", "Two-sided"
    GREATER = "greater", "One-sided: greater"
    LESS = "less", "One-sided: less"


_TERMS_APART = "; "
_CHOICES = {
    "measure": AskedMeasure,
    "hips": Hips,
    "model": Model,
    "alternative": Alternative,
    "correction": Correction,
}
"""Fields of an analysis that are combo boxes, each named as its parameter."""

SHOWN = ("name", "contrast", "terms", "smoothing_fwhm_mm", "permutations", *_CHOICES)
"""Fields of an analysis that the panel shows; all others are those of the study file, or their defaults."""

ShownView = Labelled("ShownView", {view.upper(): (view, label) for view, label in VIEWS.items()})
"""Views of an answer."""


def study_plan(parameters) -> StudyFile:
    """Give what was chosen in the panel, its parameter node, as the library takes it.

    What the study file says and the panel does not show holds as well: reference levels, categorical columns,
    how scans are mapped, and all settings of the analysis that the question began with.

    Returns
    -------
    StudyFile
        With one analysis. It has the name of the study file's own where nothing in it was changed, else
        `ANALYSIS_NAME`.

    Raises
    ------
    CorticalBoneMappingError
        If a choice is out of its bounds, no term is ticked, or the study file cannot be read.
    """
    plan = plan_of_table(parameters)
    begun_with = asked_analysis(parameters, plan)
    choices = {
        "contrast": parameters.contrast,
        "terms": terms_of(parameters.terms),
        "smoothing_fwhm_mm": parameters.smoothing,
        "permutations": round(parameters.permutations),
    } | {name: getattr(parameters, name).value for name in _CHOICES}
    if begun_with is None:
        analysis = Analysis(name=ANALYSIS_NAME, **choices)
    else:
        analysis = replace(begun_with, **choices)
        analysis = analysis if analysis == begun_with else replace(analysis, name=ANALYSIS_NAME)
    return replace(plan, analyses=(analysis,))


def plan_of_table(parameters) -> StudyFile:
    """Give the study that the chosen table belongs to, its maps in the chosen folder.

    Returns
    -------
    StudyFile
        As the study file says it, where one is chosen and its table is the chosen one; otherwise one that
        says nothing but where table and maps are.

    Raises
    ------
    CorticalBoneMappingError
        If the study file cannot be read.
    """
    table, results = Path(parameters.tableFile), Path(parameters.resultsFolder)
    if is_set(parameters.studyFile):
        plan = read_study_file(parameters.studyFile, needs_analysis=False)
        if plan.table.resolve() == table.resolve():
            return replace(plan, results=results)
    return StudyFile(table.stem, table, results)


def asked_analysis(parameters, plan: StudyFile) -> Analysis | None:
    """Give the analysis of the study file that the question began with; None for one of the user's own."""
    return next((one for one in plan.analyses if one.name == parameters.question), None)


def choose_study(parameters, plan: StudyFile) -> None:
    """Let the panel show a study file that was chosen: its table, its maps, its first analysis if any."""
    with slicer.util.NodeModify(parameters.parameterNode):
        parameters.takenStudy = str(parameters.studyFile)
        parameters.tableFile, parameters.resultsFolder = plan.table, plan.results
        parameters.question = parameters.terms = parameters.contrast = ""
        if plan.analyses:
            choose_analysis(parameters, plan.analyses[0])


def choose_analysis(parameters, analysis: Analysis) -> None:
    """Let the panel show an analysis of a study file."""
    with slicer.util.NodeModify(parameters.parameterNode):
        parameters.question = analysis.name
        parameters.contrast, parameters.terms = analysis.contrast, _TERMS_APART.join(analysis.terms)
        parameters.smoothing = analysis.smoothing_fwhm_mm
        parameters.permutations = float(analysis.permutations)
        for name, kind in _CHOICES.items():
            setattr(parameters, name, kind(getattr(analysis, name)))


def terms_of(text: str) -> tuple[str, ...]:
    """Split the terms as the parameter node keeps them."""
    return tuple(term for term in text.split(_TERMS_APART) if term)

"""Choices of the statistics panel with their labels, and the study file that they make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import slicer.util

from ...core.measures import MEASURES
from ...study.analysis.shown import VIEWS
from ...study.study_file import Analysis, StudyFile, read_study_file
from .choices import Labelled, is_set

ANALYSIS_NAME = "analysis"
"""Name of an analysis that the study file does not have, and of its folder of results."""

AskedMeasure = Labelled(
    "AskedMeasure",
    {name.upper(): (name, measure.label) for name, measure in MEASURES.items() if not measure.is_uncertainty},
)
"""Measures that can be analysed."""


class ModelChoice(Labelled):
    """Statistical model; the values are `analyses.MODELS`."""

    MIXED = "mixed", "Mixed: repeated scans or both hips"
    LEAST_SQUARES = "least-squares", "Least squares: one row per participant"


class Hips(Labelled):
    """Hips that are analysed; the values are `analyses.HIPS`."""

    BOTH = "both", "Both, one row each"
    MEAN = "mean", "Mean of both"
    LEFT = "left", "Left only"
    RIGHT = "right", "Right only"


class Correction(Labelled):
    """Correction for multiple comparisons; the values are `analyses.CORRECTIONS`."""

    RANDOM_FIELD = "random-field", "Random field theory"
    PERMUTATION = "permutation", "Permutation"
    TFCE = "TFCE", "Permutation with TFCE"
    FALSE_DISCOVERY_RATE = "false-discovery-rate", "False discovery rate"


class Alternative(Labelled):
    """Alternative hypothesis; the values are `contrast_map.ALTERNATIVES`."""

    TWO_SIDED = "two-sided", "Two-sided"
    GREATER = "greater", "One-sided: greater"
    LESS = "less", "One-sided: less"


_SEPARATOR = "; "
_CHOICES = {
    "measure": AskedMeasure,
    "hips": Hips,
    "model": ModelChoice,
    "alternative": Alternative,
    "correction": Correction,
}
"""Fields of an analysis that are combo boxes, each named as its parameter."""

SHOWN = ("name", "contrast", "terms", "smoothing_fwhm_mm", "permutations", *_CHOICES)
"""Fields of an analysis that the panel shows; the others come from the study file or are defaults."""

ShownView = Labelled("ShownView", {view.upper(): (view, label) for view, label in VIEWS.items()})
"""Views of a result."""


def study_plan(parameters) -> StudyFile:
    """Return the study and the analysis that the parameter node of the panel holds.

    What the panel does not show comes from the study file: reference levels, categorical columns, how scans
    are mapped, and all other settings of the analysis that was chosen.

    Returns
    -------
    StudyFile
        With one analysis. It keeps its name in the study file if nothing in it was changed; else it is
        `ANALYSIS_NAME`.

    Raises
    ------
    CorticalBoneMappingError
        If a choice is out of its bounds, no term is ticked, or the study file could not be read.
    """
    plan = plan_of_table(parameters)
    chosen = chosen_analysis(parameters, plan)
    choices = {
        "contrast": parameters.contrast,
        "terms": terms_of(parameters.terms),
        "smoothing_fwhm_mm": parameters.smoothing,
        "permutations": round(parameters.permutations),
    } | {name: getattr(parameters, name).value for name in _CHOICES}
    if chosen is None:
        analysis = Analysis(name=ANALYSIS_NAME, **choices)
    else:
        analysis = replace(chosen, **choices)
        analysis = analysis if analysis == chosen else replace(analysis, name=ANALYSIS_NAME)
    return replace(plan, analyses=(analysis,))


def plan_of_table(parameters) -> StudyFile:
    """Return the study of the chosen table, with its maps in the chosen folder.

    Returns
    -------
    StudyFile
        That of the study file if its table is the chosen one; else one with table and maps only.

    Raises
    ------
    CorticalBoneMappingError
        If the study file could not be read.
    """
    table, results = Path(parameters.tableFile), Path(parameters.resultsFolder)
    if is_set(parameters.studyFile):
        plan = read_study_file(parameters.studyFile, needs_analysis=False)
        if plan.table.resolve() == table.resolve():
            return replace(plan, results=results)
    return StudyFile(table.stem, table, results)


def chosen_analysis(parameters, plan: StudyFile) -> Analysis | None:
    """Return the chosen analysis of the study file; None for one of the user's own."""
    return next((one for one in plan.analyses if one.name == parameters.question), None)


def choose_study(parameters, plan: StudyFile) -> None:
    """Copy a study file into the panel: table, folder of maps, and the first analysis if any."""
    with slicer.util.NodeModify(parameters.parameterNode):
        parameters.takenStudy = str(parameters.studyFile)
        parameters.tableFile, parameters.resultsFolder = plan.table, plan.results
        parameters.question = parameters.terms = parameters.contrast = ""
        if plan.analyses:
            choose_analysis(parameters, plan.analyses[0])


def choose_analysis(parameters, analysis: Analysis) -> None:
    """Copy an analysis of a study file into the panel."""
    with slicer.util.NodeModify(parameters.parameterNode):
        parameters.question = analysis.name
        parameters.contrast, parameters.terms = analysis.contrast, _SEPARATOR.join(analysis.terms)
        parameters.smoothing = analysis.smoothing_fwhm_mm
        parameters.permutations = float(analysis.permutations)
        for name, kind in _CHOICES.items():
            setattr(parameters, name, kind(getattr(analysis, name)))


def terms_of(text: str) -> tuple[str, ...]:
    """Split the text that the parameter node holds into terms."""
    return tuple(term for term in text.split(_SEPARATOR) if term)

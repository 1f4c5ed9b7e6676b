"""The methods of a study in words, made of the settings that were used, with the references they call for."""

from __future__ import annotations

from collections.abc import Sequence

from .answers import Answer
from .markup import Html, element, join, table
from .references import cited
from .wording import MISSING, between, listed, number

_HIPS = {
    "both": "both hips as maps of their own",
    "mean": "averaged over both hips",
    "left": "of the left hip alone",
    "right": "of the right hip alone",
}
_OUTCOMES = {
    "value": "The values of every visit",
    "change": "The changes from each hip's own visit {baseline}",
    "percent-change": "The changes from each hip's own visit {baseline}, in percent of it,",
}
_SIDES = {
    "two-sided": "two-sided",
    "greater": "one-sided, for an effect above 0",
    "less": "one-sided, for an effect below 0",
}
_CORRECTIONS = {
    "random-field": "Peaks were tested family-wise by random field theory for smoothness that differs from "
    "place to place (Worsley et al. 1996, Worsley et al. 1999)",
    "permutation": "Peaks were tested family-wise by permutation of the errors of the model without the "
    "effect (Freedman and Lane 1983, Winkler et al. 2014), {permutations} rearrangements asked for, seed "
    "{seed}",
    "TFCE": "Threshold-free cluster enhancement (Smith and Nichols 2009) was tested family-wise by "
    "permutation of the errors of the model without the effect (Freedman and Lane 1983, Winkler et al. "
    "2014), {permutations} rearrangements asked for, seed {seed}",
    "false-discovery-rate": "The false discovery rate over all vertices was controlled (Benjamini and "
    "Hochberg 1995)",
}


def methods_section(answers: Sequence[Answer], measured: Sequence[str] = ()) -> Html:
    """Say in words what was done, for a paper to take over.

    Parameters
    ----------
    answers : sequence of Answer
    measured : sequence of str
        Sentences on how the maps were made, where the study's folder tells it.
    """
    paragraphs = [" ".join(measured)] if measured else []
    paragraphs += _grouped(answers)
    texts = [*paragraphs, *(text for answer in answers for text in answer.record["methods"].values())]
    references = cited(" ".join(texts))
    return join(
        [
            *(element("p", text) for text in paragraphs),
            _particulars(answers),
            element("h3", "References"),
            element("ol", *(element("li", text) for text in references), class_="references"),
        ],
        "\n",
    )


def _grouped(answers: Sequence[Answer]) -> list[str]:
    """Give one paragraph to all questions that were answered in the same way."""
    alike: dict[str, list[str]] = {}
    for answer in answers:
        alike.setdefault(analysis_in_words(answer), []).append(answer.name)
    if len(alike) == 1:
        return list(alike)
    return [f"{listed(names)}: {text}" for text, names in alike.items()]


def analysis_in_words(answer: Answer) -> str:
    """Say model, smoothing, correction and tables of an analysis."""
    sentences = [_smoothing(answer), _model(answer), _correction(answer), _regions(answer)]
    if answer.files.attributed:
        sentences.append(
            "The effect on mass was split on the logarithm into thickness and density with the weights of "
            "the model of mass, so that the parts add up; bounds are the jackknife's over participants "
            "(Bell and McCaffrey 2002), those of the share Fieller's (Fieller 1954)."
        )
    return " ".join(sentences)


def _smoothing(answer: Answer) -> str:
    analysis = answer.analysis
    fwhm = analysis["smoothing_fwhm_mm"]
    label = answer.measure_label
    how = (
        f"was smoothed on the surface of the average femur (full width at half maximum {fwhm:g} mm)"
        if fwhm
        else "was taken on the average femur without further smoothing"
    )
    outcome = _said(_OUTCOMES, analysis["outcome"]).format(baseline=analysis["baseline"])
    return f"{label} {how}. {outcome} entered the model, {_said(_HIPS, analysis['hips'])}."


def _model(answer: Answer) -> str:
    analysis = answer.analysis
    terms = ("term " if len(analysis["terms"]) == 1 else "terms ") + listed(list(analysis["terms"]))
    if analysis["model"] == "mixed":
        kind = (
            "A linear mixed model with the participant as a random effect (Laird and Ware 1982) was fitted "
            "at every vertex by restricted maximum likelihood (Gilmour et al. 1995)"
        )
    else:
        kind = "A linear model was fitted at every vertex by least squares"
    weights = ""
    if analysis["weights"] == "measurement":
        weights = (
            ", values weighed by their own standard deviations and the spread between people "
            "(Paule and Mandel 1982)"
        )
    freedom = answer.record["question"]["degrees_of_freedom"]
    tests = f"Tests were {_said(_SIDES, analysis['alternative'])}; degrees of freedom: {freedom}."
    return f"{kind}, with the {terms}{weights}. {tests}"


def _correction(answer: Answer) -> str:
    analysis = answer.analysis
    sentence = _said(_CORRECTIONS, analysis["correction"]).format(**analysis)
    clusters = ""
    if analysis["correction"] in ("random-field", "false-discovery-rate"):
        clusters = " by random field theory (Hayasaka et al. 2004)"
    return (
        f"{sentence}, at a level of {analysis['alpha']:g}. Clusters were formed at p = "
        f"{analysis['cluster_p']:g} and tested by their extent{clusters}."
    )


def _said(words: dict[str, str], stored: str) -> str:
    """Give the words for a stored name; a name that is not known any more is given as it is."""
    return words.get(stored, f"'{stored}'")


def _regions(answer: Answer) -> str:
    what = "Regional means of the maps without this smoothing"
    if any(row["kind"] == "endpoint" for row in answer.files.regions):
        what = "Regional means of the maps without this smoothing, and scalars,"
    return (
        f"{what} were put to the same model and question; simultaneous bounds are those of Hothorn et al. "
        f"2008, p-values were corrected after Holm 1979."
    )


def _particulars(answers: Sequence[Answer]) -> Html:
    """What differs from question to question: numbers that a reader needs to repeat the test."""
    header = [
        "",
        "question",
        "degrees of freedom",
        "threshold",
        "smoothness (mm)",
        "resels",
        "vertices",
        "decided by",
    ]
    rows = []
    for answer in answers:
        record = answer.record
        correction = answer.analysis["correction"]
        threshold = record["thresholds"]["discovery" if correction == "false-discovery-rate" else "vertices"]
        rows.append(
            [
                answer.name,
                answer.question,
                _freedom(record["question"]["dof_range"]),
                number(threshold, 2),
                number(record["smoothness"]["fwhm_mm"], 1),
                number(record["smoothness"]["resels"][-1], 1),
                number(record["smoothness"]["vertices_tested"], 0),
                record["methods"]["decides"],
            ]
        )
    return table(
        header, rows, "Each question as it was tested; smoothness is that of the residuals.", class_="text"
    )


def _freedom(ends: Sequence[float]) -> str:
    """Write degrees of freedom: their range, or the one value that all vertices have."""
    known = sorted({number(end, 1) for end in ends}, key=len)
    return known[0] if len(known) == 1 else between(*ends, 1) if known else MISSING

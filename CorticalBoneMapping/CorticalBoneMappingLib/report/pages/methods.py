"""Write the methods section of a report from the settings and records of the study, with its references."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.wording import MISSING, bounds_text, counted, number, sentence_list
from ...pipeline.result import PROVENANCE_FILE
from .answers import ReportedAnalysis
from .cases import CaseRow
from .markup import Html, element, join, table

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


def methods_section(answers: Sequence[ReportedAnalysis], measured: Sequence[str] = ()) -> Html:
    """Say in words what was done, for a paper to take over.

    Parameters
    ----------
    answers : sequence of ReportedAnalysis
    measured : sequence of str
        Sentences on how the maps were made, where the study's folder records it.
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


def _grouped(answers: Sequence[ReportedAnalysis]) -> list[str]:
    """Give one paragraph to all questions that were answered in the same way."""
    alike: dict[str, list[str]] = {}
    for answer in answers:
        alike.setdefault(describe_analysis(answer), []).append(answer.name)
    if len(alike) == 1:
        return list(alike)
    return [f"{sentence_list(names)}: {text}" for text, names in alike.items()]


def describe_analysis(answer: ReportedAnalysis) -> str:
    """Say model, smoothing, correction and tables of an analysis."""
    sentences = [_smoothing(answer), _model(answer), _correction(answer), _regions(answer)]
    if answer.files.attributed:
        sentences.append(
            "The effect on mass was split on the logarithm into thickness and density with the weights of "
            "the model of mass, so that the parts add up; bounds are the jackknife's over participants "
            "(Bell and McCaffrey 2002), those of the share Fieller's (Fieller 1954)."
        )
    return " ".join(sentences)


def _smoothing(answer: ReportedAnalysis) -> str:
    analysis = answer.analysis
    fwhm = analysis["smoothing_fwhm_mm"]
    label = answer.measure_label
    how = (
        f"was smoothed on the surface of the average femur (full width at half maximum {fwhm:g} mm)"
        if fwhm
        else "was taken on the average femur without further smoothing"
    )
    outcome = _words_for(_OUTCOMES, analysis["outcome"]).format(baseline=analysis["baseline"])
    return f"{label} {how}. {outcome} entered the model, {_words_for(_HIPS, analysis['hips'])}."


def _model(answer: ReportedAnalysis) -> str:
    analysis = answer.analysis
    terms = ("term " if len(analysis["terms"]) == 1 else "terms ") + sentence_list(list(analysis["terms"]))
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
    tests = f"Tests were {_words_for(_SIDES, analysis['alternative'])}; degrees of freedom: {freedom}."
    return f"{kind}, with the {terms}{weights}. {tests}"


def _correction(answer: ReportedAnalysis) -> str:
    analysis = answer.analysis
    sentence = _words_for(_CORRECTIONS, analysis["correction"]).format(**analysis)
    clusters = ""
    if analysis["correction"] in ("random-field", "false-discovery-rate"):
        clusters = " by random field theory (Hayasaka et al. 2004)"
    return (
        f"{sentence}, at a level of {analysis['alpha']:g}. Clusters were formed at p = "
        f"{analysis['cluster_p']:g} and tested by their extent{clusters}."
    )


def _words_for(words: dict[str, str], stored: str) -> str:
    """Give the words for a stored name; a name that is not known any more is given as it is."""
    return words.get(stored, f"'{stored}'")


def _regions(answer: ReportedAnalysis) -> str:
    what = "Regional means of the maps without this smoothing"
    if any(row["kind"] == "endpoint" for row in answer.files.regions):
        what = "Regional means of the maps without this smoothing, and scalars,"
    return (
        f"{what} were put to the same model and question; simultaneous bounds are those of Hothorn et al. "
        f"2008, p-values were corrected after Holm 1979."
    )


def _particulars(answers: Sequence[ReportedAnalysis]) -> Html:
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
    return known[0] if len(known) == 1 else bounds_text(*ends, 1) if known else MISSING


REFERENCES: dict[str, str] = {
    "Bell and McCaffrey 2002": "Bell RM, McCaffrey DF. Bias reduction in standard errors for linear "
    "regression with multi-stage samples. Surv Methodol 2002; 28: 169–181.",
    "Benjamini and Hochberg 1995": "Benjamini Y, Hochberg Y. Controlling the false discovery rate: a "
    "practical and powerful approach to multiple testing. J R Stat Soc B 1995; 57: 289–300.",
    "Fieller 1954": "Fieller EC. Some problems in interval estimation. J R Stat Soc B 1954; 16: 175–185.",
    "Freedman and Lane 1983": "Freedman D, Lane D. A nonstochastic interpretation of reported significance "
    "levels. J Bus Econ Stat 1983; 1: 292–298.",
    "Gilmour et al. 1995": "Gilmour AR, Thompson R, Cullis BR. Average information REML: an efficient "
    "algorithm for variance parameter estimation in linear mixed models. Biometrics 1995; 51: 1440–1450.",
    "Hayasaka et al. 2004": "Hayasaka S, Phan KL, Liberzon I, Worsley KJ, Nichols TE. Nonstationary "
    "cluster-size inference with random field and permutation methods. NeuroImage 2004; 22: 676–687.",
    "Holm 1979": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979; 6: "
    "65–70.",
    "Hothorn et al. 2008": "Hothorn T, Bretz F, Westfall P. Simultaneous inference in general parametric "
    "models. Biom J 2008; 50: 346–363.",
    "Kenward and Roger 1997": "Kenward MG, Roger JH. Small sample inference for fixed effects from "
    "restricted maximum likelihood. Biometrics 1997; 53: 983–997.",
    "Laird and Ware 1982": "Laird NM, Ware JH. Random-effects models for longitudinal data. Biometrics "
    "1982; 38: 963–974.",
    "Lüthi et al. 2018": "Lüthi M, Gerig T, Jud C, Vetter T. Gaussian process morphable models. IEEE Trans "
    "Pattern Anal Mach Intell 2018; 40: 1860–1873.",
    "Paule and Mandel 1982": "Paule RC, Mandel J. Consensus values and weighting factors. J Res Natl Bur "
    "Stand 1982; 87: 377–385.",
    "Pearson and Treece 2018": "Pearson RA, Treece GM. Measurement of the bone endocortical region using "
    "clinical CT. Med Image Anal 2018; 44: 28–40.",
    "Prevrhal et al. 2003": "Prevrhal S, Fox JC, Shepherd JA, Genant HK. Accuracy of CT-based thickness "
    "measurement of thin structures: modeling of limited spatial resolution in all three dimensions. Med "
    "Phys 2003; 30: 1–8.",
    "Smith and Nichols 2009": "Smith SM, Nichols TE. Threshold-free cluster enhancement: addressing "
    "problems of smoothing, threshold dependence and localisation in cluster inference. NeuroImage 2009; "
    "44: 83–98.",
    "Treece et al. 2010": "Treece GM, Gee AH, Mayhew PM, Poole KES. High resolution cortical bone thickness "
    "measurement from clinical CT data. Med Image Anal 2010; 14: 276–290.",
    "Treece et al. 2012": "Treece GM, Poole KES, Gee AH. Imaging the femoral cortex: thickness, density and "
    "mass from clinical CT. Med Image Anal 2012; 16: 952–965.",
    "Treece and Gee 2015": "Treece GM, Gee AH. Independent measurement of femoral cortical thickness and "
    "cortical bone density using clinical CT. Med Image Anal 2015; 20: 249–264.",
    "Winkler et al. 2014": "Winkler AM, Ridgway GR, Webster MA, Smith SM, Nichols TE. Permutation inference "
    "for the general linear model. NeuroImage 2014; 92: 381–397.",
    "Worsley et al. 1996": "Worsley KJ, Marrett S, Neelin P, Vandal AC, Friston KJ, Evans AC. A unified "
    "statistical approach for determining significant signals in images of cerebral activation. Hum Brain "
    "Mapp 1996; 4: 58–73.",
    "Worsley et al. 1999": "Worsley KJ, Andermann M, Koulis T, MacDonald D, Evans AC. Detecting changes in "
    "nonisotropic images. Hum Brain Mapp 1999; 8: 98–101.",
}
"""By name and year, as a text cites them."""


def cited(text: str) -> list[str]:
    """Give the references that a text names, in the order of their names."""
    return [reference for key, reference in REFERENCES.items() if key in text]


_METHODS = {
    "half-maximum": "half-maximum (Prevrhal et al. 2003)",
    "constant-density": "constant-density (Treece et al. 2010)",
    "mass-conserving": "mass-conserving (Treece et al. 2012)",
    "independent": "independent (Treece and Gee 2015)",
    "endocortical-ramp": "endocortical-ramp (Pearson and Treece 2018)",
}


def describe_mapping(cases: Sequence[CaseRow]) -> list[str]:
    """Say how the maps were made, from the records of the mapped cases."""
    records = [_record(case.folder) for case in cases if case.is_done]
    records = [record for record in records if record]
    if not records:
        return []
    methods = Counter(record["settings"]["method"] for record in records)
    spacings = sorted(record["surface"]["spacing_mm"] for record in records)
    calibrations = Counter(_calibration(record) for record in records)
    average = Counter(f"{record['atlas']['name']}, {record['atlas']['people']} people" for record in records)
    smoothings = Counter(f"{record['settings']['smoothing_fwhm_mm']:g} mm" for record in records)
    smoothed = "" if set(smoothings) == {"0 mm"} else f" They were smoothed there by {_all(smoothings)}."
    origins = Counter(_origin(record) for record in records)
    return [
        f"The femur was {_all(origins)}.",
        f"The cortex was measured with {_all(methods)} at points {spacings[len(spacings) // 2]:.1f} mm "
        f"apart.",
        f"Density: {_all(calibrations)}.",
        f"Maps were carried to an average femur ({_all(average)}) by registration of the surfaces (a "
        f"Gaussian process of shape modes and a local basis, Lüthi et al. 2018).{smoothed}",
    ]


def _all(counts: Counter[str]) -> str:
    """Name one, or all with how often each was used."""
    named = [(_METHODS.get(name, name), count) for name, count in counts.most_common()]
    if len(named) == 1:
        return named[0][0]
    return "; ".join(f"{name} in {counted(count, 'map')}" for name, count in named)


_ORIGINS = {
    "label map": "given as a label map",
    "surface": "given as a surface",
    "found in the CT": "found in the CT with the shape model of the femur",
}


def _origin(record: dict[str, Any]) -> str:
    """Say how it was known where the femur is."""
    by = record.get("segmentation", {}).get("by", "")
    return _ORIGINS.get(by, "given")


def _calibration(record: dict[str, Any]) -> str:
    kind, unit = record["calibration"]["kind"], record["calibration"]["unit"]
    how = "not calibrated" if kind == "none" else f"calibrated by {kind}"
    corrected = "corrected" if record.get("beam_hardening", {}).get("applied") else "not corrected"
    return f"{how} ({unit}), beam hardening {corrected}"


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
        _ = record["settings"]["method"], record["surface"]["spacing_mm"], record["atlas"]["people"]
        _ = record["settings"]["smoothing_fwhm_mm"]
        _ = record["calibration"]["unit"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record


def provenance_section(answers: Sequence[ReportedAnalysis]) -> Html:
    """Give program, versions, inputs by their hashes, and the whole record of every answer."""
    program = answers[0].record["program"]
    versions = ", ".join(f"{name} {version}" for name, version in program["libraries"].items())
    facts = [("Program", f"{program['name']} {program['version']}"), ("With", versions)]
    inputs = {
        (what, entry["name"], entry["sha256"])
        for answer in answers
        for what, entry in answer.record["inputs"].items()
    }
    facts += [(f"Input: {what}", f"{name}, SHA-256 {digest}") for what, name, digest in sorted(inputs)]
    for answer in answers:
        seconds = sum(answer.record.get("timings_s", {}).values())
        facts.append((f"Time of {answer.name}", f"{number(seconds, 1)} s"))
    terms = [part for name, value in facts for part in (element("dt", name), element("dd", value))]
    records = [
        element(
            "details",
            element("summary", f"Record of {answer.name}"),
            element("pre", json.dumps(answer.record, indent=2, ensure_ascii=False)),
        )
        for answer in answers
    ]
    return join([element("dl", *terms, class_="facts"), *records], "\n")

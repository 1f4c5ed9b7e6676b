"""Analyse the maps of a study: from its file to an answer."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.progress import Progress
from ...pipeline.provenance import Stopwatch, input_record, plain, program
from ...pipeline.regions import WHOLE_FEMUR
from ...statistics.inference.correction import CorrectedTests
from ...statistics.maps import Maps
from ...statistics.model.attribution import Attribution, attribute
from ...statistics.table import ARM, PARTICIPANT, VISIT, Table
from ..mapping.results_table import left_out
from ..study_file.analyses import Analysis, folder_name
from ..study_file.case_names import alike
from ..study_file.study_toml import Coding, StudyFile
from .answer_tables import Groups, answer_rows, cluster_rows, group_means
from .collect import collect_maps, maps_record, read_study_table, rows_of_hips, smoothed
from .fit_and_test import Fitted, corrected_tests, endpoints_of, fit_analysis, region_names
from .further_tests import FurtherTest, further_tests
from .questions import check_question, with_shape

_NAMES = (PARTICIPANT, VISIT, ARM)
THICKNESS, DENSITY = "cortical_thickness", "cortical_density"


@dataclass(frozen=True)
class StudyAnswer:
    """What an analysis found.

    Attributes
    ----------
    analysis : Analysis
    fitted : Fitted
        The model on the average femur.
    tests : CorrectedTests
        Corrected for the many vertices.
    clusters, regions : list of dict
        Rows with the keys of `rows.CLUSTER_COLUMNS` and `rows.ANSWER_COLUMNS`.
    attribution : Attribution or None
        Of the effect on mass to thickness and density at every vertex, where the question compares values.
    groups : Groups
        What each arm is like at each visit.
    attributed : list of dict
        The same by region, rows with the keys of `rows.ATTRIBUTION_COLUMNS`; empty without.
    provenance : dict
        How it was made; plain JSON values.
    further : tuple of FurtherTest
        Equivalence and conjunction, where they are asked for.
    """

    analysis: Analysis
    fitted: Fitted
    tests: CorrectedTests
    clusters: list[dict[str, Any]]
    regions: list[dict[str, Any]]
    groups: Groups
    attribution: Attribution | None
    attributed: list[dict[str, Any]]
    provenance: dict[str, Any]
    further: tuple[FurtherTest, ...] = ()


def analyse_maps(
    study: StudyFile,
    analysis: Analysis,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> StudyAnswer:
    """Collect the maps of a study, fit the model of an analysis and test its question.

    Parameters
    ----------
    study : StudyFile
    analysis : Analysis
        One of the study's.
    executor : Executor, optional
        For permutations; numbers do not depend on it.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    StudyAnswer

    Raises
    ------
    CorticalBoneMappingError
        Says what is wrong with table, maps, design or question.
    """
    progress = progress or Progress()
    watch = Stopwatch()
    with watch.time("reading"):
        table = read_study_table(study)
        check_question(study.coding, table, analysis)
        table = with_shape(table, study.results, analysis.terms)
        weigh = (f"{analysis.measure}_sd",) if analysis.weights == "measurement" else ()
        measures = tuple(dict.fromkeys((analysis.measure, THICKNESS, DENSITY, *weigh)))
        unsmoothed = collect_maps(table, study.results, measures, progress=progress.part(0.0, 0.2))
        fwhm = analysis.smoothing_fwhm_mm
        maps = smoothed(unsmoothed[analysis.measure], fwhm, progress.part(0.2, 0.3))
        for name in weigh:  # smoothing reduces all standard deviations alike, so their order stays
            maps = replace(maps, sd=smoothed(unsmoothed[name], fwhm).values)
    with watch.time("model"):
        fitted = fit_analysis(maps, analysis, study.coding, progress.part(0.3, 0.5))
    with watch.time("correction"):
        tests = corrected_tests(fitted, analysis, executor, progress.part(0.5, 0.95))
        further = further_tests(fitted, analysis, tests.smoothness)
    names = region_names(maps)
    with watch.time("regions and endpoints"):
        answers = _regions_and_endpoints(unsmoothed[analysis.measure], names, analysis, study.coding)
    with watch.time("attribution"):
        attribution = _attribution(unsmoothed, fitted, analysis, analysis.smoothing_fwhm_mm)
        # Smoothing carries an effect over the border of its region, so regions take the maps as they are.
        attributed = _attributed(_attribution(unsmoothed, fitted, analysis, 0.0), maps, names)
    record = _provenance(study, analysis, maps, fitted, tests, further) | {"timings_s": watch.seconds}
    progress.report(1.0, f"{analysis.name}: answered")
    rows = answer_rows(answers)
    clusters = cluster_rows(fitted, tests, names)
    groups = group_means(fitted.maps)
    return StudyAnswer(
        analysis,
        fitted,
        tests,
        clusters,
        rows,
        groups,
        attribution,
        attributed,
        plain(record),
        tuple(further),
    )


def _regions_and_endpoints(
    maps: Maps, names: dict[int, str], analysis: Analysis, coding: Coding
) -> list[tuple[str, Fitted]]:
    regions = maps.region_means(maps.surface.arrays["region"], names)
    answers = [("region", fit_analysis(regions, analysis, coding))]
    if analysis.endpoints:
        answers.append(("endpoint", fit_analysis(*endpoints_of(maps.table, analysis), coding)))
    return answers


def _attribution(
    maps: dict[str, Maps], fitted: Fitted, analysis: Analysis, fwhm_mm: float
) -> Attribution | None:
    """Split the effect on mass; a change from baseline has no logarithm to split."""
    answered = fitted.answered
    if analysis.outcome != "value" or not answered.is_t or answered.contrast.reference is None:
        return None
    fitted_to = rows_of_hips(maps[analysis.measure], analysis.hips).measured.any(axis=1)
    parts = [rows_of_hips(maps[name], analysis.hips).take(fitted_to) for name in (THICKNESS, DENSITY)]
    return attribute(*(smoothed(part, fwhm_mm) for part in parts), fitted.design, answered.contrast)


def _attributed(attribution: Attribution | None, maps: Maps, names: dict[int, str]) -> list[dict[str, Any]]:
    if attribution is None:
        return []
    region, area = maps.surface.arrays["region"], maps.surface.point_areas
    inside = np.stack([np.isin(region, list(names)), *(region == number for number in names)], axis=1)
    return attribution.over(inside * area[:, None]).rows([WHOLE_FEMUR, *names.values()])


def _provenance(
    study: StudyFile,
    analysis: Analysis,
    maps: Maps,
    fitted: Fitted,
    tests: CorrectedTests,
    further: list[FurtherTest],
) -> dict[str, Any]:
    areas = maps.surface.point_areas
    rows, tested = fitted.maps, tests.peaks.tested
    correction = tests.deciding
    warnings = [
        warning
        for test in (tests.peaks, tests.clusters, *(one.corrected for one in further))
        for warning in test.warnings
    ]
    lost = left_out(maps.table, study.results, (study.table, study.scans) if study.scans else None)
    notes = [
        *lost.notes(),
        *_alike(maps.table),
        *fitted.design.warnings,
        *_clustered(analysis, fitted),
        *_gaps(maps, rows, tested),
        *warnings,
        *(test.note(areas) for test in further),
    ]
    asked_besides = {"further_tests": [test.record(areas) for test in further]} if further else {}
    return asked_besides | {
        "program": program(),
        "study": study.name,
        "analysis": asdict(analysis),
        "columns": study.coding.record(),
        "inputs": {
            "study": input_record(study.source),
            "table": input_record(study.table),
            "maps": maps_record(maps.table, study.results),
        },
        "design": {
            "columns": list(fitted.design.columns),
            "rows": len(rows.table),
            "participants": len(np.unique(fitted.design.participants)),
            "rows_in_table": len(maps.table),
        },
        "left_out": lost.record(),
        "question": {
            "contrast": fitted.answered.contrast.name,
            "weights": fitted.answered.contrast.matrix.tolist(),
            "alternative": analysis.alternative,
            "degrees_of_freedom": fitted.answered.dof_method,
            "dof_range": _range(np.asarray(fitted.answered.dof, dtype=np.float64)),
        },
        "methods": {
            "vertices": tests.peaks.method,
            "clusters": tests.clusters.method,
            "discovery": tests.discovery.method,
            "decides": correction.method,
        },
        "thresholds": {
            "vertices": tests.peaks.threshold,
            "clusters": tests.clusters.threshold,
            "discovery": tests.discovery.threshold,
        },
        "smoothness": {
            "fwhm_mm": tests.smoothness.fwhm_mm,
            "resels": tests.smoothness.resels.tolist(),
            "vertices_tested": int(tested.sum()),
        },
        "significant_area": _significant_share(fitted, tests),
        "notes": list(dict.fromkeys(notes)),
    }


def _alike(table: Table) -> list[str]:
    """Name participants, visits and arms that differ letter by letter, but may be meant as one."""
    found = [(name, table.labels(name), alike(table.labels(name))) for name in _NAMES if name in table]
    return [
        f"The {name} '{labels[row]}' of {table.describe(row)} counts as another than '{earlier}'."
        for name, labels, others in found
        for row, earlier in others.items()
    ]


def _clustered(analysis: Analysis, fitted: Fitted) -> list[str]:
    """Warn of least squares on rows of one participant: it takes them for independent."""
    most = int(np.bincount(fitted.design.participants).max())
    if analysis.model == "mixed" or most == 1:
        return []
    return [
        f"Least squares takes the rows of a participant (up to {most}) for those of different ones, which "
        "makes p too small; use the mixed model, or one row a participant."
    ]


def _gaps(collected: Maps, maps: Maps, tested: np.ndarray) -> list[str]:
    """Return which rows have no value at all, and how many vertices some rows lack."""
    notes = []
    empty = np.flatnonzero(~collected.measured.any(axis=1))
    if len(empty):
        rows = collected.table.describe_rows(empty)
        notes.append(f"No map was given for {rows}; these rows count for nothing.")
    partial = int(np.sum(tested & ~maps.measured.all(axis=0)))
    if partial:
        notes.append(
            f"At {partial} of {int(tested.sum())} vertices some rows have no value; the model there is "
            "fitted to the rows that have one."
        )
    return notes


def _significant_share(fitted: Fitted, tests: CorrectedTests) -> dict[str, float]:
    area, tested = fitted.maps.surface.point_areas, tests.deciding.tested
    return {
        "mm2": float(area[tests.deciding.significant].sum()),
        "share_of_tested": float(area[tests.deciding.significant].sum() / area[tested].sum()),
    }


def _range(values: np.ndarray) -> list[float]:
    known = values[np.isfinite(values)]
    return [float(known.min()), float(known.max())] if len(known) else []


def answer_folder(out: Path, analysis: Analysis) -> Path:
    """Return the folder of an analysis' answer."""
    return out / folder_name(analysis.name)

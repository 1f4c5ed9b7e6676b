"""Trials in which nothing happens, made of real runs of the whole chain: the placebo arm split at random.

``nice python -m validation.trial.null_splits FOLDER [--splits 200] [--report PAGE]``, where FOLDER
is that of a finished benchmark of the trial. The people on placebo are divided by chance into two halves, one
of which is called treated; their scans went from CT to map like all others. Every split is put to the study's
own questions, at every visit. A test at 5 % finds something in 5 % of such trials.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.simulation.trial import PLACEBO, TREATED
from CorticalBoneMappingLib.statistics.maps import Maps
from CorticalBoneMappingLib.statistics.table import Table
from CorticalBoneMappingLib.study.analysis.answer_tables import answer_rows
from CorticalBoneMappingLib.study.analysis.collect import collect_maps, read_study_table, smoothed
from CorticalBoneMappingLib.study.analysis.fit_and_test import corrected_tests, fit_analysis, region_names
from CorticalBoneMappingLib.study.study_file import Analysis, StudyFile, read_study_file

REPORT = Path(__file__).parents[2] / "Docs" / "validation" / "trial_null_splits.md"
KINDS = ("a vertex (what the maps mark)", "a cluster", "a region (Holm)")


def main() -> None:
    """Split, test, and write the page."""
    parser = argparse.ArgumentParser(prog="null_splits", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--report", type=Path, default=REPORT)
    chosen = parser.parse_args()
    plan = read_study_file(chosen.folder / "study.toml")
    table = read_study_table(plan)
    table = table.take(table.labels("arm") == PLACEBO)
    measure = plan.analyses[0].measure
    maps = collect_maps(table, plan.results, (measure,))[measure]
    smooth = smoothed(maps, plan.analyses[0].smoothing_fwhm_mm)
    found = np.zeros((len(plan.analyses), len(KINDS)), dtype=int)
    area = np.zeros(len(plan.analyses))
    for split in range(chosen.splits):
        arms = split_arms(table, split)
        for row, analysis in enumerate(plan.analyses):
            kinds, share = answer(_with_arms(smooth, arms), _with_arms(maps, arms), analysis, plan)
            found[row] += kinds
            area[row] += share / chosen.splits
        print(f"{split + 1} of {chosen.splits}: {found.tolist()}", flush=True)
    write_text(chosen.report, page(plan, table, chosen.splits, found, area))


def split_arms(table: Table, split: int) -> np.ndarray:
    """Give the arm of every row: people by chance, half of them each."""
    people, whose = np.unique(table.labels("participant"), return_inverse=True)
    treated = np.random.default_rng([20, split]).permutation(np.arange(len(people)) % 2).astype(bool)
    return np.where(treated[whose], TREATED, PLACEBO)


def answer(smooth: Maps, maps: Maps, analysis: Analysis, plan: StudyFile) -> tuple[np.ndarray, float]:
    """Whether each of `KINDS` was found, and the share of the surface that is marked."""
    fitted = fit_analysis(smooth, analysis, plan.coding)
    tests = corrected_tests(fitted, analysis)
    area, marked = smooth.surface.point_areas, tests.deciding.significant
    regions = fit_analysis(
        maps.region_means(maps.surface.arrays["region"], region_names(maps)), analysis, plan.coding
    )
    holm = min(row["p_holm"] for row in answer_rows([("region", regions)]))
    kinds = (marked.any(), np.any(tests.clusters.clusters.p <= analysis.alpha), holm <= analysis.alpha)
    return np.array(kinds, dtype=int), float(area[marked].sum() / area[tests.deciding.tested].sum())


def page(plan: StudyFile, table: Table, splits: int, found: np.ndarray, area: np.ndarray) -> str:
    """The page as text."""
    people = len(np.unique(table.labels("participant")))
    lines = [
        f"| {analysis.name} | " + " | ".join(f"{count / splits:.1%}" for count in row) + f" | {share:.2%} |"
        for analysis, row, share in zip(plan.analyses, found, area)
    ]
    error = np.sqrt(0.05 * 0.95 / splits)
    return f"""# Trials in which nothing happens

`python -m validation.trial.null_splits FOLDER --splits {splits}`, after the [trial](trial.md).

The {people} people on placebo of that trial, {len(table)} scans that went the whole way from CT to map,
divided by chance into two halves, one of them called treated: {splits} times, each put to the questions of
the study as they are (a mixed model a vertex, random field theory at 5 %, 10 mm smoothing). Of these trials
so many find, falsely:

| question | {" | ".join(KINDS)} | surface marked, mean |
|---|---|---|---|---|
{chr(10).join(lines)}

5 % of trials may, with a standard error of {error:.1%} for {splits} splits; splits of the same people are
alike, so it is somewhat more.
"""


def _with_arms(maps: Maps, arms: np.ndarray) -> Maps:
    return replace(maps, table=Table(maps.table.columns | {"arm": arms}))


if __name__ == "__main__":
    main()

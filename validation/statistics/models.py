"""Hold the models against BrainStat and statsmodels: the same numbers, how fast, and right under the null.

Run it with a Python that has numpy, scipy, vtk and ``pip install brainstat==0.7.0 statsmodels==0.15.0``, from
the root of the repository::

    OMP_NUM_THREADS=1 PYTHONPATH=CorticalBoneMapping python -m validation.statistics.models

It writes ``Docs/validation/statistics_models.md``. Values are made up vertex by vertex: agreement and time of
a model at a vertex do not depend on its neighbours.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from brainstat.stats.SLM import SLM
from brainstat.stats.terms import FixedEffect, MixedEffect
from scipy import special

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.statistics.maps import Maps
from CorticalBoneMappingLib.statistics.model.attribution import attribute
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast
from CorticalBoneMappingLib.statistics.model.design import (
    Categorical,
    Continuous,
    Design,
    Interaction,
    build_design,
)
from CorticalBoneMappingLib.statistics.model.least_squares import fit_least_squares
from CorticalBoneMappingLib.statistics.model.mixed_model import fit_mixed_model
from CorticalBoneMappingLib.statistics.table import Table

PAGE = Path(__file__).parents[2] / "Docs" / "validation" / "statistics_models.md"
ARM, VISIT = Categorical("arm", "placebo"), Categorical("visit", "0")
AT_36 = "denosumab − placebo at visit 36"
CHANGE = "denosumab − placebo in the change from visit 0 to visit 36"
FORMULA = "y ~ C(arm, Treatment('placebo')) * C(visit, Treatment('0')) + age"
_REPEATS = 3
PAGE_TEXT = """\
# Statistics: the models

`python -m validation.statistics.models` wrote this page; the head of that file says what it needs.
Studies are made up, {vertices:,} vertices, without any difference unless stated. Seconds are of one
processor, the fastest of {repeats} runs (statsmodels: one).

## The same numbers, and how fast

| model | s | peer, s | ratio | difference of t |
|---|---|---|---|---|
{times}

1. BrainStat rounds the ratio of variances to steps and takes one step of scoring; its t is near, not at, the
   maximum of the restricted likelihood.
2. Measured at {compared} vertices, one after the other, and multiplied.
3. With a tenth of the rows missing. statsmodels takes standard errors from the Hessian of all parameters
   together, which differ a little; the variances agree to 1e-4 (`test_mixed_model.py`).

Differences are of t without Kenward and Roger's correction, which neither peer has; times are with it.

Peak memory of the mixed model of 320 maps, the maps themselves included: {memory:.2f} GiB.

## Right where there is nothing

Participants in two arms, visits 0 and 36. Share of vertices below p = 0.05 and p = 0.001 with Satterthwaite's
degrees of freedom and Kenward and Roger's standard errors; below 0.05 without the latter; and had t been
taken as normal as well, as statsmodels does. Standard error of the first: {error:.2f} %.

| participants | question | p < 0.05 | p < 0.001 | plain SE | plain SE, as normal | median dof |
|---|---|---|---|---|---|---|
{null}

## The attribution of a gain in mass

Mass + 5.4 % at visit 36, two thirds of it by thickness; four visits. How often the 95 % bounds hold the
truth, and at how many vertices the share of thickness is determined (the bounds of mass leave out 0).

| participants | mass | thickness | density | share | determined |
|---|---|---|---|---|---|
{attribution}
"""


@dataclass(frozen=True)
class Study:
    """A made-up study: rows, design, and values at every vertex."""

    table: Table
    design: Design
    values: np.ndarray

    def frame(self) -> pd.DataFrame:
        """Give the rows as statsmodels and BrainStat take them."""
        return pd.DataFrame(
            {name: self.table.labels(name) for name in ("participant", "visit", "side", "arm")}
        ).assign(age=self.table.column("age"))


def make_study(
    people: int, visits: tuple[int, ...], sides: tuple[str, ...], vertices: int, seed: int, kept: float = 1.0
) -> Study:
    """Two arms without any difference; a participant's rows correlate by 0 to 0.97."""
    rng = np.random.default_rng(seed)
    age = rng.normal(70.0, 6.0, people)
    rows = [
        (person, visit, side)
        for person in range(people)
        for visit in visits
        for side in sides
        if rng.uniform() < kept
    ]
    table = Table.of(
        {
            "participant": [f"P{person:03}" for person, _, _ in rows],
            "visit": [visit for _, visit, _ in rows],
            "side": [side for _, _, side in rows],
            "arm": ["denosumab" if person % 2 else "placebo" for person, _, _ in rows],
            "age": [age[person] for person, _, _ in rows],
        }
    )
    terms = [ARM, VISIT, Interaction((ARM, VISIT))] if len(visits) > 1 else [ARM]
    design = build_design(table, [*terms, Continuous("age")])
    values = rng.normal(size=(len(table), vertices))
    if len(visits) > 1:
        ratio = rng.uniform(0.0, 6.0, vertices) ** 2 * (rng.uniform(size=vertices) > 0.1)
        values += np.sqrt(ratio) * rng.normal(size=(people, vertices))[design.participants]
    if len(sides) > 1:
        hip = 2 * design.participants + (table.labels("side") == "right")
        values += rng.uniform(0.0, 3.0, vertices) * rng.normal(size=(2 * people, vertices))[hip]
    return Study(table, design, values)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Result, and processor seconds of the fastest of a few runs (a shared machine slows some of them)."""
    seconds = []
    for _ in range(_REPEATS):
        begun = time.process_time()
        result = work()
        seconds.append(time.process_time() - begun)
    return result, min(seconds)


def brainstat(study: Study, question: str, mixed: bool) -> SLM:
    """Ask BrainStat."""
    matrix = pd.DataFrame(
        study.design.matrix[:, 1:], columns=[f"x{i}" for i in range(1, study.design.matrix.shape[1])]
    )
    model = FixedEffect(matrix, _check_categorical=False)
    if mixed:
        model = MixedEffect(study.frame().participant, name_ran="participant") + model
    contrast = (
        study.design.matrix @ read_contrast(study.design, question).matrix[0]
    )  # BrainStat's is over rows
    slm = SLM(model, contrast, two_tailed=True)
    slm.fit(study.values.copy())
    return slm


def statsmodels_t(study: Study, vertices: np.ndarray, nested: bool) -> tuple[np.ndarray, float]:
    """Give t of the difference at visit 36 by MixedLM (REML) at some vertices, and seconds per vertex."""
    found, begun, frame = [], time.process_time(), study.frame()
    parts = {"side": "0 + C(side)"} if nested else None
    for vertex in vertices:
        data = frame.assign(y=study.values[:, vertex])
        model = smf.mixedlm(FORMULA, data, groups="participant", re_formula="1", vc_formula=parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # variances of nought are remarked on
            try:
                fit = model.fit(reml=True, method="powell", xtol=1e-8, ftol=1e-12, maxiter=4000)
                names = list(fit.model.exog_names)
                weights = np.array(
                    [float("denosumab" in n and ("visit" not in n or "36" in n)) for n in names]
                )
                covariance = fit.cov_params().to_numpy()[: len(names), : len(names)]
                found.append(weights @ fit.fe_params / np.sqrt(weights @ covariance @ weights))
            except np.linalg.LinAlgError:  # it gives up on a variance of nought
                found.append(np.nan)
    return np.array(found), (time.process_time() - begun) / len(vertices)


def least_squares_rows(vertices: int) -> list[str]:
    """Agreement and time of least squares."""
    study = make_study(80, (0,), ("left",), vertices, seed=1)
    question = "denosumab − placebo"
    ours, seconds = timed(lambda: fit_least_squares(study.values, study.design).test(question))
    theirs, their_seconds = timed(lambda: brainstat(study, question, mixed=False))
    difference = np.abs(ours.statistic - np.ravel(theirs.t)).max()
    gaps = study.values.copy()
    gaps[np.random.default_rng(0).uniform(size=gaps.shape) < 0.05] = np.nan
    _, gap_seconds = timed(lambda: fit_least_squares(gaps, study.design).test(question))
    return [
        f"| least squares, 80 maps | {seconds:.3f} | BrainStat {their_seconds:.3f} | "
        f"{their_seconds / seconds:.0f} | max {difference:.1e} |",
        f"| the same, 5 % of the values missing | {gap_seconds:.2f} | | | |",
    ]


def mixed_rows(vertices: int, compared: int) -> list[str]:
    """Agreement and time of the mixed model."""
    rows = []
    visits = (0, 12, 24, 36)
    for name, people, sides in (
        ("80 × 4 visits", 80, ("left",)),
        ("40 × 4 visits × 2 hips", 40, ("left", "right")),
    ):
        study = make_study(people, visits, sides, vertices, seed=2)
        _, seconds = timed(lambda s=study: fit_mixed_model(s.values, s.design).test(AT_36))
        ours = fit_mixed_model(study.values, study.design, small_sample=False).test(AT_36)
        if len(sides) == 1:
            theirs, their_seconds = timed(lambda s=study: brainstat(s, AT_36, mixed=True))
            away = np.abs(ours.statistic - np.ravel(theirs.t))
            rows.append(
                f"| mixed model, {name} | {seconds:.2f} | BrainStat {their_seconds:.1f} | "
                f"{their_seconds / seconds:.0f} | mean {away.mean():.4f}, max {away.max():.2f} ¹ |"
            )
        uneven = make_study(people, visits, sides, compared, seed=3, kept=0.9)
        mixed = fit_mixed_model(uneven.values, uneven.design, small_sample=False)
        t, each = statsmodels_t(uneven, np.arange(compared), nested=len(sides) > 1)
        away = np.abs(mixed.test(AT_36).statistic - t)
        difference = f"mean {np.nanmean(away):.5f}, max {np.nanmax(away):.4f}"
        given_up = int(np.isnan(away).sum())
        difference += f"; it gave up at {given_up} of {compared}" if given_up else f" of {compared}"
        rows.append(
            f"| {'the same' if len(sides) == 1 else 'mixed model, ' + name} | {seconds:.2f} | statsmodels "
            f"{each * vertices:.0f} ² | {each * vertices / seconds:.0f} | {difference} ³ |"
        )
    return rows


def null_rows(vertices: int) -> list[str]:
    """How often the mixed model finds something at 5 % where there is nothing."""
    rows = []
    for people in (8, 12, 20, 80):
        study = make_study(people, (0, 36), ("left",), vertices, seed=4)
        adjusted = build_design(study.table, [VISIT, Interaction((VISIT, ARM))])
        for design, question, name in (
            (study.design, AT_36, "difference at visit 36"),
            (study.design, CHANGE, "difference in the change"),
            (adjusted, AT_36, "difference at visit 36, adjusted for baseline"),
        ):
            answered, plain = (
                fit_mixed_model(study.values, design, small_sample=small).test(question)
                for small in (True, False)
            )
            normal = 2.0 * special.ndtr(-np.abs(plain.statistic))
            hits = [_percent(answered.p < 0.05), _percent(answered.p < 0.001, 2)]
            hits += [_percent(plain.p < 0.05), _percent(normal < 0.05)]
            rows.append(f"| {people} | {name} | {' | '.join(hits)} | {np.nanmedian(answered.dof):.0f} |")
    return rows


def attribution_rows(vertices: int) -> list[str]:
    """How often the bounds of the parts hold what was put in: +5.4 % mass, two thirds by thickness."""
    rows = []
    for people in (20, 40, 80):
        study = make_study(people, (0, 12, 24, 36), ("left",), 1, seed=5)
        design = build_design(study.table, [VISIT, Interaction((VISIT, ARM)), Continuous("age")])
        rng = np.random.default_rng(6)
        late = (study.table.labels("arm") == "denosumab") * study.table.numbers("visit") / 36.0
        whole = 100.0 * np.log(1.054)
        truth = {"mass": whole, "thickness": whole * 2.0 / 3.0, "density": whole / 3.0}
        maps = [
            Maps(
                np.exp(
                    np.log(middle)
                    + truth[part] / 100.0 * late[:, None]
                    + wide * rng.normal(size=(people, vertices))[design.participants]
                    + narrow * rng.normal(size=(len(late), vertices))
                ),
                study.table,
            )
            for part, middle, wide, narrow in (
                ("thickness", 2.0, 0.15, 0.03),
                ("density", 900.0, 0.05, 0.015),
            )
        ]
        found = attribute(*maps, design, AT_36)
        held = []
        for part, value in truth.items():
            lower, upper = found.interval(part)
            held.append(_percent((lower < value) & (upper > value)))
        share, lower, upper = found.share_of_thickness()
        known = np.isfinite(share)
        held.append(_percent((lower < 2.0 / 3.0)[known] & (upper > 2.0 / 3.0)[known]))
        rows.append(f"| {people} | {' | '.join(held)} | {_percent(known)} |")
    return rows


def _percent(hits: np.ndarray, digits: int = 1) -> str:
    return f"{100.0 * np.mean(hits):.{digits}f} %"


def peak_memory_gib(vertices: int) -> float:
    """Peak memory of this process after the largest of our fits; to be asked before any peer ran."""
    study = make_study(40, (0, 12, 24, 36), ("left", "right"), vertices, seed=2)
    fit_mixed_model(study.values, study.design).test(AT_36)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def page(vertices: int, compared: int) -> str:
    """Give the page."""
    return PAGE_TEXT.format(
        memory=peak_memory_gib(vertices),
        vertices=vertices,
        compared=compared,
        repeats=_REPEATS,
        error=100.0 * np.sqrt(0.05 * 0.95 / vertices),
        times="\n".join(least_squares_rows(vertices) + mixed_rows(vertices, compared)),
        null="\n".join(null_rows(vertices)),
        attribution="\n".join(attribution_rows(min(vertices, 5000))),
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--vertices", type=int, default=len(load_average("fine").surface.points))
    parser.add_argument("--compared", type=int, default=200, help="vertices that statsmodels fits")
    choices = parser.parse_args()
    write_text(PAGE, page(choices.vertices, choices.compared))


if __name__ == "__main__":
    main()

"""Make the reference values of the statistics tests with BrainStat and statsmodels.

Needs an environment of its own, apart from the library's:

    python3 -m venv .venv-peers && .venv-peers/bin/pip install brainstat==0.7.0 statsmodels==0.15.0
    .venv-peers/bin/python -m validation.statistics.reference

It writes Testing/library/data/statistics_models.json: a small made-up study (rounded numbers) and what the
two packages answer. Nothing of this library is used.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import brainstat
import numpy as np
import pandas as pd
import statsmodels
import statsmodels.formula.api as smf
from brainstat.stats.SLM import SLM
from brainstat.stats.terms import FixedEffect

TARGET = Path(__file__).parents[2] / "Testing" / "library" / "data" / "statistics_models.json"
FORMULA = "y ~ C(arm, Treatment('placebo')) * C(visit, Treatment('0')) + age"
ARM, AT_36 = (
    "C(arm, Treatment('placebo'))[T.denosumab]",
    "C(arm, Treatment('placebo'))[T.denosumab]:C(visit, Treatment('0'))[T.36]",
)
N_VERTICES = 6


def make_study() -> tuple[pd.DataFrame, np.ndarray]:
    """Eighteen participants, three visits, both hips of most, some visits missing; six kinds of vertices."""
    rng = np.random.default_rng(2026)
    rows = []
    for person in range(18):
        age = round(float(rng.uniform(60, 80)), 1)
        for visit in (0, 12, 36):
            for side in ("left", "right"):
                if rng.uniform() < 0.85:
                    arm = "denosumab" if person % 2 else "placebo"
                    rows.append((f"P{person:02}", str(visit), side, arm, age))
    table = pd.DataFrame(rows, columns=["participant", "visit", "side", "arm", "age"])
    person = table.participant.str[1:].astype(int).to_numpy()
    hip = 2 * person + (table.side == "right").to_numpy()
    treated = (table.arm == "denosumab").to_numpy() * table.visit.astype(int).to_numpy() / 36.0
    values = np.empty((len(table), N_VERTICES))
    # SD of participants, of hips within them, and of rows; the last vertex has no random effect
    for vertex, (wide, side, noise) in enumerate(
        [(1.0, 0.5, 0.3), (0.5, 1.0, 0.5), (3.0, 0.2, 0.2), (0.4, 0.4, 1.0), (0.6, 0.3, 0.4), (0.3, 0.6, 0.7)]
    ):
        values[:, vertex] = (
            50.0
            + 0.05 * table.age
            + 0.4 * treated
            + wide * rng.normal(size=18)[person]
            + side * rng.normal(size=36)[hip]
            + noise * rng.normal(size=len(table))
        )
    return table, np.round(values, 4)


def brainstat_t(table: pd.DataFrame, values: np.ndarray) -> dict[str, list[float]]:
    """Effect, standard error and t of least squares by BrainStat."""
    model = smf.ols(FORMULA, table.assign(y=0.0))
    matrix = pd.DataFrame(model.exog[:, 1:], columns=[f"x{i}" for i in range(1, model.exog.shape[1])])
    weights = np.array([float(name in (ARM, AT_36)) for name in model.exog_names])
    # BrainStat takes contrasts over rows; X c has the coefficients c
    slm = SLM(FixedEffect(matrix, _check_categorical=False), model.exog @ weights, two_tailed=True)
    slm.fit(values)
    return {
        "effect": slm.ef[0].tolist(),
        "standard_error": np.ravel(slm.sd).tolist(),
        "t": np.ravel(slm.t).tolist(),
    }


def ordinary(table: pd.DataFrame, values: np.ndarray) -> dict[str, list[float]]:
    """F of the interaction, and weighted and incomplete fits, by statsmodels."""
    weights = np.round(0.5 + np.arange(len(table)) % 7 / 4.0, 4)
    found: dict[str, list[float]] = {"interaction_f": [], "interaction_p": [], "weighted_t": [], "gaps_t": []}
    for vertex, y in enumerate(values.T):
        fit = smf.ols(FORMULA, table.assign(y=y)).fit()
        interaction = fit.f_test(np.eye(len(fit.params))[[":" in name for name in fit.params.index]])
        found["interaction_f"].append(float(interaction.fvalue))
        found["interaction_p"].append(float(interaction.pvalue))
        weighted = smf.wls(FORMULA, table.assign(y=y), weights=weights).fit()
        found["weighted_t"].append(float(weighted.t_test(f"{ARM} + {AT_36} = 0").tvalue[0, 0]))
        kept = np.arange(len(table)) % 5 != vertex % 5
        part = smf.ols(FORMULA, table.assign(y=y)[kept]).fit()
        found["gaps_t"].append(float(part.t_test(f"{ARM} + {AT_36} = 0").tvalue[0, 0]))
    return found | {"weights": weights.tolist()}


def mixed(table: pd.DataFrame, values: np.ndarray, nested: bool) -> dict[str, list[float]]:
    """Effect, standard error, t and variances by statsmodels' MixedLM, REML."""
    found: dict[str, list[float]] = {"effect": [], "standard_error": [], "t": [], "variance": [], "ratio": []}
    for y in values.T:
        parts = {"side": "0 + C(side)"} if nested else None
        data = table.assign(y=y)
        model = smf.mixedlm(FORMULA, data, groups="participant", re_formula="1", vc_formula=parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a variance of nought is remarked on, and is meant
            fit = model.fit(reml=True, method="powell", xtol=1e-10, ftol=1e-14, maxiter=4000)
        weights = np.array([float(name in (ARM, AT_36)) for name in fit.model.exog_names])
        effect = float(weights @ fit.fe_params)
        covariance = fit.cov_params().to_numpy()[: len(weights), : len(weights)]
        error = float(np.sqrt(weights @ covariance @ weights))
        found["effect"].append(effect)
        found["standard_error"].append(error)
        found["t"].append(effect / error)
        found["variance"].append(float(fit.scale))
        found["ratio"].append(float(fit.cov_re.iloc[0, 0] / fit.scale))
    return found


def main() -> None:
    """Write the file."""
    table, values = make_study()
    content = {
        "made_by": "validation/statistics/reference.py",
        "with": f"BrainStat {brainstat.__version__}, statsmodels {statsmodels.__version__}",
        "table": {name: table[name].tolist() for name in table.columns},
        "values": values.tolist(),
        "least_squares": brainstat_t(table, values) | ordinary(table, values),
        "participants": mixed(table, values, nested=False),
        "sides": mixed(table, values, nested=True),
    }
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

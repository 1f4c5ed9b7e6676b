"""What a trial found, against what is true."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.tables import read_rows
from CorticalBoneMappingLib.mesh.smoothing import smooth
from CorticalBoneMappingLib.study.analysis.answer_files import ATTRIBUTION_FILE, CLUSTERS_FILE
from CorticalBoneMappingLib.study.analysis.answer_tables import ATTRIBUTION_COLUMNS, CLUSTER_COLUMNS
from CorticalBoneMappingLib.study.mapping.overview import CASE_COLUMNS, CASES_FILE
from CorticalBoneMappingLib.study.simulated_trial import TRUE_COLUMNS, TRUTH, TRUTH_FILE, TRUTH_TABLE


@dataclass(frozen=True)
class Month:
    """One visit's answer and truth.

    Attributes
    ----------
    month : int
    found, true : dict of str to dict
        Rows of the tables of attribution, by region.
    effect : Surface
        As ``effect.vtp`` has it, with ``true_percent`` (as smooth as the maps) and ``error_percent``.
    significant : float
        Share of the measured area.
    clusters : int
        With a corrected p of at most 5 %.
    """

    month: int
    found: dict[str, dict[str, Any]]
    true: dict[str, dict[str, Any]]
    effect: Surface
    significant: float
    clusters: int


@dataclass(frozen=True)
class Trial:
    """A trial's answers, and what its maps cost.

    Attributes
    ----------
    settings : dict
        Of the simulation.
    months : list of Month
    cases : list of dict
        Rows of ``cases.csv``.
    """

    settings: dict
    months: list[Month]
    cases: list[dict[str, Any]]


def compare(folder: Path) -> Trial:
    """Read the answers of a simulated trial and its truth."""
    truth = read_surface(folder / TRUTH / TRUTH_FILE)
    settings = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
    true = read_rows(folder / TRUTH / TRUTH_TABLE, TRUE_COLUMNS)
    months = []
    for month in settings["months"][1:]:
        answer = next((folder / "answers").glob(f"month*{month}"))
        effect = read_surface(answer / "effect.vtp")
        smoothed = smooth(truth, truth.arrays[f"true_mass_percent_month_{month}"], 10.0)
        measured = (effect.arrays["region"] != 0) & np.isfinite(effect.arrays["effect_percent"])
        area = effect.point_areas
        effect = effect.with_arrays(
            true_percent=smoothed, error_percent=effect.arrays["effect_percent"] - smoothed
        )
        months.append(
            Month(
                month,
                {row["region"]: row for row in read_rows(answer / ATTRIBUTION_FILE, ATTRIBUTION_COLUMNS)},
                {row["region"]: row for row in true if row["month"] == month},
                effect,
                float(area[measured & (effect.arrays["significant"] > 0)].sum() / area[measured].sum()),
                sum(row["p_corrected"] <= 0.05 for row in read_rows(answer / CLUSTERS_FILE, CLUSTER_COLUMNS)),
            )
        )
    return Trial(settings, months, read_rows(next(folder.glob(f"*/{CASES_FILE}")), CASE_COLUMNS))

"""What a trial found, against what is true."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.smoothing import smooth
from CorticalBoneMappingLib.surface import Surface, read_surface


@dataclass(frozen=True)
class Month:
    """One visit's answer and truth.

    Attributes
    ----------
    month : int
    found, true : dict of str to dict of str to float
        Rows of the tables of attribution, by region.
    effect : Surface
        As ``effect.vtp`` has it, with ``true_percent`` (as smooth as the maps) and ``error_percent``.
    significant : float
        Share of the measured area.
    clusters : int
    """

    month: int
    found: dict[str, dict[str, float]]
    true: dict[str, dict[str, float]]
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
    cases: list[dict[str, str]]


def compare(folder: Path) -> Trial:
    """Read the answers of a simulated trial and its truth."""
    truth = read_surface(folder / "truth" / "true_effect.vtp")
    settings = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
    true = _rows(folder / "truth" / "true_effect.csv")
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
                {row["region"]: _numbers(row) for row in _rows(answer / "attribution.csv")},
                {row["region"]: _numbers(row) for row in true if row["month"] == str(month)},
                effect,
                float(area[measured & (effect.arrays["significant"] > 0)].sum() / area[measured].sum()),
                len(_rows(answer / "clusters.csv")),
            )
        )
    return Trial(settings, months, _rows(next(folder.glob("*/cases.csv"))))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _numbers(row: dict[str, str]) -> dict[str, float]:
    return {name: float(cell) if cell else float("nan") for name, cell in row.items() if name != "region"}

"""The small study whose answers by BrainStat and statsmodels are stored, shared by the statistics tests."""

import json
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.statistics.model.design import (
    Categorical,
    Continuous,
    Design,
    Interaction,
    build_design,
)
from CorticalBoneMappingLib.statistics.table import Table

# made by validation/statistics/reference.py
REFERENCE = json.loads(
    (Path(__file__).parents[1] / "data" / "statistics_models.json").read_text(encoding="utf-8")
)
TABLE = Table.of(REFERENCE["table"])
VALUES = np.array(REFERENCE["values"])
ARM, VISIT = Categorical("arm", "placebo"), Categorical("visit", "0")
AT_36 = "denosumab − placebo at visit 36, adjusted for age"


def design() -> Design:
    """Arm, visit and both together, and age: the formula of the reference."""
    return build_design(TABLE, [ARM, VISIT, Interaction((ARM, VISIT)), Continuous("age")])


def trial(people: int, visits: tuple[int, ...], sides: tuple[str, ...] = ("left",), seed: int = 1) -> Table:
    """A balanced trial of two arms."""
    rng = np.random.default_rng(seed)
    age = rng.normal(70.0, 5.0, people)
    rows = [(i, visit, side) for i in range(people) for visit in visits for side in sides]
    return Table.of(
        {
            "participant": [f"P{i:03}" for i, _, _ in rows],
            "visit": [visit for _, visit, _ in rows],
            "side": [side for _, _, side in rows],
            "arm": ["denosumab" if i % 2 else "placebo" for i, _, _ in rows],
            "age": [age[i] for i, _, _ in rows],
        }
    )

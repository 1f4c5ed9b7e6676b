"""What the groups of a study are like at every vertex: mean and standard error by arm and visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...statistics.maps import Maps
from ...statistics.table import ARM, PARTICIPANT, VISIT, sorted_levels
from ..csv_rows import Columns

GROUP_COLUMNS: Columns = {"group": int, "arm": str, "visit": str, "n_rows": int, "n_participants": int}


@dataclass(frozen=True)
class Groups:
    """Means by arm and visit.

    Attributes
    ----------
    rows : list of dict
        With the keys of `GROUP_COLUMNS`; ``arm`` is empty in a study without arms.
    mean, standard_error : ndarray of shape (k, v)
        Of each group, in the unit of the maps; of the values as they are, without covariates.
    """

    rows: list[dict[str, Any]]
    mean: np.ndarray
    standard_error: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Give them as point arrays ``group_1_mean``, ``group_1_se`` …, float32."""
        named = {}
        for row, mean, error in zip(self.rows, self.mean, self.standard_error):
            named[f"group_{row['group']}_mean"] = mean.astype(np.float32)
            named[f"group_{row['group']}_se"] = error.astype(np.float32)
        return named


def group_means(maps: Maps) -> Groups:
    """Average the maps of every arm and visit.

    The standard error is that of the participants' means, since two hips of a person are not two people;
    not-a-number where fewer than two have a value.

    Returns
    -------
    Groups
    """
    arms = maps.table.labels(ARM) if ARM in maps.table else np.full(len(maps.table), "")
    visits = maps.table.labels(VISIT)
    rows, means, errors = [], [], []
    for arm in sorted_levels(arms) or ("",):
        for visit in sorted_levels(visits):
            inside = np.flatnonzero((arms == arm) & (visits == visit))
            if not len(inside):
                continue
            people = maps.table.labels(PARTICIPANT)[inside]
            mean, error = _mean_and_error(maps.values[inside].astype(np.float64), people)
            sizes = {"n_rows": len(inside), "n_participants": len(set(people))}
            rows.append({"group": len(rows) + 1, "arm": str(arm), "visit": str(visit)} | sizes)
            means.append(mean)
            errors.append(error)
    return Groups(rows, np.stack(means), np.stack(errors))


def _mean_and_error(values: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over participants of the mean of each one's rows, and its standard error, each of shape (v,)."""
    known = np.isfinite(values)
    _, person = np.unique(people, return_inverse=True)
    member = (np.arange(person.max() + 1)[:, None] == person).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = (member @ np.where(known, values, 0.0)) / (member @ known)
        there = np.isfinite(each)
        count = there.sum(axis=0).astype(np.float64)
        mean = np.where(there, each, 0.0).sum(axis=0) / count
        variance = np.where(there, (each - mean) ** 2, 0.0).sum(axis=0) / (count - 1.0)
        return mean, np.sqrt(np.where(count > 1, variance, np.nan) / count)

"""Tables of an answer: clusters, regions and endpoints, and the means of each arm and visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...io.tables import Columns
from ...statistics.inference.bands import simultaneous_bands
from ...statistics.inference.correction import CorrectedTests
from ...statistics.maps import Maps
from ...statistics.model.contrast_map import ContrastMap
from ...statistics.model.effects import PercentEffect
from ...statistics.table import ARM, PARTICIPANT, VISIT, sorted_levels
from .fit_and_test import Fitted

GROUP_COLUMNS: Columns = {"group": int, "arm": str, "visit": str, "n_rows": int, "n_participants": int}
CLUSTER_COLUMNS: Columns = {
    "cluster": int,
    "region_of_peak": str,
    "area_mm2": float,
    "extent_resels": float,
    "n_vertices": int,
    "p_corrected": float,
    "peak_t": float,
    "peak_effect": float,
    "peak_effect_percent": float,
    "unit": str,
    "peak_x_ras_mm": float,
    "peak_y_ras_mm": float,
    "peak_z_ras_mm": float,
    "peak_vertex": int,
}
ATTRIBUTION_COLUMNS: Columns = {
    "region": str,
    "mass_percent": float,
    "mass_lower": float,
    "mass_upper": float,
    "thickness_percent": float,
    "thickness_lower": float,
    "thickness_upper": float,
    "density_percent": float,
    "density_lower": float,
    "density_upper": float,
    "thickness_share": float,
    "share_lower": float,
    "share_upper": float,
}
ANSWER_COLUMNS: Columns = {
    "kind": str,
    "name": str,
    "unit": str,
    "n_rows": int,
    "n_participants": int,
    "effect": float,
    "standard_error": float,
    "ci_lower": float,
    "ci_upper": float,
    "simultaneous_lower": float,
    "simultaneous_upper": float,
    "effect_percent": float,
    "percent_lower": float,
    "percent_upper": float,
    "t": float,
    "dof": float,
    "p": float,
    "p_holm": float,
}


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
        """Return them as point arrays ``group_1_mean``, ``group_1_se`` …, float32."""
        named = {}
        for row, mean, error in zip(self.rows, self.mean, self.standard_error):
            named[f"group_{row['group']}_mean"] = mean.astype(np.float32)
            named[f"group_{row['group']}_se"] = error.astype(np.float32)
        return named


def group_means(maps: Maps) -> Groups:
    """Average the maps of every arm and visit.

    The standard error is that of the participants' means, since two hips of one are not independent;
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


def cluster_rows(fitted: Fitted, tests: CorrectedTests, names: dict[int, str]) -> list[dict[str, Any]]:
    """Return a row for every cluster, the largest first.

    ``p_corrected`` is family-wise over all clusters of the surface; the peak's place is on the average femur.

    Returns
    -------
    list of dict
        With the keys of `CLUSTER_COLUMNS`.
    """
    clusters, surface = tests.clusters.clusters, fitted.maps.surface
    unknown = np.full(len(surface.points), np.nan)
    effect = fitted.answered.effect if fitted.answered.is_t else unknown
    percent = unknown if fitted.percent is None else fitted.percent.percent
    rows = []
    for number in range(len(clusters)):
        peak = int(clusters.peak_vertex[number])
        place = surface.points[peak]
        rows.append(
            {
                "cluster": number + 1,
                "region_of_peak": names.get(int(surface.arrays["region"][peak]), ""),
                "area_mm2": float(clusters.area_mm2[number]),
                "extent_resels": float("nan") if clusters.resels is None else float(clusters.resels[number]),
                "n_vertices": int(clusters.n_vertices[number]),
                "p_corrected": float(clusters.p[number]),
                "peak_t": float(clusters.peak_statistic[number]),
                "peak_effect": float(effect[peak]),
                "peak_effect_percent": float(percent[peak]),
                "unit": fitted.maps.unit,
                "peak_x_ras_mm": float(place[0]),
                "peak_y_ras_mm": float(place[1]),
                "peak_z_ras_mm": float(place[2]),
                "peak_vertex": peak,
            }
        )
    return rows


def answer_rows(answers: list[tuple[str, Fitted]]) -> list[dict[str, Any]]:
    """Return a row for every region and endpoint, with one correction for all of them together.

    Parameters
    ----------
    answers : list of (str, Fitted)
        Kind (``region`` or ``endpoint``) and the model of maps with labels.

    Returns
    -------
    list of dict
        With the keys of `ANSWER_COLUMNS`. ``ci`` holds for the row alone, ``simultaneous`` for all rows at
        once (regions together and endpoints together by `simultaneous_bands`, the two kinds by Bonferroni),
        ``p_holm`` is corrected over all rows (Holm 1979, Scand J Stat 6:65).
    """
    rows = []
    for kind, fitted in answers:
        bands = _bands(fitted, 1.0 - 0.05 / len(answers))
        for column in range(len(fitted.maps.labels)):
            row = _answer_row(kind, fitted, column)
            rows.append(row | {name: float(values[column]) for name, values in bands.items()})
    for row, p in zip(rows, holm(np.array([row["p"] for row in rows]))):
        row["p_holm"] = float(p)
    return rows


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p-values for their number, shape (n,); not-a-number does not count and stays (Holm 1979)."""
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = len(order) - np.arange(len(order))
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1.0) if len(order) else []
    return corrected


def _answer_row(kind: str, fitted: Fitted, column: int) -> dict[str, Any]:
    answered, maps = fitted.answered, fitted.maps
    measured = maps.measured[:, column]
    row: dict[str, Any] = {
        "kind": kind,
        "name": maps.labels[column],
        "unit": maps.unit,
        "n_rows": int(measured.sum()),
        "n_participants": len(np.unique(fitted.design.participants[measured])),
        "t": float(answered.statistic[column]),
        "dof": float(np.broadcast_to(answered.dof, answered.statistic.shape)[column]),
        "p": float(answered.p[column]),
    }
    return row | _effect(answered, column) | _percent(fitted.percent, column)


def _bands(fitted: Fitted, level: float) -> dict[str, np.ndarray]:
    names = ("simultaneous_lower", "simultaneous_upper")
    if not fitted.answered.is_t:
        return dict.fromkeys(names, np.full(len(fitted.maps.labels), np.nan))
    answered = fitted.answered
    bands = simultaneous_bands([fitted.model], [answered.contrast], answered.alternative, level)
    return dict(zip(names, (bands.lower[0], bands.upper[0])))


def _effect(answered: ContrastMap, column: int) -> dict[str, float]:
    names = ("ci_lower", "ci_upper")
    if not answered.is_t:
        return dict.fromkeys(("effect", "standard_error", *names), float("nan"))
    bounds = dict(zip(names, answered.confidence_interval(0.95)))
    effect = {"effect": answered.effect, "standard_error": answered.standard_error} | bounds
    return {name: float(values[column]) for name, values in effect.items()}


def _percent(percent: PercentEffect | None, column: int) -> dict[str, float]:
    names = ("effect_percent", "percent_lower", "percent_upper")
    if percent is None:
        return dict.fromkeys(names, float("nan"))
    return {
        name: float(values[column])
        for name, values in zip(names, (percent.percent, percent.lower, percent.upper))
    }

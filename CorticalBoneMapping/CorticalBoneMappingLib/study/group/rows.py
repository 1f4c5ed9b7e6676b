"""Tables of a study's answer: clusters, and regions beside endpoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...statistics.bands import simultaneous_bands
from ...statistics.contrast_map import ContrastMap
from ...statistics.effects import PercentEffect
from ..csv_rows import Columns
from .analysis import CorrectedTests, Fitted

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


def cluster_rows(fitted: Fitted, tests: CorrectedTests, names: dict[int, str]) -> list[dict[str, Any]]:
    """Give a row for every cluster, the largest first.

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
    """Give a row for every region and endpoint, with one correction for all of them together.

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
    """Correct p-values for their number, shape (n,); not-a-number is no test and stays (Holm 1979)."""
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

"""Errors of methods over many scans: bias, spread, coverage, what was measured, in bins of true thickness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from CorticalBoneMappingLib.core.measures import VertexStatus

from .measure import Measured

BIN_EDGES_MM = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0, 6.0)
# The thickest cortex there is belongs to the last bin.
BINS = tuple(pairwise((*BIN_EDGES_MM[:-1], BIN_EDGES_MM[-1] + 1e-6)))
ALL = (BINS[0][0], BINS[-1][1])
MEASURES = {"thickness": "mm", "density": "%", "mass": "%", "trabecular": "mg/cm³"}
"""Measures and the unit of their errors; % is of the truth."""

_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Errors:
    """One method at all counted points of some scans.

    Attributes
    ----------
    thickness : ndarray of shape (n,)
        True, mm.
    by_measure : dict of str to ndarray of shape (n,)
        Measured minus true in the unit of `MEASURES`; not-a-number where nothing was measured.
    covered : dict of str to ndarray of shape (n,)
        1 where the 95 % interval holds the truth, 0 where it does not, by measure.
    quality : ndarray of shape (n,)
        `VertexStatus`.
    beside : ndarray of bool, shape (n,)
        On the head, other bone within 6 mm.
    seconds : float
        Of the processor, mean of a scan.
    scans : int
        How many.
    """

    thickness: np.ndarray
    by_measure: dict[str, np.ndarray]
    covered: dict[str, np.ndarray]
    quality: np.ndarray
    beside: np.ndarray
    seconds: float
    scans: int


def pooled(scans: list[Measured], method: str) -> Errors:
    """Put the counted points of some scans together.

    Parameters
    ----------
    scans : list of Measured
        At least one.
    method : str
        Name of the method.

    Returns
    -------
    Errors
    """
    parts = [_of_scan(scan, method) for scan in scans]

    def joined(values: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate(list(values))

    return Errors(
        joined(part.thickness for part in parts),
        {name: joined(part.by_measure[name] for part in parts) for name in MEASURES},
        {name: joined(part.covered[name] for part in parts) for name in parts[0].covered},
        joined(part.quality for part in parts),
        joined(part.beside for part in parts),
        float(np.mean([part.seconds for part in parts])),
        len(parts),
    )


def row(
    errors: Errors, measure: str, low: float, high: float, chosen: np.ndarray | None = None
) -> dict[str, Any]:
    """Summarise one measure between two true thicknesses.

    Parameters
    ----------
    errors : Errors
        From `pooled`.
    measure : str
        Name in `MEASURES`.
    low, high : float
        True thickness in mm, `high` not included.
    chosen : ndarray of bool, shape (n,), optional
        Further choice of points.

    Returns
    -------
    dict
        ``n`` (points), ``measured`` (share), ``bias``, ``sd``, ``mae`` and ``coverage`` (share, of what was
        measured); not-a-number where there is nothing.
    """
    inside = (errors.thickness >= low) & (errors.thickness < high)
    if chosen is not None:
        inside &= chosen
    error = errors.by_measure[measure][inside]
    found = error[np.isfinite(error)]
    covered = errors.covered.get(measure)
    covered = None if covered is None else covered[inside][np.isfinite(error)]
    return {
        "n": len(error),
        "measured": _mean(np.isfinite(error)),
        "bias": _mean(found),
        "sd": float(found.std()) if len(found) else float("nan"),
        "mae": _mean(np.abs(found)),
        "coverage": float("nan") if covered is None else _mean(covered),
    }


def shares(errors: Errors) -> dict[str, float]:
    """Share of the counted points by what became of them."""
    kinds = {
        "measured": VertexStatus.GOOD,
        "no cortex": VertexStatus.NO_CORTEX,
        "failed": VertexStatus.FIT_FAILED,
    }
    found = {name: _mean(errors.quality == kind) for name, kind in kinds.items()}
    return found | {"other": 1.0 - sum(found.values())}


def line_errors(scans: list[Measured], low: float, high: float) -> dict[str, float]:
    """Error of thickness of a perfect measurement along the start surfaces' normals, as in `row`."""
    thickness, error = _over_points(scans, "line")
    found = error[(thickness >= low) & (thickness < high) & np.isfinite(error)]
    sd = float(found.std()) if len(found) else float("nan")
    return {"n": len(found), "bias": _mean(found), "sd": sd, "mae": _mean(np.abs(found))}


def median_bounds(scans: list[Measured], name: str, low: float, high: float) -> float:
    """Median over points of a Cramér–Rao bound by its name in `truth.bound`."""
    thickness, values = _over_points(scans, name)
    inside = values[(thickness >= low) & (thickness < high) & np.isfinite(values)]
    return float(np.median(inside)) if len(inside) else float("nan")


def _over_points(scans: list[Measured], name: str) -> tuple[np.ndarray, np.ndarray]:
    """True thickness and an array of `truth.bound` at the counted points of all scans."""
    pairs = [(scan.true["thickness"], scan.bound[name], scan.true["counted"]) for scan in scans]
    thickness, values = zip(*((t[counted], v[counted]) for t, v, counted in pairs))
    return np.concatenate(thickness), np.concatenate(values)


def _of_scan(scan: Measured, method: str) -> Errors:
    counted, found = scan.true["counted"], scan.found[method]
    true = {name: scan.true[name][counted] for name in MEASURES}
    error = {name: found[name][counted] - true[name] for name in MEASURES}
    covered = {}
    for name in ("thickness", "density", "mass"):
        if f"{name}_sd" in found:
            covered[name] = np.abs(error[name]) <= _NORMAL_95 * found[f"{name}_sd"][counted]
    in_unit = {
        name: 100.0 * error[name] / true[name] if unit == "%" else error[name]
        for name, unit in MEASURES.items()
    }
    quality, beside = found["quality"][counted], scan.true["beside"][counted]
    return Errors(true["thickness"], in_unit, covered, quality, beside, float(found["seconds"]), 1)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")

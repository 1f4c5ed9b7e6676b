"""Repeat scans of the same bones, and a focal defect: precision, and what is kept of it."""

from __future__ import annotations

import numpy as np

from CorticalBoneMappingLib.anatomy.regions import CUT_END

from .measure import Measured

_LEAST_MEASURED = 0.5  # of a region's area
_DEFECT_REACH = 0.01  # share of thinning from where the defect counts


def regional_cv(scans: list[Measured], method: str, measure: str) -> float:
    """Give the root-mean-square coefficient of variation of regional means over repeat scans.

    Parameters
    ----------
    scans : list of Measured
        Several of each person.
    method, measure : str
        Names.

    Returns
    -------
    float
        In %, over all regions of all persons; not-a-number if there are none.
    """
    variances = []
    for person in sorted({scan.case.person for scan in scans}):
        means = np.array([_means(s, method, measure) for s in scans if s.case.person == person])
        with np.errstate(invalid="ignore"):
            variances.append((means.std(axis=0, ddof=1) / means.mean(axis=0)) ** 2 if len(means) > 1 else [])
    values = np.concatenate([*variances, []])
    values = values[np.isfinite(values)]
    return float(100.0 * np.sqrt(values.mean())) if len(values) else float("nan")


def _means(scan: Measured, method: str, measure: str) -> np.ndarray:
    """Area-weighted mean of each region of the true surface: as by a perfect registration."""
    true, values = scan.true, scan.found[method][measure]
    means = []
    for region in range(CUT_END + 1, int(true["region"].max()) + 1):
        inside = true["counted"] & (true["region"] == region)
        good = inside & np.isfinite(values)
        weight = true["area"][good].sum()
        enough = weight > _LEAST_MEASURED * true["area"][inside].sum()
        means.append((values[good] @ true["area"][good]) / weight if enough else np.nan)
    return np.array(means)


def kept_depth(intact: Measured, thinned: Measured, method: str, measure: str = "thickness") -> float:
    """Give the share of a focal defect's depth that a method shows.

    Parameters
    ----------
    intact, thinned : Measured
        The same bone in the same position, without and with the defect; noise is the same.
    method, measure : str
        Names.

    Returns
    -------
    float
        In %: regression of the measured on the true difference, by area; 100 is all of it.
    """
    size = len(intact.true["area"])
    if size != len(thinned.true["area"]) or not np.array_equal(intact.true["area"], thinned.true["area"]):
        raise ValueError("The scans with and without the defect have different start surfaces.")
    true = thinned.true[measure] - intact.true[measure]
    found = thinned.found[method][measure] - intact.found[method][measure]
    used = (thinned.true["thinning"] > _DEFECT_REACH) & np.isfinite(found)
    weight = intact.true["area"][used] * true[used]
    return float(100.0 * (weight @ found[used]) / (weight @ true[used]))

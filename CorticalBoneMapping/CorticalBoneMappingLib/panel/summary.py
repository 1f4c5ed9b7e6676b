"""What the panel says of a result in one line, and in a small table."""

from __future__ import annotations

from typing import Any

from ..measures import QUALITY_LABELS, Quality
from ..study.provenance import count_quality
from ..surface import Surface


def quality_line(surface: Surface) -> str:
    """Say how many points were measured, and why the others were not.

    Parameters
    ----------
    surface : Surface
        With the point array ``quality``.

    Returns
    -------
    str
        For example ``9,120 of 10,000 points measured (91 %); metal: 880``.
    """
    counts = count_quality(surface.arrays["quality"])
    measured, total = counts[QUALITY_LABELS[Quality.GOOD]], len(surface.points)
    others = [f"{label}: {n:,}" for label, n in counts.items() if n and label != QUALITY_LABELS[Quality.GOOD]]
    return "; ".join([f"{measured:,} of {total:,} points measured ({measured / total:.0%})", *others])


def region_cells(rows: list[dict[str, Any]], measure: str) -> list[tuple[str, str, str, str]]:
    """Give the cells of the regional table for one measure.

    Parameters
    ----------
    rows : list of dict
        With the keys of `study.regions.REGION_COLUMNS`.
    measure : str
        Which measure.

    Returns
    -------
    list of tuple of str
        Region, mean, SD, and the measured part of its area.
    """
    return [
        (row["region"], _number(row["mean"]), _number(row["sd"]), f"{row['coverage']:.0%}")
        for row in rows
        if row["measure"] == measure
    ]


def reason_cells(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Give the cells of the regional table for the points without a value.

    Parameters
    ----------
    rows : list of dict
        With the keys of `study.regions.REGION_COLUMNS`.

    Returns
    -------
    list of tuple of str
        Region, and how many points have no cortex (a finding), a failed fit, or metal.
    """
    counts = {row["region"]: (row["n_no_cortex"], row["n_fit_failed"], row["n_metal"]) for row in rows}
    return [(region, *("–" if n != n else f"{n:,}" for n in numbers)) for region, numbers in counts.items()]


def _number(value: float) -> str:
    """Write three significant digits, or a dash where nothing was measured."""
    if value != value:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

"""The views of an answer, and the range of each: the same in pictures and in Slicer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.surface import Surface

PERCENT_RANGE = (-15.0, 15.0)
"""Fixed range of effects in percent, so that two studies can be compared; chosen by hand."""

SIGNIFICANT = "effect_where_significant"
"""Array made for showing: the effect, not-a-number where it is not significant."""

VIEWS = {
    "significant": "Effect where significant",
    "effect": "Effect",
    "thickness": "Part of thickness",
    "density": "Part of density",
    "statistic": "t",
    "p": "Corrected p",
}
"""What can be shown, and its label."""

_P_RANGE = (0.0, 0.1)  # chosen by hand, as the ranges of t and F below
_SHARE_WITHIN = 0.99  # of the effects, where they are in a unit of their own; chosen by hand


@dataclass(frozen=True)
class Shown:
    """An array as it is shown.

    Attributes
    ----------
    array : str
        Its name.
    label, unit : str
        Of the legend.
    range : tuple of float
        Ends of the colours.
    is_difference : bool
        Whether zero is the middle: diverging colours.
    """

    array: str
    label: str
    unit: str
    range: tuple[float, float]
    is_difference: bool


_STATISTICS = {
    "t": Shown("t", "t", "", (-8.0, 8.0), True),
    "f": Shown("f", "F", "", (0.0, 20.0), False),
}


def with_significant(surface: Surface) -> Surface:
    """Add the array `SIGNIFICANT` to the surface of an answer that has an effect; an F has none."""
    name = _effect(surface)
    if name is None:
        return surface
    values = np.where(surface.arrays["significant"] == 1, surface.arrays[name], np.nan)
    unit = surface.units.get(name, "")
    return surface.with_arrays(units={SIGNIFICANT: unit}, **{SIGNIFICANT: values.astype(np.float32)})


def shown_of(surface: Surface, view: str) -> Shown | None:
    """Return how a view of an answer is shown; None where the answer lacks the array.

    Parameters
    ----------
    surface : Surface
        From `with_significant`.
    view : str
        One of `VIEWS`.
    """
    array = {
        "significant": SIGNIFICANT,
        "effect": _effect(surface),
        "thickness": "thickness_percent",
        "density": "density_percent",
        "statistic": "t" if "t" in surface.arrays else "f",
        "p": "p_corrected",
    }[view]
    if array not in surface.arrays:
        return None
    unit = surface.units.get(array, "")
    if view == "statistic":
        return _STATISTICS[array]
    if view == "p":
        return Shown(array, VIEWS[view], "", _P_RANGE, False)
    limits = PERCENT_RANGE if unit == "%" else _symmetric(surface.arrays[_effect(surface)])
    return Shown(array, VIEWS[view], unit, limits, True)


def _effect(surface: Surface) -> str | None:
    return next((name for name in ("effect_percent", "effect") if name in surface.arrays), None)


def _symmetric(values: np.ndarray) -> tuple[float, float]:
    """Return a round range around zero that holds nearly all values."""
    sizes = np.abs(values[np.isfinite(values)].astype(np.float64))
    largest = float(np.quantile(sizes, _SHARE_WITHIN)) if len(sizes) else 1.0
    decade = 10.0 ** np.floor(np.log10(max(largest, 1e-9)))
    reach = float(next(step * decade for step in (1.0, 2.0, 5.0, 10.0) if step * decade >= largest))
    return -reach, reach

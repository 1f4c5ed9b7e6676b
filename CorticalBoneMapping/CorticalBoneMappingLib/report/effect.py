"""The answer of a study as a picture: the effect where it is significant, the rest of the femur grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SettingError
from ..measures import Measure
from ..surface import Surface
from .render import render_views

PERCENT_RANGE = (-15.0, 15.0)
"""Fixed range of effects in percent, so that the pictures of two studies can be compared."""

_OTHER_SHARE = 0.99  # of the effects within the range, where they are in a unit of their own


def render_effect(
    surface: Surface, path_png: str | Path, *, title: str | None = None, width_px: int = 2400
) -> None:
    """Draw the effect of a study on the average femur, in percent where it has a reference.

    Parameters
    ----------
    surface : Surface
        As `cbm stats` writes it: ``significant``, and ``effect_percent`` or ``effect``.
    path_png : str or Path
        Where the picture goes.
    title : str, optional
        A line above the views.
    width_px : int
        Width of the picture in pixels.

    Raises
    ------
    SettingError
        If the surface holds no effect: an F has none.
    """
    name = next((name for name in ("effect_percent", "effect") if name in surface.arrays), None)
    if name is None or "significant" not in surface.arrays:
        raise SettingError("The surface holds no effect of a study; an F test has none to draw.")
    values = np.asarray(surface.arrays[name], dtype=np.float64)
    shown = np.where(surface.arrays["significant"] == 1, values, np.nan)
    unit = surface.units.get(name, "")
    limits = PERCENT_RANGE if unit == "%" else _symmetric(values)
    render_views(
        surface.with_arrays(units={name: unit}, **{name: shown}),
        name,
        path_png,
        measure=Measure(name, "Effect where significant", unit, unit, limits),
        side="right",
        title=title,
        is_difference=True,
        superior=True,
        grey_means="not significant",
        width_px=width_px,
    )


def _symmetric(values: np.ndarray) -> tuple[float, float]:
    """Give a round range around zero that holds nearly all values."""
    sizes = np.abs(values[np.isfinite(values)])
    largest = float(np.quantile(sizes, _OTHER_SHARE)) if len(sizes) else 1.0
    decade = 10.0 ** np.floor(np.log10(max(largest, 1e-9)))
    reach = next(step * decade for step in (1.0, 2.0, 5.0, 10.0) if step * decade >= largest)
    return -reach, reach

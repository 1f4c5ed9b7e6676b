"""The answer of a study as a picture: the effect where it is significant, the rest of the femur grey."""

from __future__ import annotations

from pathlib import Path

from ..errors import SettingError
from ..measures import Measure
from ..study.group.shown import shown_of, with_significant
from ..surface import Surface
from .render import render_views


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
    surface = with_significant(surface)
    shown = shown_of(surface, "significant")
    if shown is None:
        raise SettingError("The surface holds no effect of a study; an F test has none to draw.")
    render_views(
        surface,
        shown.array,
        path_png,
        measure=Measure(shown.array, shown.label, shown.unit, shown.unit, shown.range),
        side="right",
        title=title,
        is_difference=True,
        superior=True,
        grey_means="not significant",
        width_px=width_px,
    )

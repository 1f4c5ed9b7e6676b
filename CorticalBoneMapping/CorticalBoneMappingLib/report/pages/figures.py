"""The figures of a report: maps of an answer in anatomical views, as PNG."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from ...core.measures import Measure
from ...core.surface import Surface
from ...core.wording import number
from ...study.analysis.shown import VIEWS, Shown, shown_of
from ..pictures.drawing_process import draw_in_process
from ..pictures.render import render_views
from .answers import ReportedAnalysis
from .markup import Html, join, picture

_MAIN_WIDTH_PX, _MORE_WIDTH_PX = 2400, 1500
_MAIN = ("significant",)
_MORE = ("effect", "thickness", "density")
_WITHOUT_EFFECT = ("statistic", "p")
_GREY = dict.fromkeys(VIEWS, "not tested") | {"significant": "not significant"}


def effect_figures(answer: ReportedAnalysis, brief: bool = False) -> Html:
    """Draw the maps of an answer, what is significant the largest; of an F its statistic and p.

    Parameters
    ----------
    answer : ReportedAnalysis
    brief : bool
        Draw only what is significant.

    Raises
    ------
    DrawingError
        If no picture can be drawn on this machine.
    """
    main, more = (_MAIN, () if brief else _MORE) if answer.has_effect else (_WITHOUT_EFFECT, ())
    widths = dict.fromkeys(main, _MAIN_WIDTH_PX) | dict.fromkeys(more, _MORE_WIDTH_PX)
    shown = {view: found for view in widths if (found := shown_of(answer.surface, view)) is not None}
    drawn = draw_in_process(
        [partial(png_of, answer.surface, found, widths[view], _GREY[view]) for view, found in shown.items()]
    )
    captions = [_caption(answer, view, found) for view, found in shown.items()]
    return join(map(picture, drawn, captions), "\n")


def png_of(surface: Surface, shown: Shown, width_px: int, grey_means: str) -> bytes:
    """Draw a map of the average femur from five sides."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        render_views(
            surface,
            shown.array,
            path,
            measure=Measure(shown.array, shown.label, shown.unit, shown.unit, shown.range),
            side="right",
            is_difference=shown.is_difference,
            superior=True,
            grey_means=grey_means,
            width_px=width_px,
        )
        return path.read_bytes()


def _caption(answer: ReportedAnalysis, view: str, shown: Shown) -> str:
    values = answer.surface.arrays[shown.array]
    beyond = int(np.sum((values < shown.range[0]) | (values > shown.range[1])))
    unit = f" {shown.unit}" if shown.unit else ""
    low, high = (number(end, 1 if end % 1 else 0) for end in shown.range)
    scale = f"Colours from {low} to {high}{unit}"
    if beyond:
        scale += f"; beyond that at {beyond} of {len(values)} vertices"
    what = {
        "significant": f"{answer.measure_label}, {VIEWS[view].lower()}; grey: not significant.",
        "effect": f"{answer.measure_label}, effect everywhere, significant or not.",
        "thickness": "The part of the effect on mass that cortical thickness makes.",
        "density": "The part of the effect on mass that cortical density makes.",
        "statistic": f"{answer.measure_label}: statistic {shown.label}.",
        "p": f"{answer.measure_label}: p corrected for the many vertices, family-wise.",
    }[view]
    return f"{answer.question}. {what} {scale}. The average right femur from five sides."

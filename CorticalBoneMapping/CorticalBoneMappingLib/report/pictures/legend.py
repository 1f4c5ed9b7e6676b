"""What explains a map: the colour bar with its unit, the colours without a value, the scale bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.colours import NO_CORTEX_COLOUR, NOT_MEASURED_COLOUR
from .canvas import INK, PALE_INK, Canvas


@dataclass(frozen=True)
class Legend:
    """The text of the legend of a map.

    Attributes
    ----------
    label, unit : str
        Of the quantity.
    range : tuple of float
        Values at the ends of the bar.
    colours : ndarray of shape (n, 3)
        Of the bar, from below.
    values : ndarray of shape (n_points,)
        Values on the surface: where some lie beyond the range, that end of the bar is an arrow.
    grey_share, no_cortex_share : float
        Part of the surface (0 to 1) without a value, and without a cortex.
    grey_means : str
        Why some of it has no value.
    """

    label: str
    unit: str
    range: tuple[float, float]
    colours: np.ndarray
    values: np.ndarray
    grey_share: float
    no_cortex_share: float
    grey_means: str = "not measured"


def draw_legend(canvas: Canvas, legend: Legend, left: float, bottom: float, top: float, font: int) -> None:
    """Draw a vertical colour bar, and under it the colours that mean "no value" where they occur.

    Parameters
    ----------
    canvas : Canvas
        The page.
    legend : Legend
        The text.
    left, bottom, top : float
        Place in pixels.
    font : int
        Size of letters in pixels.
    """
    keys = [
        (colour, text, share)
        for colour, text, share in (
            (NOT_MEASURED_COLOUR, legend.grey_means, legend.grey_share),
            (NO_CORTEX_COLOUR, "no cortex", legend.no_cortex_share),
        )
        if share > 0
    ]
    for row, (colour, text, share) in enumerate(reversed(keys)):
        y = bottom + 1.7 * font * row
        canvas.rectangles([[left + 1.6 * font, y, left + 2.9 * font, y + font]], [colour])
        percent = f"{share:.0%}" if share >= 0.01 else "<1%"
        canvas.text(
            left + 3.3 * font, y + 0.5 * font, f"{text} {percent}", round(0.85 * font), baseline="middle"
        )
    bar_bottom = bottom + 1.7 * font * len(keys) + (1.3 * font if keys else 0.6 * font)
    _draw_bar(canvas, legend, left, bar_bottom, top - 0.6 * font, font)


def draw_scale_bar(canvas: Canvas, left: float, y: float, pixels_per_mm: float, font: int) -> None:
    """Draw a bar of a round length, valid for all views of the page."""
    length_mm = max(
        n for n in (1, 2, 5, 10, 20, 50, 100) if n * pixels_per_mm <= 0.09 * canvas.width or n == 1
    )
    right, thick = left + length_mm * pixels_per_mm, max(2.0, 0.16 * font)
    canvas.rectangles([[left, y, right, y + thick]], [INK])
    canvas.text(right + 0.5 * font, y + thick / 2, f"{length_mm} mm", font, baseline="middle")


def _draw_bar(canvas: Canvas, legend: Legend, left: float, bottom: float, top: float, font: int) -> None:
    bar_left, bar_right = left + 1.6 * font, left + 2.9 * font
    edges = np.linspace(bottom, top, len(legend.colours) + 1)
    n = len(legend.colours)
    corners = np.column_stack([np.full(n, bar_left), edges[:-1], np.full(n, bar_right), edges[1:]])
    canvas.rectangles(corners, legend.colours)
    middle, tip = 0.5 * (bar_left + bar_right), 0.9 * font
    low, high = legend.range
    if np.any(legend.values < low):
        canvas.polygons(
            [[[bar_left, bottom], [middle, bottom - tip], [bar_right, bottom]]], legend.colours[:1]
        )
    if np.any(legend.values > high):
        arrow = [[bar_left, top], [bar_right, top], [middle, top + tip]]
        canvas.polygons([arrow], legend.colours[-1:])
    ticks = round_ticks(low, high, most=max(2, int((top - bottom) / (1.7 * font))))
    decimals = max(0, -int(np.floor(np.log10(ticks[1] - ticks[0]))))
    for tick in ticks:
        y = bottom + (tick - low) / (high - low) * (top - bottom)
        canvas.rectangles([[bar_right, y - 1, bar_right + 0.35 * font, y + 1]], [PALE_INK])
        canvas.text(
            bar_right + 0.6 * font, y, f"{tick:.{decimals}f}".replace("-", "\u2212"), font, baseline="middle"
        )
    caption = f"{legend.label} ({legend.unit})"
    canvas.text(
        left + 0.9 * font, (bottom + top) / 2, caption, font, anchor="centre", baseline="bottom", angle=90
    )


def round_ticks(low: float, high: float, most: int) -> np.ndarray:
    """Choose round values within a range, at most `most` (and at most eight) of them."""
    decade = 10.0 ** np.floor(np.log10(high - low))
    steps = decade * np.array([0.1, 0.2, 0.5, 1.0, 2.0, 5.0])
    step = next((s for s in steps if (high - low) / s <= min(most, 8) - 1 + 1e-9), steps[-1])
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return np.arange(first, last + 1) * step

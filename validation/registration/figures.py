"""The pictures of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.measures import Measure
from CorticalBoneMappingLib.report.pictures.render import render_views

from .errors import HEAD, MIDDLE, PARTS, SHAFT
from .pairs import pooled
from .run import Results
from .tables import quality_pairs

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError as error:
    raise SystemExit("The figures need matplotlib: .venv/bin/python -m pip install -e .[bench]") from error

_DPI = 88
_WIDTH_PX = 1100
# Okabe and Ito's colours, which people with any colour vision can distinguish.
_COLOURS = {MIDDLE: "#0072B2", HEAD: "#E69F00", SHAFT: "#009E73"}


def error_map(results: Results, path: Path) -> None:
    """Draw the mean error at each vertex of the average femur."""
    errors = np.array([errors.distance for errors, _ in results.averaged])
    counted = np.array([errors.counted for errors, _ in results.averaged])
    count = counted.sum(axis=0)
    mean = np.where(count > 0, (errors * counted).sum(axis=0) / np.maximum(count, 1), np.nan)
    surface = load_average().surface.with_arrays(registration_error=mean)
    measure = Measure("registration_error", "Mean error", "mm", "mm", (0.0, 1.5))
    render_views(
        surface, "registration_error", path, measure=measure, side="right", superior=True, width_px=_WIDTH_PX
    )


def methods(results: Results, path: Path) -> None:
    """Draw the mean error of every method by part of the bone."""
    count = len(results.direct)
    found = {"similarity alone": pooled(results.similarity)}
    found |= {name: pooled([each[0] for each in pairs]) for name, pairs in results.peers.items()}
    found["ours, no shape model"] = pooled([errors for errors, _ in results.direct])
    found["ours"] = pooled([errors for errors, _ in results.averaged[:count]])
    figure, axes = pyplot.subplots(figsize=(8.6, 0.42 * len(found) + 1.4), layout="constrained")
    rows = np.arange(len(found))[::-1]
    for offset, part in zip((0.26, 0.0, -0.26), (MIDDLE, HEAD, SHAFT)):
        means = [errors.mean(part) for errors in found.values()]
        axes.barh(rows + offset, means, height=0.24, color=_COLOURS[part], label=PARTS[part])
    axes.set_yticks(rows, list(found))
    axes.set_xlabel("mean error (mm)")
    axes.grid(axis="x", alpha=0.25)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    _save(figure, path)


def quality(results: Results, path: Path) -> None:
    """Draw expected against true error, of femurs and of vertices."""
    found = quality_pairs(results)
    n_whole = len(results.averaged)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.6, 3.9), layout="constrained")
    expected, true = np.array([[x.mean(), e.mean()] for e, x in found]).T
    left.scatter(expected[:n_whole], true[:n_whole], s=22, color="#0072B2", label="subjects")
    left.scatter(
        expected[n_whole:], true[n_whole:], s=22, color="#D55E00", marker="^", label="the damaged femur"
    )
    left.set(title="femurs, mean", xlabel="expected error (mm)", ylabel="true error (mm)")
    left.legend(frameon=False, fontsize=9)
    errors, expected = (np.concatenate(part) for part in zip(*found))
    drawn = right.hexbin(
        expected, errors, gridsize=50, bins="log", mincnt=1, cmap="cividis", extent=(0, 2.5, 0, 5.0)
    )
    figure.colorbar(drawn, ax=right, label="vertices")
    right.set(title="vertices", xlabel="expected error (mm)", ylabel="true error (mm)")
    for axes in (left, right):
        limit = min(axes.get_xlim()[1], axes.get_ylim()[1])
        axes.plot([0, limit], [0, limit], color="black", lw=0.8, ls="--")
    _save(figure, path)


def _save(figure, path: Path) -> None:
    figure.savefig(path, dpi=_DPI)
    pyplot.close(figure)

"""The figures of the report, with matplotlib (``pip install cortical-bone-mapping[bench]``)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from .errors import BIN_EDGES_MM, pooled
from .example import draw_example
from .measure import Measured
from .plan import COARSE, FINE, MID, PLAIN
from .tables import groups

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError as error:
    raise SystemExit("The figures need matplotlib: .venv/bin/python -m pip install -e .[bench]") from error

# Okabe and Ito's colours, which people with any colour vision can distinguish; the markers differ as well.
_COLOURS = ("#999999", "#E69F00", "#009E73", "#56B4E9", "#CC79A7", "#D55E00", "#0072B2", "#000000")
_MARKERS = "sv^DPoX*"
_DPI = 88
_STEPS = 14
_FEWEST = 100  # points that make a step of a curve


def error_against_thickness(scans: list[Measured], methods: Sequence[str], path: Path) -> None:
    """Draw bias and mean absolute error of thickness against the true thickness, one column a protocol."""
    found = _shown(scans, (FINE, COARSE, MID))
    figure, axes = pyplot.subplots(
        2,
        len(found),
        figsize=(3.6 * len(found) + 1.6, 5.6),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for (upper, lower), (protocol, group) in zip(axes.T, found.items()):
        for method, colour, marker in zip(methods, _COLOURS, _MARKERS):
            x, bias, mae = _curves(group, method)
            upper.plot(x, bias, color=colour, marker=marker, ms=4, lw=1.4, label=method)
            lower.plot(x, mae, color=colour, marker=marker, ms=4, lw=1.4)
        upper.axhline(0.0, color="black", lw=0.6)
        upper.set_title(f"{protocol} mm", fontsize=10)
        lower.set_xlabel("true thickness (mm)")
    axes[0, 0].set(ylabel="bias (mm)", ylim=(-0.35, 0.8))
    axes[1, 0].set(ylabel="mean absolute error (mm)", ylim=(0.0, 0.8), xscale="log")
    axes[1, 0].set_xticks([0.3, 0.5, 1, 2, 4], ["0.3", "0.5", "1", "2", "4"])
    axes[1, 0].minorticks_off()
    for one in axes.flat:
        one.grid(alpha=0.25)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    _save(figure, path)


def bland_altman(scans: list[Measured], method: str, path: Path) -> None:
    """Draw measured minus true against their mean for one method, with the limits of agreement."""
    found = _shown(scans, (FINE, COARSE, MID))
    figure, axes = pyplot.subplots(
        1, len(found), figsize=(3.6 * len(found) + 1.2, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for one, (protocol, group) in zip(axes[0], found.items()):
        errors = pooled(group, method)
        error = errors.by_measure["thickness"]
        good = np.isfinite(error) & (errors.thickness >= BIN_EDGES_MM[0])
        drawn = one.hexbin(
            (errors.thickness + 0.5 * error)[good],
            error[good],
            gridsize=(60, 40),
            bins="log",
            mincnt=1,
            cmap="cividis",
            extent=(0, 6.5, -1, 1),
            linewidths=0.1,
        )
        bias, sd = error[good].mean(), error[good].std()
        for level, style in ((bias, "-"), (bias - 1.96 * sd, "--"), (bias + 1.96 * sd, "--")):
            one.axhline(level, color="#D55E00", ls=style, lw=1.3)
        one.set_title(f"{protocol} mm: {bias:+.3f} ± {1.96 * sd:.3f} mm".replace("-", "−"), fontsize=10)
        one.set_xlabel("mean of measured and true (mm)")
    axes[0, 0].set_ylabel(f"{method}:\nmeasured − true (mm)")
    axes[0, 0].set_ylim(-1, 1)
    figure.colorbar(drawn, ax=axes, label="points")
    _save(figure, path)


def example_profiles(scans: list[Measured], method: str, folder: Path, path: Path) -> None:
    """Draw one profile a protocol with the fitted and the true layers."""
    found = _shown(scans, (FINE, COARSE))
    figure, axes = pyplot.subplots(
        1, len(found), figsize=(4.6 * len(found), 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    for one, (protocol, group) in zip(axes[0], found.items()):
        draw_example(one, group[0], method, folder)
        one.set_title(f"{protocol} mm", fontsize=10)
        one.set_xlabel("depth below the start surface (mm)")
        one.legend(fontsize=8, frameon=False)
    axes[0, 0].set_ylabel("density (mg/cm³)")
    _save(figure, path)


def _shown(scans: list[Measured], protocols: Sequence[str]) -> dict[str, list[Measured]]:
    """Standard scans of some protocols, as far as there are any."""
    found = {protocol: group for (protocol, scanner), group in groups(scans).items() if scanner == PLAIN}
    return {protocol: found[protocol] for protocol in protocols if protocol in found}


def _curves(group: list[Measured], method: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    errors = pooled(group, method)
    error = errors.by_measure["thickness"]
    edges = np.geomspace(BIN_EDGES_MM[0], BIN_EDGES_MM[-1], _STEPS + 1)
    curve = []
    for low, high in pairwise(edges):
        inside = (errors.thickness >= low) & (errors.thickness < high) & np.isfinite(error)
        if inside.sum() >= _FEWEST:
            values = error[inside]
            curve.append((np.sqrt(low * high), values.mean(), np.abs(values).mean()))
    x, bias, mae = np.array(curve).reshape(-1, 3).T
    return x, bias, mae


def _save(figure: pyplot.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    pyplot.close(figure)

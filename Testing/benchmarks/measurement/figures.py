"""The figures of the report, with matplotlib (``pip install cortical-bone-mapping[bench]``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.calibration import parse_calibration
from CorticalBoneMappingLib.cortex.blur import blurred_step, normal_half_width, normal_sigma
from CorticalBoneMappingLib.cortex.profiles import sample_profiles
from CorticalBoneMappingLib.cortex.settings import CortexSettings

from .errors import BIN_EDGES_MM, pooled
from .measure import Measured
from .plan import COARSE, FINE, MID, PLAIN
from .scans import make_scan
from .start_surface import start_surface
from .tables import groups

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.axes import Axes
except ImportError as error:
    raise SystemExit("The figures need matplotlib: .venv/bin/python -m pip install -e .[bench]") from error

# Okabe and Ito's colours, which people with any colour vision tell apart; markers tell them apart as well.
_COLOURS = ("#999999", "#E69F00", "#009E73", "#56B4E9", "#CC79A7", "#D55E00", "#0072B2", "#000000")
_MARKERS = "sv^DPoX*"
_DPI = 100
_STEPS = 14
_FEWEST = 100  # points that make a step of a curve
_SHOWN_MM = {FINE: 1.0, COARSE: 1.0}


def error_against_thickness(scans: list[Measured], methods: Sequence[str], path: Path) -> None:
    """Draw bias and mean absolute error of thickness against the true thickness, one column a protocol."""
    found = {p: group for (p, scanner), group in groups(scans).items() if scanner == PLAIN}
    shown = [protocol for protocol in (FINE, COARSE, MID) if protocol in found]
    figure, axes = pyplot.subplots(
        2, len(shown), figsize=(3.6 * len(shown) + 1.6, 5.6), sharex=True, sharey="row", squeeze=False
    )
    for column, protocol in zip(axes.T, shown):
        for number, method in enumerate(methods):
            x, bias, mae = _curves(found[protocol], method)
            label = method if protocol == shown[0] else None
            style = {
                "color": _COLOURS[number % len(_COLOURS)],
                "marker": _MARKERS[number % len(_MARKERS)],
                "ms": 4,
                "lw": 1.4,
            }
            column[0].plot(x, bias, label=label, **style)
            column[1].plot(x, mae, **style)
        column[0].axhline(0.0, color="black", lw=0.6)
        column[0].set_title(f"{protocol} mm", fontsize=10)
        column[1].set_xlabel("true thickness (mm)")
    axes[0, 0].set_ylabel("bias (mm)")
    axes[0, 0].set_ylim(-0.35, 0.8)
    axes[1, 0].set_ylabel("mean absolute error (mm)")
    axes[1, 0].set_ylim(0.0, 0.8)
    axes[1, 0].set_xscale("log")
    axes[1, 0].set_xticks([0.3, 0.5, 1, 2, 4], ["0.3", "0.5", "1", "2", "4"])
    axes[1, 0].minorticks_off()
    for one in axes.flat:
        one.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.get_layout_engine() or figure.set_layout_engine("constrained")
    _save(figure, path)


def bland_altman(scans: list[Measured], method: str, path: Path) -> None:
    """Draw measured minus true against their mean for one method, with the limits of agreement."""
    found = {p: group for (p, scanner), group in groups(scans).items() if scanner == PLAIN}
    shown = [protocol for protocol in (FINE, COARSE, MID) if protocol in found]
    figure, axes = pyplot.subplots(
        1, len(shown), figsize=(3.6 * len(shown) + 1.2, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for one, protocol in zip(axes[0], shown):
        errors = pooled(found[protocol], method)
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
    found = {p: group for (p, scanner), group in groups(scans).items() if scanner == PLAIN and p in _SHOWN_MM}
    figure, axes = pyplot.subplots(
        1, len(found), figsize=(4.6 * len(found), 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    for one, (protocol, group) in zip(axes[0], found.items()):
        _example(one, group[0], method, folder)
        one.set_title(f"{protocol} mm", fontsize=10)
        one.set_xlabel("depth below the start surface (mm)")
    axes[0, 0].set_ylabel("density (mg/cm³)")
    axes[0, -1].legend(fontsize=8, frameon=False)
    _save(figure, path)


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


def _example(axes: Axes, scan: Measured, method: str, folder: Path) -> None:
    """The point of typical error whose true thickness is nearest to 1 mm, its normal near the scan plane."""
    made = make_scan(scan.case, folder)
    surface = start_surface(made.labelmap, 100 * scan.case.person + scan.case.seed, folder)
    true, found = scan.true, scan.found[method]
    good = true["counted"] & np.isfinite(found["thickness"]) & (np.abs(surface.normals[:, 2]) < 0.5)
    good &= ~true["beside"] & (np.abs(true["thickness"] - _SHOWN_MM[scan.case.protocol]) < 0.05)
    error = np.abs(found["thickness"] - true["thickness"])
    candidates = np.flatnonzero(good)
    point = candidates[np.argsort(error[candidates])[len(candidates) // 2]]
    calibration = parse_calibration(f"rods:{made.rods}", made.volume)
    profile = sample_profiles(
        surface.points[[point]], surface.normals[[point]], made.volume, CortexSettings(inside_mm=9.0)
    )
    depth, density = profile.depth[0], calibration.density(profile.values[0])
    axes.plot(depth, density, "o", ms=3.5, color="#999999", label="CT samples")
    outside = float(np.median(density[depth < found["offset"][point] - 2.0]))
    fine = np.linspace(depth.min(), depth.max(), 400)
    used = json.loads(str(found["used"]))
    sigma = used.get("in_plane_sigma_mm") or made.sigma_mm
    if sigma:
        along = (
            normal_sigma(sigma, profile.across)[0],
            normal_half_width(profile.slice_thickness_mm, profile.across)[0],
        )
        outer, inner = (
            blurred_step(fine - edge, *along)[0]
            for edge in (found["offset"][point], found["offset"][point] + found["thickness"][point])
        )
        y1, y2 = found["density"][point], found["trabecular"][point]
        axes.plot(
            fine,
            outside + (y1 - outside) * outer + (y2 - y1) * inner,
            color="#0072B2",
            lw=1.8,
            label="fit, blurred",
        )
    for values, edge, colour, style, label in (
        (found, found["offset"][point], "#0072B2", "--", f"fit: {found['thickness'][point]:.2f} mm"),
        (true, true["edge"][point], "#D55E00", "-", f"truth: {true['thickness'][point]:.2f} mm"),
    ):
        cortex, inside = values["density"][point], values["trabecular"][point]
        steps = [
            depth.min(),
            edge,
            edge,
            edge + values["thickness"][point],
            edge + values["thickness"][point],
            depth.max(),
        ]
        axes.plot(
            steps,
            [outside, outside, cortex, cortex, inside, inside],
            style,
            color=colour,
            lw=1.2,
            label=label,
        )
    axes.set_xlim(-5, 8)
    axes.grid(alpha=0.25)


def _save(figure: pyplot.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    pyplot.close(figure)

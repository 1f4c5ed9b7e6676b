"""Simulated people against real ones: the distribution of each dimension."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.progress import Progress
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.simulation.hip.femur_shape import mean_shape
from CorticalBoneMappingLib.simulation.hip.population import draw_dimensions, individual_map

from .dimensions import LABELS, NAMES, REAL, REAL_SLOPE, dimensions_of, slope, table_of

SEED, SPACING_MM = 16, 1.8
_COLOURS = {"simulated": "#0072B2", "real": "#D55E00"}


def simulate(people: int, progress: Progress) -> tuple[np.ndarray, list[str]]:
    """Draw people and measure them.

    Returns
    -------
    table : ndarray of shape (measured, 8)
        In the order of `NAMES`.
    failures : list of str
        What was not found on the rest.
    """
    mean = remesh(mean_shape(), spacing_mm=SPACING_MM)
    found, failures = [], []
    for person in range(people):
        random = np.random.default_rng([SEED, person])
        to_person = individual_map(draw_dimensions(random), random)
        try:
            anatomy = measure_anatomy(replace(mean, points=to_person(mean.points)), "right")
            found.append(dimensions_of(anatomy))
        except SurfaceError as error:
            failures.append(f"person {person}: {error}")
        progress.report((person + 1) / people, f"Measured simulated person {person + 1}")
    return table_of(found), failures


def population_page(table: np.ndarray, failures: list[str], real: np.ndarray, picture: str) -> str:
    """Write the page's text.

    Parameters
    ----------
    table, real : ndarray of shape (people, 8)
        Of simulated people and of the bones that were given (may be empty).
    failures : list of str
        Of simulated people that were not measured.
    picture : str
        File name of the histograms.
    """
    lines = [
        "# Simulated people against real ones",
        "",
        f"`python -m validation.real_bones FOLDER ... --simulated {len(table) + len(failures)}` wrote this",
        f"page. {len(table)} people drawn by `simulation/hip/population.py` (seed {SEED}), meshed at",
        f"{SPACING_MM} mm and measured by `measure_anatomy`, against 39 real femurs of seven sources that",
        "were measured with an earlier version of it. *Mean off*: difference of the means in SDs of the real",
        "ones; at most 0.3 is wanted. *SD*: over that of the real ones; 0.75 to 1.25 is wanted.",
        "",
        f"![Histograms]({picture})",
        "",
        "| dimension | simulated | from – to | real | mean off, SD | SD, ratio | wanted |",
        "|---|---|---|---|---|---|---|",
    ]
    for column, name in enumerate(NAMES):
        values, (mean, deviation) = table[:, column], REAL[name]
        off, ratio = (values.mean() - mean) / deviation, values.std(ddof=1) / deviation
        met = "yes" if abs(off) <= 0.3 and 0.75 <= ratio <= 1.25 else "**no**"
        lines.append(
            f"| {LABELS[name]} | {values.mean():.1f} ± {values.std(ddof=1):.1f} | {values.min():.1f} – "
            f"{values.max():.1f} | {mean:.1f} ± {deviation:.1f} | {minus(f'{off:+.2f}')} | {ratio:.2f} | "
            f"{met} |"
        )
    found = slope(table)
    met = "yes" if abs(found - REAL_SLOPE) <= 0.2 else "**no**"
    lines += [
        f"| slope of greater trochanter on angle, mm/° | {minus(f'{found:.2f}')} | | −0.90 | | | {met} |",
        "",
        f"Not measured: {len(failures)}." + "".join(f"\n* {text}" for text in failures[:10]),
        "",
        "Correlations of simulated people"
        + (f" (in brackets: of the {len(real)} bones given)" if len(real) > 2 else ""),
        "",
        "| | " + " | ".join(LABELS[name] for name in NAMES) + " |",
        "|---|" + "---|" * len(NAMES),
    ]
    simulated = np.corrcoef(table.T)
    given = np.corrcoef(real.T) if len(real) > 2 else None
    for row, name in enumerate(NAMES):
        cells = [
            f"{simulated[row, column]:.2f}" + (f" ({given[row, column]:.2f})" if given is not None else "")
            for column in range(row)
        ]
        cells += [""] * (len(NAMES) - row)
        lines.append(f"| {LABELS[name]} | " + " | ".join(cells).replace("-", "−") + " |")
    return "\n".join(lines) + "\n"


def minus(text: str) -> str:
    """Return a number's text with the sign that books print."""
    return text.replace("-", "−")


def draw_histograms(table: np.ndarray, real: np.ndarray, path: Path) -> None:
    """Draw a histogram of each dimension, the normal curve of real people, and the bones that were given."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise SystemExit("The histograms need matplotlib: python -m pip install -e .[bench]") from error
    figure, axes = pyplot.subplots(3, 3, figsize=(11.0, 8.5), layout="constrained")
    for column, (name, axis) in enumerate(zip(NAMES, axes.ravel())):
        mean, deviation = REAL[name]
        values = table[:, column]
        low = min(values.min(), mean - 3 * deviation)
        high = max(values.max(), mean + 3 * deviation)
        axis.hist(values, bins=24, range=(low, high), density=True, color=_COLOURS["simulated"], alpha=0.55)
        x = np.linspace(low, high, 200)
        curve = np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
        axis.plot(x, curve, color=_COLOURS["real"], lw=1.8)
        if len(real):
            axis.plot(real[:, column], np.zeros(len(real)), "|", color=_COLOURS["real"], ms=14)
        axis.set_title(LABELS[name], fontsize=9)
        axis.set_yticks([])
    last = axes.ravel()[-1]
    angle, height = NAMES.index("neck_shaft_angle_deg"), NAMES.index("greater_above_mm")
    last.plot(table[:, angle], table[:, height], ".", color=_COLOURS["simulated"], ms=4, label="simulated")
    if len(real):
        last.plot(real[:, angle], real[:, height], "x", color=_COLOURS["real"], ms=6, label="real, given")
    x = np.array([110.0, 138.0])
    line = REAL["greater_above_mm"][0] + REAL_SLOPE * (x - REAL["neck_shaft_angle_deg"][0])
    last.plot(x, line, color=_COLOURS["real"], lw=1.5, label="39 real: −0.90 mm/°")
    last.set_title("greater trochanter (mm) on neck–shaft angle (°)", fontsize=9)
    last.legend(fontsize=8)
    figure.suptitle(
        "Bars: simulated people. Curve: normal with mean and SD of 39 real femurs. Ticks: bones given.",
        fontsize=9,
    )
    figure.savefig(path, dpi=88)
    pyplot.close(figure)

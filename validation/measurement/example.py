"""One profile of a scan, with what was fitted and what is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from CorticalBoneMappingLib.cortex.model.blur import Blur, blurred_step
from CorticalBoneMappingLib.cortex.model.profiles import Profiles, sample_profiles
from CorticalBoneMappingLib.cortex.settings import CortexSettings

from .cache import Arrays
from .measure import Measured, prepared
from .scans import make_scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_THICKNESS_MM, _NEAR_MM = 1.0, 0.05
_STEEPEST = 0.5  # cosine of normal and slice axis
_FIT, _TRUTH, _SAMPLES = "#0072B2", "#D55E00", "#999999"
_SHOWN_MM = (-5.0, 8.0)
_OUTSIDE_FROM_MM = 2.0  # outside the fitted edge


def draw_example(axes: Axes, scan: Measured, method: str, folder: Path) -> None:
    """Draw the profile of typical error among the points whose cortex is about 1 mm thick.

    Parameters
    ----------
    axes : matplotlib Axes
        Where.
    scan : Measured
        Which scan.
    method : str
        Whose fit.
    folder : Path
        Of the cache.
    """
    made = make_scan(scan.case, folder)
    ready, found = prepared(made, scan.case, folder), scan.found[method]
    surface = ready.surface
    point = _typical(scan, found, surface.normals @ made.volume.slice_normal)
    profile = sample_profiles(
        surface.points[[point]], surface.normals[[point]], ready.volume, CortexSettings(inside_mm=9.0)
    )
    density = ready.calibration.density(profile.values[0])
    depth = profile.depth[0]
    fit, true = (
        {name: values[point] for name, values in arrays.items() if values.ndim}
        for arrays in (found, scan.true)
    )
    outside = float(np.median(density[depth < fit["offset"] - _OUTSIDE_FROM_MM]))
    axes.plot(depth, density, "o", ms=3.5, color=_SAMPLES, label="CT samples")
    used = json.loads(str(found["used"]))
    if "in_plane_sigma_mm" in used:
        fine = np.linspace(*_SHOWN_MM, 400)
        blur = Blur(used["in_plane_sigma_mm"], used["edge_enhancement"])
        curve = _blurred(fine, fit, outside, profile, blur)
        axes.plot(fine, curve, color=_FIT, lw=1.8, label="fit, blurred")
    for layers, edge, colour, style, name in (
        (fit, fit["offset"], _FIT, "--", "fit"),
        (true, true["edge"], _TRUTH, "-", "truth"),
    ):
        x, y = _steps(layers, edge, outside)
        axes.plot(x, y, style, color=colour, lw=1.2, label=f"{name}: {layers['thickness']:.2f} mm")
    axes.set_xlim(*_SHOWN_MM)
    axes.grid(alpha=0.25)


def _typical(scan: Measured, found: Arrays, across: np.ndarray) -> int:
    true = scan.true
    error = np.abs(found["thickness"] - true["thickness"])
    good = true["counted"] & np.isfinite(error) & (np.abs(across) < _STEEPEST) & ~true["beside"]
    candidates = np.flatnonzero(good & (np.abs(true["thickness"] - _THICKNESS_MM) < _NEAR_MM))
    return int(candidates[np.argsort(error[candidates])[len(candidates) // 2]])


def _blurred(
    depth: np.ndarray, fit: dict[str, float], outside: float, profile: Profiles, blur: Blur
) -> np.ndarray:
    line = blur.along(profile.across, profile.slice_thickness_mm).at(np.array([0]))
    edges = fit["offset"], fit["offset"] + fit["thickness"]
    outer, inner = (blurred_step(depth - edge, *line)[0][0] for edge in edges)
    return outside + (fit["density"] - outside) * outer + (fit["trabecular"] - fit["density"]) * inner


def _steps(layers: dict[str, float], edge: float, outside: float) -> tuple[list[float], list[float]]:
    low, high = _SHOWN_MM
    inner = edge + layers["thickness"]
    cortex, inside = layers["density"], layers["trabecular"]
    return [low, edge, edge, inner, inner, high], [outside, outside, cortex, cortex, inside, inside]

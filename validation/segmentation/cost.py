"""What the found surface costs the measurement: thickness from it, and from the true surface."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib import cortex
from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.cortex import measure_cortex
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.pipeline.accuracy import RANGE_MM

from ..measurement.cache import code
from ..registration.cache import digest, kept, kept_surface
from .errors import counted
from .finder import Found
from .making import KnownScan
from .plan import Case
from .scans import CACHE

SPACING_MM = 1.6
_MARGIN_MM = 25.0
_CUT_END = "cut_end"


@dataclass(frozen=True)
class Cost:
    """Thickness errors of one hip, from two surfaces, over true thicknesses of 0.6 to 5 mm.

    Attributes
    ----------
    case : Case
        Which.
    found_mm, true_mm : float
        Mean absolute error of thickness from the found and from the true surface.
    found_share, true_share : float
        Share of the points at which it could be measured.
    """

    case: Case
    found_mm: float
    true_mm: float
    found_share: float
    true_share: float


def cost_of(case: Case, known: KnownScan, found: Found) -> Cost:
    """Measure the cortex of one femur from the found and from the true surface.

    Parameters
    ----------
    case : Case
        Of the library's own scanner, whose line from density to HU is known.
    known : KnownScan
        With one femur.
    found : Found
        It.

    Returns
    -------
    Cost
    """
    slope, intercept = case.settings.slope_hu, case.settings.intercept_hu
    calibration = Calibration.linear(1.0 / slope, -intercept / slope, "K2HPO4")
    truth = known.femurs[0].surface
    results = []
    for surface in (found.surface, truth):
        even = _even(surface)
        errors = _errors(even, truth, known.volume, calibration)
        results.append((float(np.nanmean(np.abs(errors))), float(np.isfinite(errors).mean())))
    (found_mm, found_share), (true_mm, true_share) = results
    return Cost(case, found_mm, true_mm, found_share, true_share)


def _even(surface: Surface) -> Surface:
    """The surface with even triangles; where it was cut is kept."""
    key = digest(surface.points, surface.triangles, SPACING_MM)
    even = kept_surface(CACHE / "even", key, lambda: remesh(surface, SPACING_MM))
    cut = np.zeros(len(even.points), dtype=np.uint8)
    if _CUT_END in surface.arrays:
        place = closest_points(surface, even.points)
        cut = (interpolate(surface, _CUT_END, place.triangle, place.weights) > 0).astype(np.uint8)
    return even.with_arrays(**{_CUT_END: cut})


def _errors(surface: Surface, truth: Surface, volume: Volume, calibration: Calibration) -> np.ndarray:
    """Measured minus true thickness at the points that count, mm; not-a-number where not measured."""
    away = ~counted(surface.points, volume) | (surface.arrays[_CUT_END] > 0)
    box = volume.crop(surface.points[~away], _MARGIN_MM)

    def make() -> dict[str, np.ndarray]:
        return {"thickness": measure_cortex(surface, box, calibration, excluded=away).thickness}

    line = [calibration.slope, calibration.intercept]
    key = digest(surface.points, surface.triangles, away, box.array, box.ijk_to_ras, line, _cortex())
    measured = kept(CACHE / "thickness", key, make)["thickness"]
    place = closest_points(truth, surface.points)
    true = interpolate(truth, "cortical_thickness", place.triangle, place.weights)
    low, high = RANGE_MM
    return (measured - true)[~away & (true >= low) & (true < high)]


@once
def _cortex() -> bytes:
    files = sorted(Path(cortex.__file__).parent.glob("*.py"))
    return b"".join(code(ast.parse(file.read_bytes())) for file in files)

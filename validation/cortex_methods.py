"""Accuracy of every method that measures point by point, blind, against truth and against the bound.

    python -m validation.cortex_methods [--phantom ball hips] [--people 3 8] [--protocol fine coarse]

Each cell is bias / mean absolute error of the thickness in mm, by true thickness. The rows `bound` are, for
the median point of each bin, the mean absolute error of a normal error whose standard deviation is the
Cramér–Rao bound: with the cortical density known at every point, and with it free.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.cortex import METHODS, CortexSettings, CorticalMap, measure_cortex
from CorticalBoneMappingLib.cortex.model.blur import Blur
from CorticalBoneMappingLib.cortex.model.profiles import sample_profiles
from CorticalBoneMappingLib.cortex.scan.noise import Noise, estimate_noise
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.segmentation import periosteal_surface
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan
from Testing.library.helpers import ball_phantom

from .measurement.cramer_rao import Layers, cramer_rao_bound

BINS_MM = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0, 6.0)
THICK_MM = 1.5  # density is reported above it
PROTOCOLS = {
    "fine": {"voxel_mm": 0.6, "slice_spacing_mm": 1.0, "noise_hu": 14.0},
    "coarse": {"voxel_mm": 0.8, "slice_spacing_mm": 2.5, "noise_hu": 24.0},
}
BALLS = {
    "fine": {"pixel": 3, "slice_": 5, "noise": 14.0},
    "coarse": {"pixel": 4, "slice_": 13, "noise": 24.0},
}
SLOPE, INTERCEPT = 1.2, 3.0  # HU of the simulated scanner: slope · density + intercept


@dataclass(frozen=True)
class Case:
    """One scan and what is true at the points of its start surface."""

    volume: Volume
    surface: Surface
    calibration: Calibration
    slope: float  # density per HU
    thickness: np.ndarray
    density: np.ndarray
    excluded: np.ndarray


def main() -> None:
    """Print a table for each phantom and protocol."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantom", nargs="+", default=["ball", "hips"], choices=("ball", "hips"))
    parser.add_argument("--people", nargs="+", type=int, default=[3, 8], help="seeds of the hips")
    parser.add_argument("--protocol", nargs="+", default=list(PROTOCOLS), choices=PROTOCOLS)
    parser.add_argument("--method", nargs="+", default=list(METHODS), choices=list(METHODS))
    chosen = parser.parse_args()
    for phantom in chosen.phantom:
        for protocol in chosen.protocol:
            make = [ball(protocol)] if phantom == "ball" else hips(protocol, chosen.people)
            print(f"\n{phantom}, {protocol}: {len(chosen.people) if phantom == 'hips' else 1} scan(s)")
            table(list(make), chosen.method)


def ball(protocol: str) -> Case:
    """The eccentric ball of the tests, scanned by brute force with white noise."""
    surface = ball_phantom.surface_near_the_ball(4000)
    _, thickness = ball_phantom.truth(surface)
    density = np.full(len(thickness), ball_phantom.CORTEX)
    volume = ball_phantom.scanned(**BALLS[protocol])
    excluded = np.zeros(len(thickness), dtype=bool)
    return Case(volume, surface, Calibration.none(), 1.0, thickness, density, excluded)


def hips(protocol: str, people: list[int]) -> Iterator[Case]:
    """Simulated hips whose density varies, each with the surface of its own label map."""
    for person in people:
        made = simulate_scan(simulate_hip(person), ScannerSettings(seed=person, **PROTOCOLS[protocol]))
        surface = periosteal_surface(made.labelmap, 1, 1.6).surface
        truth = made.hip.femur.surface
        found = closest_points(truth, surface.points)
        thickness, density = (
            interpolate(truth, name, found.triangle, found.weights)
            for name in ("cortical_thickness", "cortical_density")
        )
        calibration = Calibration.linear(1.0 / SLOPE, -INTERCEPT / SLOPE)
        volume, cut = made.volume.crop(surface.points, 25.0), surface.arrays["cut_end"].astype(bool)
        yield Case(volume, surface, calibration, 1.0 / SLOPE, thickness, density, cut)


def table(cases: list[Case], methods: list[str]) -> None:
    """Print a row for each method and for the bound."""
    bins = [f"{low:g}-{high:g} mm" for low, high in pairwise(BINS_MM)]
    columns = ["0.6-5 MAE", "density %", "mass %", "failed %", "none %", "CPU s"]
    print(f"{'method':18s}" + "".join(f"{text:>15s}" for text in bins + columns))
    for method in methods:
        began = time.process_time()
        maps = [
            measure_cortex(case.surface, case.volume, case.calibration, method=method, excluded=case.excluded)
            for case in cases
        ]
        seconds = time.process_time() - began
        print(f"{method:18s}" + "".join(f"{cell:>15s}" for cell in [*cells(cases, maps), f"{seconds:.1f}"]))
    for known in (True, False):
        label = "bound, y1 known" if known else "bound, y1 free"
        print(f"{label:18s}" + "".join(f"{cell:>15s}" for cell in bound_cells(cases, known)))


def cells(cases: list[Case], maps: list[CorticalMap]) -> list[str]:
    """Bias and mean absolute errors over the points that were measured, and how many were not."""
    quality = np.concatenate([cortical.quality for cortical in maps])
    true, density = (
        np.concatenate([getattr(case, name) for case in cases]) for name in ("thickness", "density")
    )
    found = np.concatenate([cortical.thickness for cortical in maps])
    error, good = found - true, quality == VertexStatus.GOOD
    by_bin = [good & (true >= low) & (true < high) for low, high in pairwise(BINS_MM)]
    texts = [f"{error[k].mean():+.3f}/{np.abs(error[k]).mean():.3f}" if k.any() else "-" for k in by_bin]
    whole, thick = good & (true >= 0.6) & (true < 5.0), good & (true >= THICK_MM)
    of_density = 100.0 * (np.concatenate([cortical.density for cortical in maps]) / density - 1.0)
    mass = np.concatenate([cortical.mass_surface_density for cortical in maps])
    of_mass = 100.0 * np.abs(mass[whole] / (true * density / 10.0)[whole] - 1.0)
    asked = quality != VertexStatus.NOT_MEASURED
    shares = [
        100.0 * np.mean(quality[asked] == kind) for kind in (VertexStatus.FIT_FAILED, VertexStatus.NO_CORTEX)
    ]
    return [
        *texts,
        f"{np.abs(error[whole]).mean():.3f}",
        f"{of_density[thick].mean():+.1f}/{np.abs(of_density[thick]).mean():.1f}",
        f"{of_mass.mean():.1f}",
        *(f"{share:.1f}" for share in shares),
    ]


def bound_cells(cases: list[Case], known: bool) -> list[str]:
    """Mean absolute error of an unbiased normal error at the bound; of each bin, its median point."""
    expected = np.concatenate([np.sqrt(2.0 / np.pi) * _bound(case, known) for case in cases])
    true = np.concatenate([case.thickness[~case.excluded] for case in cases])
    by_bin = [expected[(true >= low) & (true < high)] for low, high in pairwise(BINS_MM)]
    return [f"{np.median(values):.3f}" if len(values) else "-" for values in by_bin]


def _bound(case: Case, known: bool) -> np.ndarray:
    fitted = measure_cortex(
        case.surface, case.volume, case.calibration, method="constant-density", excluded=case.excluded
    )
    asked = ~case.excluded
    inside, outer = (
        np.where(np.isfinite(values), values, np.nanmedian(values))[asked]
        for values in (fitted.trabecular_density, fitted.periosteal_offset)
    )
    layers = Layers(outer, case.thickness[asked], np.zeros(len(outer)), case.density[asked], inside)
    profiles = sample_profiles(
        case.surface.points[asked], case.surface.normals[asked], case.volume, CortexSettings()
    )
    noise = estimate_noise(case.volume, case.surface.points)
    in_unit = Noise(case.slope * noise.sd, noise.in_plane_mm, noise.across_mm)
    blur = Blur(fitted.used["in_plane_sigma_mm"], fitted.used["edge_enhancement"])
    return cramer_rao_bound(profiles, layers, blur, in_unit, density_known=known).thickness


if __name__ == "__main__":
    main()

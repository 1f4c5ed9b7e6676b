"""How well rods are found, how far a calibration is off, and whether its stated uncertainty covers that.

    python -m validation.calibration [--physical]

Prints the tables of Docs/validation/calibration.md: on scans of the library's own scanner (its line from
HU to density is known), and with --physical on scans made by physics (the density of the cortex is known).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.calibration.rods import find_rods
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan
from CorticalBoneMappingLib.simulation.scanner.phantom import ROD_DENSITY, ROD_WATER, Phantom

from .physical_ct import PROTOCOLS, PhysicalScan, simulate

COARSE = {"voxel_mm": 0.8, "slice_spacing_mm": 3.0}
# Person, side, what differs from the scanner's own settings.
SCANS = (
    (1, "right", {}),
    (2, "left", {"noise_hu": 30.0, "voxel_mm": 0.8, "slice_spacing_mm": 2.5}),
    (3, "right", {"grid_rotation_deg": (6.0, -4.0, 9.0), "voxel_mm": 0.9, "slice_spacing_mm": 3.0}),
    (
        4,
        "left",
        {
            "patient_rotation_deg": (5.0, 4.0, 6.0),
            "voxel_mm": 0.7,
            "slice_spacing_mm": 3.0,
            "noise_hu": 20.0,
        },
    ),
    (10, "right", {"bone_hardening": 0.08, "cupping_hu": 15.0, **COARSE}),
    (8, "right", {"slope_hu": 1.5, "intercept_hu": 5.0, **COARSE}),
    (9, "right", {"slope_hu": 1.8, "intercept_hu": 0.0, **COARSE}),
    (7, "right", {"slope_hu": 0.9, "intercept_hu": -5.0, **COARSE}),
)
DENSE = 1000.0
# Person, tube voltage, polychromatic or not.
PHYSICAL = ((22, 100.0, True), (25, 120.0, True), (23, 140.0, True), (22, 100.0, False))
_THICK_MM, _IN_PLANE = 4.2, 0.25


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--physical", action="store_true", help="also the scans by physics (10 minutes)")
    chosen = parser.parse_args()
    print("| scan | rods found, worst place, mm | rods: slope | rods at 1000, error ± stated | ", end="")
    print("internal at 1000 | without cortex at 1000 |\n|---|---|---|---|---|---|")
    for person, side, different in SCANS:
        print(_own(person, side, different), flush=True)
    if chosen.physical:
        print("\n| person, beam | true cortex, mg/cm³ | by rods | internal | without cortex | points |")
        print("|---|---|---|---|---|---|")
        for person, kvp, hardening in PHYSICAL:
            print(_physical(person, kvp, hardening), flush=True)


def _own(person: int, side: str, different: dict) -> str:
    made = simulate_scan(simulate_hip(person, side), ScannerSettings(**different))
    name = ", ".join(f"{name} {value}" for name, value in different.items()) or "usual"
    return own_row(made.volume, made.phantom, made.settings, name)


def own_row(volume: Volume, phantom: Phantom, settings: ScannerSettings, name: str) -> str:
    """Compare places with the phantom's and densities with the scanner's line."""
    hu = settings.slope_hu * DENSE + settings.intercept_hu
    rods = find_rods(volume, ROD_DENSITY, ROD_WATER, "K2HPO4")
    by_rods = Calibration.from_rods(rods)
    cells = [
        name,
        f"{np.abs(np.array(rods.found_at) - phantom.rod_centres)[:, :2].max():.2f}",
        f"{100 * (by_rods.slope * settings.slope_hu - 1):+.2f} %",
        _density_text(by_rods, hu),
        *(_density_text(Calibration.internal(volume, with_cortex), hu) for with_cortex in (True, False)),
    ]
    return "| " + " | ".join(cells) + " |"


def _density_text(calibration: Calibration, hu: float) -> str:
    return f"{calibration.density(hu) - DENSE:+.0f} ± {float(calibration.density_sd(np.array(hu))):.0f}"


def _physical(person: int, kvp: float, hardening: bool) -> str:
    protocol = replace(PROTOCOLS["mid"], pixel_mm=0.8, noise_hu=12.0, kvp=kvp, beam_hardening=hardening)
    return physical_row(simulate(person, protocol, seed=person), f"{person}, {kvp:.0f} kV")


def physical_row(made: PhysicalScan, name: str) -> str:
    """Compare densities in the middle of thick cortex, in the plane of the slices, with the truth."""
    truth = made.hip.femur.surface
    thickness = truth.arrays["cortical_thickness"]
    chosen = (thickness > _THICK_MM) & (np.abs(truth.normals[:, 2]) < _IN_PLANE)
    middle = truth.points[chosen] - truth.normals[chosen] * (thickness[chosen] / 2)[:, None]
    hu = made.volume.sample(middle)
    seen = np.isfinite(hu)
    hu, density = hu[seen], truth.arrays["cortical_density"][chosen][seen]
    rods = Calibration.from_rods(find_rods(made.volume, ROD_DENSITY, ROD_WATER, "K2HPO4"))
    internal = [Calibration.internal(made.volume, with_cortex) for with_cortex in (True, False)]
    cells = [
        name if made.protocol.beam_hardening else f"{name}, one energy",
        f"{density.mean():.0f}",
        *(_ratio(calibration, hu, density) for calibration in (rods, *internal)),
        str(len(hu)),
    ]
    return "| " + " | ".join(cells) + " |"


def _ratio(calibration: Calibration, hu: np.ndarray, density: np.ndarray) -> str:
    off = 100 * (np.median(calibration.density(hu) / density) - 1)
    stated = 100 * float(calibration.density_sd(np.median(hu))) / density.mean()
    return f"{off:+.1f} ± {stated:.0f} %"


if __name__ == "__main__":
    main()

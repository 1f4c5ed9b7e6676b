"""Density and mass before and after the correction of beam hardening by bone, on scans made by physics.

    python -m validation.beam_hardening [--cache DIR]                  # 2-4 minutes a scan
    python -m validation.beam_hardening --folder DIR --side left       # a scan that is on disk

Prints the tables of Docs/validation/beam_hardening.md. A folder holds ct.nrrd, mask.nrrd (1 the femur),
rods.csv and truth.vtp, as `validation.physical_ct` writes them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.calibration import parse_calibration
from CorticalBoneMappingLib.calibration.attenuation import Tube
from CorticalBoneMappingLib.calibration.body_section import Pelvis
from CorticalBoneMappingLib.calibration.bone_hardening import correct_hardening
from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.pipeline.map_femur import map_femur
from CorticalBoneMappingLib.pipeline.settings import MapSettings

from .physical_ct import PROTOCOLS, simulate
from .physical_ct.files import write_scan

# Person, side, protocol, tube voltage.
SCANS = (
    (1, "right", "coarse", 120.0),
    (3, "left", "mid", 120.0),
    (2, "right", "fine", 120.0),
    (5, "left", "coarse", 100.0),
    (6, "right", "mid", 140.0),
)
BINS_MM = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0, 6.0)
WHOLE_MM, THICK_MM, IN_PLANE = (0.6, 5.0), 2.5, 0.25
BEAMS = {
    "as taken": (Tube(120.0), Pelvis()),
    "100 kV": (Tube(100.0), Pelvis()),
    "140 kV": (Tube(140.0), Pelvis()),
    "filter 6 mm": (Tube(120.0, 6.0), Pelvis()),
    "filter 15 mm": (Tube(120.0, 15.0), Pelvis()),
    "body 310 × 210 mm": (Tube(120.0), Pelvis(310.0, 210.0, 82.0)),
    "body 400 × 270 mm": (Tube(120.0), Pelvis(400.0, 270.0, 92.0)),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path("build/beam_hardening"), help="keeps the scans")
    parser.add_argument("--folder", type=Path, help="a scan that is on disk")
    parser.add_argument("--side", choices=("left", "right"), help="of the scan on disk")
    parser.add_argument("--kvp", type=float, default=120.0, help="of the scan on disk")
    chosen = parser.parse_args()
    if chosen.folder:
        report(chosen.folder.name, chosen.folder, chosen.side, chosen.kvp)
        return
    for person, side, protocol, kvp in SCANS:
        folder = chosen.cache / f"{protocol}-{person}-{kvp:.0f}"
        if not (folder / "truth.vtp").exists():
            write_scan(folder, simulate(person, replace(PROTOCOLS[protocol], kvp=kvp), side, seed=person))
        report(f"{protocol}, person {person}, {kvp:.0f} kV", folder, side, kvp)


def report(name: str, folder: Path, side: str, kvp: float) -> None:
    """Print the maps' errors before and after, and what the middle of thick cortex says about beams."""
    volume, mask, truth = (
        read_volume(folder / "ct.nrrd"),
        read_labelmap(folder / "mask.nrrd"),
        read_surface(folder / "truth.vtp"),
    )
    print(
        f"\n{name}\n\n| correction | measure |" + "".join(f" {a}–{b} mm |" for a, b in pairwise(BINS_MM)),
        end="",
    )
    print(f" {WHOLE_MM[0]}–{WHOLE_MM[1]} mm |\n|" + "---|" * (len(BINS_MM) + 2))
    for hardening in ("off", "auto"):
        settings = MapSettings(1, calibration=f"rods:{folder}/rods.csv", hardening=hardening, kvp=kvp)
        result = map_femur(volume, mask, side, settings)
        for row in rows(result.periosteal, truth):
            print(f"| {hardening} | {row}", flush=True)
    record = result.provenance["beam_hardening"]
    print(
        f"\napplied: {record['applied']}, strength {record['strength']:.2f} ± {record['strength_sd']:.2f}\n"
    )
    for beam, (tube, pelvis) in BEAMS.items():
        done = correct_hardening(volume, truth.points, side, tube=tube, pelvis=pelvis, always=True)
        print(f"| {beam} | {middle(done.volume, folder, truth):+.1f} % | {done.strength:.2f} |", flush=True)


def rows(bone: Surface, truth: Surface) -> list[str]:
    """Bias / mean absolute error by true thickness, a row a measure."""
    found = closest_points(truth, bone.points)
    thickness, density = (
        interpolate(truth, name, found.triangle, found.weights)
        for name in ("cortical_thickness", "cortical_density")
    )
    good = bone.arrays["quality"] == VertexStatus.GOOD
    errors = {
        "thickness, mm": bone.arrays["cortical_thickness"] - thickness,
        "density, %": 100 * (bone.arrays["cortical_density"] / density - 1),
        "mass, %": 100 * (10 * bone.arrays["cortical_mass_surface_density"] / (thickness * density) - 1),
    }
    bins = [good & (thickness >= low) & (thickness < high) for low, high in [*pairwise(BINS_MM), WHOLE_MM]]
    return [
        f"{name} |" + "".join(f" {_cell(error[inside], name)} |" for inside in bins)
        for name, error in errors.items()
    ]


def middle(volume: Volume, folder: Path, truth: Surface) -> float:
    """Median error (%) of density in the middle of thick cortex whose normal lies in the slices."""
    calibration = parse_calibration(f"rods:{folder}/rods.csv", volume)
    thickness = truth.arrays["cortical_thickness"]
    chosen = (thickness > THICK_MM) & (np.abs(truth.normals[:, 2]) < IN_PLANE)
    hu = volume.sample(truth.points[chosen] - truth.normals[chosen] * (thickness[chosen] / 2)[:, None])
    return float(100 * np.nanmedian(calibration.density(hu) / truth.arrays["cortical_density"][chosen] - 1))


def _cell(error: np.ndarray, name: str) -> str:
    if len(error) < 20:
        return "–"
    digits = 3 if "mm" in name else 1
    return f"{error.mean():+.{digits}f} / {np.abs(error).mean():.{digits}f}"


if __name__ == "__main__":
    main()

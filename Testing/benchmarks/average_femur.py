"""How near the average femur is to real ones, and what a map loses on its way there and back.

Run by ``make bench``. Writes ``Docs/validation/average_femur.md``. Real femurs are looked for in the folder
named by ``CBM_TEST_DATA``, else in ``../shared/data``; without them only simulated ones are told of.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.closest import closest_points
from CorticalBoneMappingLib.files import write_text
from CorticalBoneMappingLib.meshing import remesh
from CorticalBoneMappingLib.registration import register
from CorticalBoneMappingLib.simulation.femur import draw_femur
from CorticalBoneMappingLib.surface import Surface, read_surface

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "Docs" / "validation" / "average_femur.md"
REAL = Path(os.environ.get("CBM_TEST_DATA", ROOT.parent / "shared" / "data")) / "femur_surfaces"
SPACING_MM = 1.6
WAVELENGTHS_MM = (20.0, 40.0, 80.0)

_HEAD = f"""# The average femur against femurs

`make bench` (`Testing/benchmarks/average_femur.py`) wrote this page. Surfaces meshed at {SPACING_MM} mm
were laid on the shipped average (standard mesh).

* *similarity*: mean distance from the covered part of the average, moved and scaled only, to the bone. The
  parametric femur's proportions were adjusted on these real femurs, so for them it is a fit, no validation.
* *laid on*: the same after bending and projection; *folded*: triangles turned over.
* *lost*: root mean square error of a wave cos(2π x / λ + ½) that is carried to the average and back, in
  percent of its standard deviation, over covered points, in three directions.

| femur | similarity, mm | laid on, mm | folded | s |"""


def main() -> None:
    """Register every femur and write the page."""
    rows = [_row(name, surface, side) for name, surface, side in _femurs()]
    lost = "".join(f" lost at {wavelength:g} mm |" for wavelength in WAVELENGTHS_MM)
    lines = [_HEAD.rstrip("|").rstrip() + " |" + lost, "|---|" + "---|" * (4 + len(WAVELENGTHS_MM)), *rows]
    write_text(REPORT, "\n".join(lines) + "\n")
    print(REPORT.read_text(encoding="utf-8"))


def _femurs() -> list[tuple[str, Surface, str]]:
    found = []
    for path in sorted(REAL.glob("*.stl")):
        side = "left" if "_l" in path.stem else "right"
        found.append((f"real, {path.stem.split('_')[0]}, {side}", read_surface(path), side))
    for person in (1, 2):
        found.append((f"simulated, {person}, right", draw_femur(person).bone.surface, "right"))
    return found


def _row(name: str, surface: Surface, side: str) -> str:
    average = load_average().surface
    bone = remesh(surface, spacing_mm=SPACING_MM)
    begun = time.perf_counter()
    laid = register(bone, average, side)
    seconds = time.perf_counter() - begun
    right = bone.mirrored() if side == "left" else bone
    moved = average.points @ laid.matrix[:3, :3].T + laid.matrix[:3, 3]
    similarity = closest_points(right, moved[laid.covered]).distance.mean()
    distance = closest_points(bone, laid.points[laid.covered]).distance.mean()
    cells = [name, f"{similarity:.2f}", f"{distance:.3f}", str(laid.folded), f"{seconds:.1f}"]
    for wavelength in WAVELENGTHS_MM:
        cells.append(f"{100 * _lost(laid, bone.points, wavelength):.1f} %")
    return "| " + " | ".join(cells) + " |"


def _lost(laid, points: np.ndarray, wavelength_mm: float) -> float:
    errors, spreads = [], []
    for axis in np.eye(3):
        wave = np.cos(2 * np.pi * points @ axis / wavelength_mm + 0.5)
        back = laid.to_subject(laid.to_average(wave))
        seen = laid.subject_covered & np.isfinite(back)
        errors.append(np.mean((back - wave)[seen] ** 2))
        spreads.append(np.var(wave[seen]))
    return float(np.sqrt(np.sum(errors) / np.sum(spreads)))


if __name__ == "__main__":
    main()

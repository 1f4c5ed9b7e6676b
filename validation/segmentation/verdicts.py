"""What the verdicts on found femurs rest on: fits as they are, and fits that are misled on purpose.

``python -m validation.segmentation.verdicts FOLDER`` simulates twelve hips that no other benchmark
uses into FOLDER (kept, and used again), finds their femurs, then starts fits from heads that are put in wrong
places or given the wrong side, and prints the ranges of Docs/segmentation.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface
from CorticalBoneMappingLib.io.volume_files import read_volume, write_volume
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.pipeline.find.find_femur import femur_at, find_femurs
from CorticalBoneMappingLib.pipeline.find.found_femur import FoundFemur
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan

FIRST_SEED, N_HIPS = 700, 12
WRONG_MM = 0.5  # mean distance from the true surface; what is right lies below 0.1

_SCANNERS = (
    {"voxel_mm": 0.6, "slice_spacing_mm": 1.0, "noise_hu": 14.0},
    {"voxel_mm": 0.8, "slice_spacing_mm": 2.5, "noise_hu": 25.0, "psf_sigma_mm": 0.6},
    {"voxel_mm": 0.7, "slice_spacing_mm": 1.5, "noise_hu": 18.0},
)
# Hip, shift of the head in mm (R, A, S), change of its radius in mm, whether the other side is said.
_MISLED = (
    (7, (0, 0, 0), 0, True),
    (4, (0, 0, 0), 0, True),
    (11, (15, 0, 0), 0, False),
    (11, (0, -12, -6), 0, False),
    (11, (0, 0, 25), 0, False),
    (1, (-30, 0, -10), 0, False),
    (1, (0, 20, 0), 4, False),
    (4, (0, 0, -40), -3, False),
)
_SHOWN = (
    "confident_share",
    "moved_mm",
    "edge_rms_mm",
    "head_residual_mm",
    "head_bulge_mm",
    "completed_share",
)


def main() -> None:
    """Make the scans, find, mislead, print."""
    folder = Path(sys.argv[1])
    groups: dict[str, list[FoundFemur]] = {}
    for kind, scan_folder, found in chain(_misled(folder), _as_they_are(folder)):
        group = f"{kind}, surface {'wrong' if _mean_distance_mm(scan_folder, found) > WRONG_MM else 'right'}"
        groups.setdefault(group, []).append(found)
        print(scan_folder.name, group, found.verdict, found.evidence.record(), flush=True)
    for group, members in groups.items():
        verdicts = [one.verdict for one in members]
        counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
        print(f"\n{group}: {counts}")
        for name in _SHOWN:
            values = [asdict(one.evidence)[name] for one in members]
            print(f"  {name:18} {min(values):.3f} to {max(values):.3f}")


def _as_they_are(folder: Path) -> Iterator[tuple[str, Path, FoundFemur]]:
    for number in range(N_HIPS):
        for found in find_femurs(read_volume(scan_of(folder, number) / "ct.nrrd")):
            yield "as they are", scan_of(folder, number), found


def _misled(folder: Path) -> Iterator[tuple[str, Path, FoundFemur]]:
    average = load_average()
    for number, shift, wider, flipped in _MISLED:
        made = scan_of(folder, number)
        known = json.loads((made / "info.json").read_text())
        sides = ("left", "right")
        head = SimpleNamespace(
            side=sides[(sides.index(known["side"]) + flipped) % 2],
            centre=np.array(known["head_centre"]) + shift,
            radius_mm=known["head_radius"] + wider,
            confidence=1.0,
        )
        try:
            yield "misled", made, femur_at(read_volume(made / "ct.nrrd"), head, average)
        except CorticalBoneMappingError as error:
            print(made.name, "misled: refused.", error, flush=True)


def _mean_distance_mm(folder: Path, found: FoundFemur) -> float:
    seen = found.surface.arrays["cut_end"] == 0
    truth = read_surface(folder / "truth.vtp")
    return float(closest_points(truth, found.surface.points[seen]).distance.mean())


def scan_of(folder: Path, number: int) -> Path:
    """Simulate a hip, unless that was done before."""
    place = folder / f"{number:02d}"
    if (place / "info.json").is_file():
        return place
    place.mkdir(parents=True, exist_ok=True)
    side, gap_mm, settings = plan_of(number)
    made = simulate_scan(simulate_hip(FIRST_SEED + number, side, joint_space_mm=gap_mm), settings)
    volume, head = made.volume, made.hip.head_centre
    if number == 7:  # the top of its head is outside the scan
        top = int(volume.index_of(head + np.array([0.0, 0.0, 0.6 * made.hip.head_radius_mm]))[2])
        volume = Volume(
            volume.array[:top], volume.ijk_to_ras, "ct", volume.modality, volume.slice_thickness_mm
        )
    write_volume(place / "ct.nrrd", volume)
    write_surface(place / "truth.vtp", made.hip.femur.surface)
    known = {"side": side, "head_centre": head.tolist(), "head_radius": float(made.hip.head_radius_mm)}
    (place / "info.json").write_text(json.dumps(known))
    return place


def plan_of(number: int) -> tuple[str, float, ScannerSettings]:
    """Side, joint space and scanner of a hip: three kinds of scans, a quarter turned, a quarter cropped."""
    random = np.random.default_rng([FIRST_SEED, number])
    scanner = dict(_SCANNERS[number % 3])
    if number % 3 == 1 and number % 2:
        scanner["slice_spacing_mm"] = 3.0
    turn = 20.0 if number % 4 == 2 else 5.0
    rotation = tuple(random.uniform(-turn, turn, 3))
    cropped = number % 4 == 3
    settings = ScannerSettings(
        **scanner,
        seed=number,
        patient_rotation_deg=rotation,
        patient_position_mm=tuple(random.uniform(-60.0, 60.0, 3)),
        margin_mm=6.0 if cropped else 35.0,
        shaft_cut_mm=float(random.uniform(40.0, 60.0)) if cropped else 12.0,
        edge_enhancement=0.3 if number == 6 else 0.0,
        bone_hardening=0.05 if number == 9 else 0.0,
    )
    side = ("right", "left")[number % 2 if number < 6 else (number // 2) % 2]
    return side, float(random.uniform(2.0, 4.0)), settings


if __name__ == "__main__":
    main()

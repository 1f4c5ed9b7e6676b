"""Which scans the benchmark is made of. Nobody develops on these seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.simulation import ScannerSettings

N_HIPS = 24
FIRST_SEED, FIRST_PAIR_SEED, FIRST_REAL_SEED = 800, 850, 870
GAP_MM = (2.0, 4.0)

HIP, PAIR, REAL, NAIL, PHYSICAL = "hip", "both hips", "real bone", "nail", "physical scanner"
"""Kinds of scans."""

TIGHT, NO_TOP, NO_TROCHANTER = "tight field", "top of the head outside", "edge of the trochanter outside"
FEET_FIRST, PRONE, SAGITTAL = "stored feet first", "stored prone", "stored as sagittal slices"

_ROTATION_DEG, _PLAY_DEG = (14.0, 20.0), (0.0, 5.0)
_FINE = (
    {"voxel_mm": 0.6, "slice_spacing_mm": 1.0, "noise_hu": 14.0},
    {"voxel_mm": 0.7, "slice_spacing_mm": 1.5, "noise_hu": 18.0, "psf_sigma_mm": 0.52},
    {"voxel_mm": 0.5, "slice_spacing_mm": 0.6, "noise_hu": 14.0, "psf_sigma_mm": 0.42},
)
_COARSE = {"voxel_mm": 0.8, "noise_hu": 25.0, "psf_sigma_mm": 0.57}
_COARSE_SLICES_MM = (2.5, 3.0)
# The first is the one whose time is reported: 512 × 512 pixels, about 150 slices.
_PAIRS = (
    {
        "voxel_mm": 0.8,
        "slice_spacing_mm": 1.5,
        "noise_hu": 18.0,
        "psf_sigma_mm": 0.55,
        "margin_mm": 75.0,
    },
    _COARSE | {"slice_spacing_mm": 2.5, "margin_mm": 45.0},
)
REAL_FEMURS = ("m3, left", "m3, right", "m4, left", "m4, right")
_PHYSICAL = (("0.6 × 0.6 × 1.0", 11), ("0.8 × 0.8 × 2.5", 11), ("0.7 × 0.7 × 3.0", 12))


@dataclass(frozen=True)
class Case:
    """One scan of the benchmark.

    Attributes
    ----------
    name : str
        As in tables.
    kind : str
        `HIP` and so on.
    seed : int
        Of the person.
    side : str
        ``"left"``, ``"right"`` or, for `PAIR`, ``"both"``.
    gap_mm : float
        Between head and socket.
    settings : ScannerSettings
        Of the scanner.
    cut : str
        What the field leaves out, `TIGHT` and so on; empty if nothing but the lower shaft.
    stored : str
        How the voxels lie in the file, `FEET_FIRST` and so on; empty for the usual way.
    vessel : bool
        Whether an artery is full of contrast agent.
    bone : str
        Name of the real femur, of the physical scanner's protocol; empty for others.
    """

    name: str
    kind: str
    seed: int
    side: str
    gap_mm: float
    settings: ScannerSettings = field(default_factory=ScannerSettings)
    cut: str = ""
    stored: str = ""
    vessel: bool = False
    bone: str = ""

    @property
    def coarse(self) -> bool:
        """Whether the slices are 2.5 mm or thicker."""
        return self.settings.slice_spacing_mm >= 2.5

    @property
    def rotated(self) -> bool:
        """Whether the patient is turned more than a few degrees."""
        return _angle_deg(self.settings.patient_rotation_deg) > _PLAY_DEG[1]

    @property
    def voxels(self) -> str:
        """Voxel size, for tables."""
        return f"{self.settings.voxel_mm:g} × {self.settings.slice_spacing_mm:g}"

    @property
    def title(self) -> str:
        """Name with its kind."""
        before = {HIP: "hip ", REAL: "real femur "}.get(self.kind, "")
        return before + self.name

    @property
    def text(self) -> str:
        """What is special about it, for tables."""
        settings = self.settings
        words = [self.cut, self.stored, self.bone if self.kind == PHYSICAL else ""]
        words += [f"patient turned {_angle_deg(settings.patient_rotation_deg):.0f}°"] * self.rotated
        words += [f"slices oblique {_angle_deg(settings.grid_rotation_deg):.0f}°"] * any(
            settings.grid_rotation_deg
        )
        words += ["edge-enhancing kernel"] * (settings.edge_enhancement > 0)
        words += ["beam hardening, cupping"] * (settings.bone_hardening > 0)
        words += ["contrast agent"] * self.vessel
        return ", ".join(word for word in words if word)


def plan(quick: bool = False) -> list[Case]:
    """Give all scans; `quick` is a fine and a coarse hip, a tight field and a pair."""
    hips = [_hip(number) for number in range(N_HIPS)]
    pairs = [_pair(number) for number in range(len(_PAIRS))]
    if quick:
        return [*hips[:3], pairs[1]]
    return [*hips, *pairs, *_real(), _nail(), *_physical()]


def as_key(case: Case) -> dict[str, Any]:
    """What the scan of a case depends on, plain."""
    return case.__dict__ | {"settings": case.settings.__dict__}


def _angle_deg(euler_deg: tuple[float, float, float]) -> float:
    return float(np.degrees(Rotation.from_euler("xyz", euler_deg, degrees=True).magnitude()))


def _voxels(number: int) -> dict[str, float]:
    """Fine and coarse scans take turns."""
    turn = number // 2
    if number % 2:
        return _COARSE | {"slice_spacing_mm": _COARSE_SLICES_MM[turn % 2]}
    return _FINE[turn % len(_FINE)]


def _hip(number: int) -> Case:
    """A simulated hip; every eight in a row: two plain, two cropped, two turned, two hard to see."""
    random = np.random.default_rng([FIRST_SEED, number])
    part, gap = number % 8, float(random.uniform(*GAP_MM))
    turn = _ROTATION_DEG if part in (4, 5) else _PLAY_DEG
    axis = random.standard_normal(3)
    rotation = Rotation.from_rotvec(random.uniform(*turn) * axis / np.linalg.norm(axis), degrees=True)
    oblique = {1: (14.0, -9.0, 6.0), 16: (-10.0, 12.0, -15.0)}.get(number, (0.0, 0.0, 0.0))
    cut = {2: TIGHT, 3: NO_TOP, 10: NO_TROCHANTER, 11: TIGHT, 18: NO_TOP, 19: NO_TROCHANTER}.get(number, "")
    settings = ScannerSettings(
        **_voxels(number),
        seed=FIRST_SEED + number,
        patient_rotation_deg=tuple(rotation.as_euler("xyz", degrees=True).round(2).tolist()),
        patient_position_mm=tuple(random.uniform(-60.0, 60.0, 3).round(2).tolist()),
        grid_rotation_deg=oblique,
        margin_mm=6.0 if cut else float(random.uniform(20.0, 45.0)),
        shaft_cut_mm=float(random.uniform(45.0, 60.0)) if cut else float(random.uniform(10.0, 30.0)),
        rods=not cut and number % 3 == 0,
        edge_enhancement=0.3 if part == 6 else 0.0,
        bone_hardening=0.05 if part == 7 else 0.0,
        cupping_hu=30.0 if part == 7 else 0.0,
    )
    return Case(
        name=f"{number + 1}",
        kind=HIP,
        seed=FIRST_SEED + number,
        side="right" if (number // 2 + number) % 2 else "left",
        gap_mm=round(gap, 2),
        settings=settings,
        cut=cut,
        stored={8: FEET_FIRST, 9: PRONE, 14: SAGITTAL}.get(number, ""),
        vessel=number in (0, 7, 17),
    )


def _pair(number: int) -> Case:
    settings = ScannerSettings(**_PAIRS[number], seed=FIRST_PAIR_SEED + number, shaft_cut_mm=20.0)
    return Case(f"pair {number + 1}", PAIR, FIRST_PAIR_SEED + number, "both", 2.4 + number, settings)


def _real() -> list[Case]:
    """Real femurs in a simulated scan, fine and coarse in turn."""
    cases = []
    for number, bone in enumerate(REAL_FEMURS):
        seed = FIRST_REAL_SEED + number
        settings = ScannerSettings(**_voxels(number), seed=seed, margin_mm=30.0, shaft_cut_mm=25.0)
        cases.append(Case(bone, REAL, seed, bone.split(", ")[1], 3.0, settings, bone="real femur"))
    return cases


def _nail() -> Case:
    settings = ScannerSettings(**_FINE[0], seed=880, margin_mm=30.0)
    return Case("nail", NAIL, 880, "left", 3.0, settings)


def _physical() -> list[Case]:
    """Scans of the physical simulator that the measurement's benchmark makes, too."""
    cases = []
    for protocol, person in _PHYSICAL:
        pixel, _, slice_ = map(float, protocol.split(" × "))
        settings = ScannerSettings(voxel_mm=pixel, slice_spacing_mm=slice_)
        side = "left" if person % 2 else "right"
        cases.append(Case(f"physical {len(cases) + 1}", PHYSICAL, person, side, 0.0, settings, bone=protocol))
    return cases

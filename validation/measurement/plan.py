"""Which scans the benchmark is made of: protocols, persons, scanners, positions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from CorticalBoneMappingLib.simulation import ScannerSettings

PLAIN, EDGE, PHYSICAL, PHYSICAL_BONE = "Gaussian", "edge-enhanced", "physical", "physical, bone kernel"
"""Kinds of scanner: the library's own without and with overshoot, and the physical one by its kernel."""


@dataclass(frozen=True)
class Protocol:
    """One way of scanning, and the kind of patient it is shown with.

    Attributes
    ----------
    name : str
        As in tables.
    pixel_mm, slice_mm, noise_hu, psf_sigma_mm : float
        Of the library's own scanner; σ is the middle of the values used.
    bone_hardening : float
        Beam hardening of the standard scans; the others of the protocol have it the other way round.
    thickness_factor : float or None
        Of the cortex; None leaves the person as drawn.
    joint_space_mm : float
        Between head and socket.
    physical : str
        Name of the physical scanner's protocol of that kind.
    """

    name: str
    pixel_mm: float
    slice_mm: float
    noise_hu: float
    psf_sigma_mm: float
    bone_hardening: float
    thickness_factor: float | None
    joint_space_mm: float
    physical: str


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("0.4 × 0.4 × 0.6", 0.4, 0.6, 10.0, 0.38, 0.0, None, 3.0, "finest"),
        Protocol("0.6 × 0.6 × 1.0", 0.6, 1.0, 14.0, 0.47, 0.0, None, 3.0, "fine"),
        Protocol("0.8 × 0.8 × 2.5", 0.8, 2.5, 24.0, 0.57, 0.05, 0.72, 2.2, "coarse"),
        Protocol("0.7 × 0.7 × 3.0", 0.7, 3.0, 20.0, 0.52, 0.05, None, 3.0, "mid"),
        Protocol("0.9 × 0.9 × 3.0", 0.9, 3.0, 24.0, 0.62, 0.05, None, 3.0, "thick"),
    )
}
FINEST, FINE, COARSE, MID, THICK = PROTOCOLS

_HARDENING = 0.05
_PERSONS, _EDGE_PERSONS, _FLIPPED_PERSONS, _PHYSICAL_PERSONS = (1, 2, 3, 4, 5), (6, 7), (1, 2), (11, 12)
_REPEATS, _REPEATED_PERSONS = 4, (21, 22, 23)
_DEFECT_PERSONS = (31, 32)
_DENSITY_PERSONS = (41, 42)
_PSF_FACTORS = (1.0, 0.88, 1.15, 0.95, 1.25)
_ANISOTROPY = (0.8, 1.5, 1.0, 0.6, 1.2)
_EDGE_ENHANCEMENT = 0.3
_POSE_SD_DEG, _POSE_SD_MM = 4.0, 5.0


@dataclass(frozen=True)
class Case:
    """One scan of the benchmark.

    Attributes
    ----------
    purpose : {"accuracy", "repeat", "defect"}
        Which table it is for.
    protocol : str
        Name in `PROTOCOLS`.
    scanner : str
        Kind of scanner.
    person : int
        Seed of shape and tissue.
    seed : int
        Of position, noise and the error of the label map.
    hardened : bool
        Whether the beam hardens.
    thinned : bool
        Whether the cortex has the focal defect.
    density_variation : float
        How much cortical density follows thickness: 1 as in the simulated population, 0 not at all, −1 the
        other way round. A method that leans on what a population is like must not depend on it.
    structured : bool
        Whether the bone has a microstructure: struts, pores, a trabecularised zone, a rough surface.
    """

    purpose: str
    protocol: str
    scanner: str
    person: int
    seed: int = 0
    hardened: bool = False
    thinned: bool = False
    density_variation: float = 1.0
    structured: bool = False

    @property
    def side(self) -> str:
        """Side of the body: left in every second person."""
        return "left" if self.person % 2 else "right"

    @property
    def text(self) -> str:
        """A line for people."""
        words = [self.purpose, f"{self.protocol} mm", self.scanner, f"person {self.person}", self.side]
        words += [f"scan {self.seed}"] * (self.purpose == "repeat") + ["hardened"] * self.hardened
        words += ["thinned"] * self.thinned + ["structured"] * self.structured
        if self.density_variation != 1.0:
            words.append(f"density × {self.density_variation:g}")
        return ", ".join(words)

    @property
    def settings(self) -> ScannerSettings:
        """Of the library's own scanner; blur, noise and position differ from person to person."""
        protocol, turn = PROTOCOLS[self.protocol], (self.person - 1) % len(_PSF_FACTORS)
        random = np.random.default_rng([self.person, self.seed, 3])
        rotation = tuple(float(value) for value in _POSE_SD_DEG * random.standard_normal(3))
        position = tuple(float(value) for value in _POSE_SD_MM * random.standard_normal(3))
        return ScannerSettings(
            voxel_mm=protocol.pixel_mm,
            slice_spacing_mm=protocol.slice_mm,
            psf_sigma_mm=protocol.psf_sigma_mm * _PSF_FACTORS[turn],
            edge_enhancement=_EDGE_ENHANCEMENT if self.scanner == EDGE else 0.0,
            noise_hu=protocol.noise_hu,
            noise_anisotropy=_ANISOTROPY[turn],
            bone_hardening=_HARDENING if self.hardened else 0.0,
            patient_rotation_deg=rotation,
            patient_position_mm=position,
            seed=1000 * self.person + self.seed,
        )


def plan(quick: bool = False) -> list[Case]:
    """Give all scans, those that show most first; `quick` is one femur in two protocols."""
    if quick:
        return [_standard(FINE, 1), _standard(COARSE, 1)]
    first, *later = ([_standard(name, person) for name in PROTOCOLS] for person in _PERSONS)
    others = [_physical(person) for person in _PHYSICAL_PERSONS]
    edge = [[replace(_standard(n, person), scanner=EDGE) for n in PROTOCOLS] for person in _EDGE_PERSONS]
    flipped = [_flipped(_standard(name, person)) for person in _FLIPPED_PERSONS for name in PROTOCOLS]
    groups = [
        first,
        others[0][:3],
        _defects(),
        _other_densities(),
        later[0],
        edge[0],
        _repeats(),
        others[1][:3],
        *later[1:],
    ]
    groups += [flipped, *edge[1:], *(some[3:] for some in others)]
    return [case for group in groups for case in group]


def _physical(person: int) -> list[Case]:
    """Scans of one person by the physical scanner; whether the beam hardens is set by protocol."""
    protocols = (FINE, COARSE, MID, FINEST, THICK)
    cases = [
        Case("accuracy", name, PHYSICAL, person, hardened=name not in (FINEST, FINE)) for name in protocols
    ]
    return [*cases, Case("accuracy", FINE, PHYSICAL_BONE, person, hardened=True)]


def _standard(name: str, person: int) -> Case:
    return Case("accuracy", name, PLAIN, person, hardened=PROTOCOLS[name].bone_hardening > 0)


def _flipped(case: Case) -> Case:
    return replace(case, hardened=not case.hardened)


def _repeats() -> list[Case]:
    return [
        Case("repeat", FINE, PLAIN, person, seed) for person in _REPEATED_PERSONS for seed in range(_REPEATS)
    ]


def _defects() -> list[Case]:
    """Pairs of scans that differ by the defect alone."""
    return [
        replace(_standard(name, person), purpose="defect", thinned=thinned)
        for person in _DEFECT_PERSONS
        for name in (FINE, COARSE)
        for thinned in (False, True)
    ]


def _other_densities() -> list[Case]:
    """Bones whose cortical density goes with thickness otherwise than in the population."""
    return [
        replace(_standard(name, person), density_variation=variation)
        for person in _DENSITY_PERSONS
        for name in (FINE, COARSE)
        for variation in (0.0, -1.0)
    ]


def as_key(case: Case) -> dict[str, Any]:
    """What the scan of a case depends on, plain."""
    other: dict[str, Any] = {"structured": True} if case.structured else {}
    if case.density_variation != 1.0:
        other["density_variation"] = case.density_variation
    return other | {
        "protocol": case.protocol,
        "scanner": case.scanner,
        "person": case.person,
        "seed": case.seed,
        "hardened": case.hardened,
        "thinned": case.thinned,
        "side": case.side,
    }

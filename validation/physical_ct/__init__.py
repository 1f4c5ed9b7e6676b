"""A second CT scanner, by physics, for benchmarks: what it shares with the library's own is the digital hip.

Polychromatic rays through a whole body, photon noise, water correction and filtered back-projection; so a
measurement that suits only the Gaussian blur of `CorticalBoneMappingLib.simulation` is found out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from CorticalBoneMappingLib.core.progress import Progress
from CorticalBoneMappingLib.simulation import simulate_hip
from CorticalBoneMappingLib.simulation.hip.bone import Hip
from CorticalBoneMappingLib.simulation.hip.femur import draw_femur
from CorticalBoneMappingLib.simulation.hip.structured import structured

from .files import cached
from .protocol import PROTOCOLS, Protocol
from .scan import PhysicalScan, scan

__all__ = ["PROTOCOLS", "PhysicalScan", "Protocol", "patient_of", "scan", "simulate"]


def simulate(
    person: int,
    protocol: Protocol | str = "fine",
    side: str = "right",
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress | None = None,
    structure: bool = False,
) -> PhysicalScan:
    """Draw a person and scan the hip.

    Parameters
    ----------
    person : int
        Seed of shape and tissue.
    protocol : Protocol or str
        Or its name in `PROTOCOLS`.
    side : str
        ``"left"`` or ``"right"``.
    seed : int
        Of position and noise: another seed is a repeat scan of the same person.
    cache : Path, optional
        Folder that keeps scans: the same one is not made twice.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    structure : bool
        Whether bone has a microstructure, with the numbers of the person.

    Returns
    -------
    PhysicalScan
    """
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    hip = patient_of(person, protocol, side)
    hip = structured(hip, person) if structure else hip

    def make() -> PhysicalScan:
        return scan(hip, protocol, seed, progress=progress)

    return make() if cache is None else cached(cache, hip, protocol, seed, make)


def patient_of(person: int, protocol: Protocol, side: str = "right") -> Hip:
    """Draw the hip of a person as the protocol wants it: joint space, and thickness of the cortex."""
    tissue = None
    if protocol.thickness_factor is not None:
        tissue = replace(draw_femur(person, side).tissue, thickness_factor=protocol.thickness_factor)
    return simulate_hip(person, side, tissue, protocol.joint_space_mm)

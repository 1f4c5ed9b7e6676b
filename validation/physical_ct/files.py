"""A physical scan as files that ``cbm map`` and any viewer read, and a cache of scans."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.files import whole_file, write_json, write_text
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.io.volume_files import write_volume
from CorticalBoneMappingLib.simulation.hip.bone import Hip
from CorticalBoneMappingLib.simulation.hip.structure_truth import with_local_truth

from .body import ROD_DENSITY, ROD_WATER
from .protocol import Protocol
from .scan import FEMUR_LABEL, PhysicalScan, positioned

_ROD_RADIUS_MM, _ROD_LENGTH_MM = 4.0, 40.0  # the part of a rod that no edge blurs into


def write_scan(folder: Path, made: PhysicalScan, notes: dict[str, Any] | None = None) -> None:
    """Write ct.nrrd, mask.nrrd (the femur alone), truth.vtp, rods.csv and protocol.json.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    made : PhysicalScan
        The scan.
    notes : dict, optional
        Further entries of protocol.json.
    """
    write_volume(folder / "ct.nrrd", made.volume)
    mask = replace(made.labelmap, array=(made.labelmap.array == FEMUR_LABEL).astype(np.uint8))
    write_volume(folder / "mask.nrrd", mask)
    femur = made.hip.femur
    write_surface(
        folder / "truth.vtp", femur.surface if femur.microstructure is None else with_local_truth(femur)
    )
    lines = ["# equivalent: K2HPO4", "density,water,x_ras,y_ras,z_ras,radius_mm,length_mm"]
    for density, water, place in zip(ROD_DENSITY, ROD_WATER, made.rods):
        place = ",".join(f"{value:.3f}" for value in place)
        lines.append(f"{density},{water},{place},{_ROD_RADIUS_MM},{_ROD_LENGTH_MM}")
    write_text(folder / "rods.csv", "\n".join(lines) + "\n")
    settings = asdict(made.protocol) | {"side": made.hip.side, "seed": made.seed} | (notes or {})
    write_json(folder / "protocol.json", settings)


def cached(
    folder: Path, hip: Hip, protocol: Protocol, seed: int, make: Callable[[], PhysicalScan]
) -> PhysicalScan:
    """Give a scan from a folder of earlier ones, or make it and keep it there.

    Parameters
    ----------
    folder : Path
        Of the cache; made if it is not there. It holds one NPZ a scan and can be deleted at any time.
    hip : Hip
        Before it is positioned.
    protocol : Protocol
        Of the scan.
    seed : int
        Of position and noise.
    make : callable
        Makes the scan.

    Returns
    -------
    PhysicalScan
        The name of its file depends on the hip, the protocol, the seed and this program's source.
    """
    path = folder / f"{_key(hip, protocol, seed)}.npz"
    if not path.is_file():
        made = make()
        with whole_file(path) as temporary:
            np.savez_compressed(
                temporary,
                hu=made.volume.array.astype(np.int16),
                labels=made.labelmap.array,
                ijk_to_ras=made.volume.ijk_to_ras,
                rods=made.rods,
            )
        return made
    with np.load(path) as stored:
        matrix = stored["ijk_to_ras"]
        hu = stored["hu"].astype(np.float32)
        volume = Volume(hu, matrix, "physical CT", "CT", protocol.slice_thickness_mm)
        labelmap = Volume(stored["labels"], matrix, "physical CT, labels")
        rods = stored["rods"]
    return PhysicalScan(volume, labelmap, positioned(hip, protocol, seed), rods, protocol, seed)


def _key(hip: Hip, protocol: Protocol, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([asdict(protocol), seed, hip.side], sort_keys=True).encode())
    for bone in (hip.femur, *hip.other_bones):
        surface = bone.surface
        some = surface.points[::500]
        inside = bone.trabecular_density(some, np.full(len(some), 5.0))
        shell = (surface.arrays["cortical_thickness"], surface.arrays["cortical_density"])
        if bone.microstructure is not None:
            inside = np.concatenate([inside, bone.microstructure.zone_mm(some)])
            digest.update(repr(bone.microstructure.structure).encode())
        for values in (surface.points, surface.triangles, *shell, inside):
            digest.update(np.ascontiguousarray(values).tobytes())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:24]

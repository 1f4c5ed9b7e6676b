"""A physical scan as files that ``cbm map`` and any viewer read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from CorticalBoneMappingLib.files import write_json, write_text
from CorticalBoneMappingLib.surface import write_surface
from CorticalBoneMappingLib.volume_files import write_volume

from .body import ROD_DENSITY, ROD_WATER
from .scan import PhysicalScan

_ROD_RADIUS_MM, _ROD_LENGTH_MM = 4.0, 40.0  # the part of a rod that no edge blurs into


def write_scan(folder: Path, made: PhysicalScan, notes: dict[str, Any] | None = None) -> None:
    """Write ct.nrrd, mask.nrrd, truth.vtp, rods.csv and protocol.json.

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
    write_volume(folder / "mask.nrrd", made.labelmap)
    write_surface(folder / "truth.vtp", made.hip.femur.surface)
    lines = ["# equivalent: K2HPO4", "density,water,x_ras,y_ras,z_ras,radius_mm,length_mm"]
    for density, water, place in zip(ROD_DENSITY, ROD_WATER, made.rods):
        place = ",".join(f"{value:.3f}" for value in place)
        lines.append(f"{density},{water},{place},{_ROD_RADIUS_MM},{_ROD_LENGTH_MM}")
    write_text(folder / "rods.csv", "\n".join(lines) + "\n")
    settings = asdict(made.protocol) | {"side": made.hip.side, "seed": made.seed} | (notes or {})
    write_json(folder / "protocol.json", settings)

"""The scans of the benchmark on disk, as files that ``cbm segment`` and any viewer read."""

from __future__ import annotations

import ast
import inspect
import json
import tempfile
from functools import cache as once
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.io.files import write_json
from CorticalBoneMappingLib.io.folders import whole_folder
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume, write_volume
from CorticalBoneMappingLib.simulation import simulate_hip, simulate_scan

from ..measurement.cache import code, digest, sources
from . import both_hips, making, real_femur
from .making import KnownScan, TrueFemur, make
from .plan import REAL, Case, as_key

MEASUREMENT_CACHE = Path(tempfile.gettempdir()) / "cortical-bone-mapping-benchmark"
CACHE = MEASUREMENT_CACHE / "segmentation"
_TRUTH = "truth.json"


def is_here(case: Case) -> bool:
    """Whether a case can be made: the real femurs are not part of the project."""
    return case.kind != REAL or real_femur.real_femur_file(case.name).is_file()


def scan_folder(case: Case) -> Path:
    """Give the folder with a case's scan; it is made if it is not there."""
    folder = CACHE / "scans" / digest(as_key(case), _sources())
    if not (folder / _TRUTH).is_file():
        _write(folder, make(case, MEASUREMENT_CACHE))
    return folder


def ct_of(folder: Path) -> Path:
    """Where the CT is in a scan's folder."""
    return folder / "ct.nrrd"


def read_known(folder: Path) -> KnownScan:
    """Read a scan and its truth."""
    records = json.loads((folder / _TRUTH).read_text(encoding="utf-8"))["femurs"]
    femurs = tuple(
        TrueFemur(
            one["side"],
            one["label"],
            read_surface(folder / f"{one['side']}.vtp"),
            np.array(one["head_centre"]),
            one["head_radius_mm"],
        )
        for one in records
    )
    return KnownScan(read_volume(ct_of(folder)), read_labelmap(folder / "labels.nrrd"), femurs)


def _write(folder: Path, known: KnownScan) -> None:
    records = []
    with whole_folder(folder, "scan of the benchmark", _TRUTH) as temporary:
        write_volume(ct_of(temporary), known.volume)
        write_volume(temporary / "labels.nrrd", known.labelmap)
        for femur in known.femurs:
            write_surface(temporary / f"{femur.side}.vtp", femur.surface)
            records.append(
                {
                    "side": femur.side,
                    "label": femur.label,
                    "head_centre": femur.head_centre.tolist(),
                    "head_radius_mm": femur.head_radius_mm,
                }
            )
        write_json(temporary / _TRUTH, {"femurs": records})


@once
def _sources() -> bytes:
    """Text of all that makes scans; what the plan says about a case comes by `as_key`."""
    modules = (making, real_femur, both_hips)
    own = [code(ast.parse(Path(module.__file__).read_bytes())) for module in modules]
    return b"".join([*own, *(sources(Path(inspect.getfile(made))) for made in (simulate_hip, simulate_scan))])

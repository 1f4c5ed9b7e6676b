"""The simulated hip that inputs are made of, and the map of a stored form of it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.io.surface_files import read_surface

from .judged import Answer

OPTIONS = ("--seed", "5", "--side", "right", "--voxel", "0.9", "--slice", "2")
LABEL, SPACING_MM = 1, 2.5
THICKNESS_MM, DENSITY = 0.02, 0.005
"""How far a map may differ from that of the same scan stored plainly: mm, and a share."""


def cbm(*arguments: str | Path) -> str:
    """Run a command of the command line; give what it printed, raise what it refused."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    if code:
        raise CorticalBoneMappingError(err.getvalue().strip().removeprefix("error: "))
    return out.getvalue()


@lru_cache(maxsize=1)
def base() -> Path:
    """Give the folder of the plain scan: ``ct.nrrd``, ``labels.nrrd``, ``rods.csv``, simulated once.

    Where the variable CBM_INPUTS_HIP names such a folder, it is taken from there.
    """
    if ready := os.environ.get("CBM_INPUTS_HIP"):
        return Path(ready)
    folder = Path(_KEPT.name)
    cbm("simulate", "hip", *OPTIONS, "--out", folder, "--quiet")
    return folder


_KEPT = tempfile.TemporaryDirectory(prefix="cbm-inputs-hip-")


def mapped(
    ct: Path, folder: Path, *options: str | Path, mask: Path | None = None
) -> tuple[float, float, list[str]]:
    """Map a stored form of the hip by the command line.

    Parameters
    ----------
    ct : Path
        File or folder.
    folder : Path
        For the result.
    *options
        Further options of ``cbm map``.
    mask : Path, optional
        By default the plain label map.

    Returns
    -------
    thickness : float
        Mean over the whole femur, mm.
    density : float
        Likewise, in HU or, with a calibration, mg/cm³.
    notes : list of str
        What the result says beside it.
    """
    femur = ["--mask", mask or base() / "labels.nrrd"]
    femur += ["--label", str(LABEL)] if mask is None else []
    out = folder / "map"
    cbm("map", ct, *femur, "--side", "right", "--out", out, "--spacing", str(SPACING_MM), "--quiet", *options)
    surface = read_surface(out / "periosteal_surface.vtp")
    thickness, density = (
        float(np.nanmean(surface.arrays[name])) for name in ("cortical_thickness", "cortical_density")
    )
    return thickness, density, json.loads((out / "provenance.json").read_text(encoding="utf-8"))["notes"]


@lru_cache(maxsize=8)
def plain(*options: str) -> tuple[float, float]:
    """Thickness and density of the plain scan with some options of ``cbm map``."""
    with tempfile.TemporaryDirectory(prefix="cbm-input-") as folder:
        return mapped(base() / "ct.nrrd", Path(folder), *options)[:2]


def as_plain(
    ct: Path, folder: Path, *options: str | Path, mask: Path | None = None, against: tuple[str, ...] = ()
) -> Answer:
    """Map a stored form of the hip and hold it against the plain one mapped with the options `against`."""
    thickness, density, notes = mapped(ct, folder, *options, mask=mask)
    true_thickness, true_density = plain(*against)
    is_right = abs(thickness - true_thickness) <= THICKNESS_MM and abs(density / true_density - 1) <= DENSITY
    text = f"{thickness:.3f} mm, {density:.0f} (plain: {true_thickness:.3f} mm, {true_density:.0f})"
    return Answer(text, is_right, notes)

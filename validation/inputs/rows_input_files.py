"""Every byte that is read: files beside the one that is named, and what a result is made from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.pipeline.provenance import input_record

from .hip import SPACING_MM, base, cbm
from .judged import REFUSED, Answer, Input


def small_scan(path: Path, value: int = 0) -> Path:
    """A small CT, by ITK, so that every format is available."""
    array = np.linspace(-1000, 1000 + value, 216).astype(np.int16).reshape(6, 6, 6)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


def _dicom(folder: Path, value: float = 0.0) -> Path:
    from CorticalBoneMappingLib.simulation.scanner.dicom_writer import write_dicom_series

    array = np.linspace(-1000, 1000 + value, 216).astype(np.int16).reshape(6, 6, 6)
    write_dicom_series(folder, Volume(array, np.eye(4), modality="CT"), 1)
    return sorted(folder.iterdir())[2]


def _differs(make: Callable[[Path], Path], change: Callable[[Path], None], folder: Path) -> Answer:
    """Whether the hash of an input sees a change of a file that is not the one that is named."""
    path = make(folder)
    named, before = path.read_bytes(), input_record(path)
    change(folder)
    path.write_bytes(named)
    after = input_record(path)
    text = f"hash of {', '.join(after.get('covers', [after['name']]))}: "
    differs = after["sha256"] != before["sha256"]
    return Answer(text + ("another" if differs else "the same"), differs)


def _same(make: Callable[[Path], Path], change: Callable[[Path], None], folder: Path) -> Answer:
    path = make(folder)
    before = input_record(path)
    change(folder)
    is_same = input_record(path)["sha256"] == before["sha256"]
    return Answer("the same hash" if is_same else "another hash", is_same)


def _study_runs_again(folder: Path) -> Answer:
    """A study whose scan is a header and its voxels, run twice, the voxels changed in between."""
    ct = sitk.ReadImage(str(base() / "ct.nrrd"), sitk.sitkInt16)
    sitk.WriteImage(ct, str(folder / "p1.mhd"))
    shutil.copy2(base() / "labels.nrrd", folder / "labels.nrrd")
    write_text(
        folder / "people.csv",
        "participant,visit,side,path,mask,label\nP1,0,right,p1.mhd,labels.nrrd,1\n",
    )
    text = '[study]\nname = "S"\ntable = "people.csv"\nresults = "maps"\n[scans]\n'
    write_text(folder / "study.toml", text + f"[map]\nspacing_mm = {SPACING_MM}\n")
    run = ("study", "run", folder / "study.toml", "--workers", "1", "--progress", "none")
    cbm(*run)
    kept = "1 were up to date" in cbm(*run)
    raw = folder / "p1.raw"
    raw.write_bytes((np.frombuffer(raw.read_bytes(), "<i2") * 0.9).astype("<i2").tobytes())
    said = cbm(*run).splitlines()[0]
    return Answer(said, kept and "1 mapped" in said)


def _voxels(folder: Path) -> None:
    small_scan(folder / "p1.mhd", 300)


def _compressed(folder: Path) -> Path:
    image = sitk.GetImageFromArray(np.linspace(-1000, 1000, 216).astype(np.int16).reshape(6, 6, 6))
    sitk.WriteImage(image, str(folder / "p1.mhd"), useCompression=True)
    return folder / "p1.mhd"


def _text(name: str, text: str, folder: Path) -> None:
    write_text(folder / name, text)


def _other_slices(folder: Path) -> None:
    _dicom(folder / "dicom", 300.0)


def _read_beside(folder: Path) -> Answer:
    """A header whose voxels are gone."""
    path = small_scan(folder / "p1.mhd")
    (folder / "p1.raw").unlink()
    read_volume(path)
    return Answer("read", False)


INPUTS = [
    Input(
        "A8",
        "p1.mhd whose p1.raw has changed",
        "another scan",
        partial(_differs, lambda f: small_scan(f / "p1.mhd"), _voxels),
    ),
    Input(
        "A8",
        "p1.mhd whose compressed p1.zraw has changed",
        "another scan",
        partial(_differs, _compressed, partial(_text, "p1.zraw", "x")),
    ),
    Input(
        "A8",
        "p1.nhdr whose data file has changed",
        "another scan",
        partial(_differs, lambda f: small_scan(f / "p1.nhdr"), lambda f: small_scan(f / "p1.nhdr", 300)),
    ),
    Input(
        "A8",
        "one slice of a DICOM series whose other slices have changed",
        "another scan",
        partial(_differs, lambda f: _dicom(f / "dicom"), _other_slices),
    ),
    Input(
        "A8",
        "a NIfTI beside which a JSON file has appeared",
        "another input",
        partial(_differs, lambda f: small_scan(f / "ct.nii.gz"), partial(_text, "ct.json", "{}")),
    ),
    Input("A8", "cbm study run after p1.raw has changed", "mapped again", _study_runs_again, is_long=True),
    Input(
        "A8", "p1.mhd without its p1.raw", "no voxels", _read_beside, REFUSED, ("p1.raw", "does not exist")
    ),
    Input(
        "kept",
        "a NRRD file beside which other files change",
        "the same scan",
        partial(_same, lambda f: small_scan(f / "ct.nrrd"), partial(_text, "other.json", "{}")),
    ),
    Input(
        "kept",
        "a DICOM folder that Finder has looked into (.DS_Store)",
        "the same scan",
        partial(_same, lambda f: _dicom(f / "dicom").parent, partial(_text, "dicom/.DS_Store", "x")),
    ),
]

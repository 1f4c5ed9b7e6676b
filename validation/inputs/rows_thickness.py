"""How thick slices are: stated rightly, wrongly or not at all, and slices that overlap or were resampled."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_volume, write_volume
from CorticalBoneMappingLib.pipeline.settings import MapSettings
from CorticalBoneMappingLib.simulation.scanner.dicom_writer import write_dicom_series
from CorticalBoneMappingLib.study.study_file.scans import StudyScans, cases_of, read_scans

from .hip import DENSITY, OPTIONS, THICKNESS_MM, as_plain, base, cbm, mapped
from .judged import REFUSED, WARNED, Answer, Input

STATED = {"Modality": "CT", "SliceThickness": 2, "KVP": 120, "ConvolutionKernel": "B30f"}
_ABOUT = ("slice", "mm")


def _hip(thickness_mm: float | None) -> Volume:
    return replace(read_volume(base() / "ct.nrrd"), slice_thickness_mm=thickness_mm)


def _only_if_right(answer: Answer) -> Answer:
    """A warning does not make up for a wrong number."""
    return answer if answer.is_right else Answer(answer.text, False)


def _without_word(answer: Answer) -> Answer:
    """No warning of slices where there is nothing to warn of."""
    said = [text for text in answer.warnings if "slice" in text.lower()]
    return Answer("; ".join([answer.text, *said]), answer.is_right and not said)


def _stated(thickness_mm: float | None, options: tuple[str, ...], folder: Path) -> Answer:
    write_volume(folder / "ct.nrrd", _hip(thickness_mm))
    return as_plain(folder / "ct.nrrd", folder, *options)


def _in_json(content: dict | bytes, folder: Path) -> Answer:
    write_volume(folder / "ct.nii.gz", _hip(None))
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "ct.json").write_bytes(text)
    return as_plain(folder / "ct.nii.gz", folder)


def _in_dicom(thickness_mm: float, folder: Path) -> Answer:
    volume = _hip(thickness_mm)
    write_dicom_series(folder / "dicom", replace(volume, array=np.round(volume.array)))
    return as_plain(folder / "dicom", folder)


def _resampled(step_mm: float, kind: int, first_mm: float, folder: Path) -> Answer:
    volume = _hip(None)
    spacing = float(volume.spacing_mm[2])
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing((1.0, 1.0, spacing))
    slices, rows, columns = volume.array.shape
    size = (columns, rows, int(((slices - 1) * spacing - first_mm) / step_mm) + 1)
    made = sitk.Resample(
        image, size, sitk.Transform(), kind, (0.0, 0.0, first_mm), (1.0, 1.0, step_mm), image.GetDirection()
    )
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.points_of(np.array([0.0, 0.0, first_mm / spacing]))
    matrix[:3, 2] *= step_mm / spacing
    array = np.round(sitk.GetArrayFromImage(made)).astype(np.float32)
    write_volume(folder / "ct.nrrd", replace(volume, array=array, ijk_to_ras=matrix))
    return as_plain(folder / "ct.nrrd", folder)


def _overlapping(stated_mm: float | None, folder: Path) -> Answer:
    """Slices of 2 mm every 1 mm, another scan: held against its own map with the thickness given."""
    options = (*OPTIONS[:-1], "1", "--thickness", "2")
    cbm("simulate", "hip", *options, "--out", folder / "hip", "--quiet")
    volume = replace(read_volume(folder / "hip/ct.nrrd"), slice_thickness_mm=stated_mm)
    write_volume(folder / "ct.nrrd", volume)
    (true_mm, true_density, _), (mm, density, notes) = (
        mapped(folder / "ct.nrrd", folder / name, *given)
        for name, given in (("given", ("--slice-thickness", "2")), ("found", ()))
    )
    is_right = abs(mm - true_mm) <= THICKNESS_MM and abs(density / true_density - 1) <= DENSITY
    return Answer(
        f"{mm:.3f} mm, {density:.0f} (2 mm given: {true_mm:.3f} mm, {true_density:.0f})", is_right, notes
    )


def _read(content: dict | bytes, folder: Path) -> Answer:
    """What a small image has of its JSON file."""
    matrix = np.diag([0.8, 0.8, 2.0, 1.0])
    array = np.random.default_rng(0).normal(0.0, 300.0, (12, 12, 12)).astype(np.float32) - 400.0
    write_volume(folder / "ct.nii.gz", Volume(array, matrix))
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "ct.json").write_bytes(text)
    volume = read_volume(folder / "ct.nii.gz")
    text = f"{volume.slice_thickness_mm} mm by {volume.slice_thickness_from}"
    return Answer(text, volume.slice_thickness_mm == 2.0, volume.warnings)


def _option(value: str, folder: Path) -> Answer:
    mapped(base() / "ct.nrrd", folder, "--slice-thickness", value)
    return Answer("mapped", False)


def _table(cell: str, truth: float | None, folder: Path) -> Answer:
    head, row = "participant,visit,side,path,slice_thickness", f"a,0,left,ct.nrrd,{cell}"
    (folder / "scans.csv").write_text(f"{head}\n{row}\n")
    cases, problems = cases_of(
        read_scans(folder / "scans.csv"), StudyScans(folder, MapSettings(slice_thickness_mm=3.0))
    )
    given = cases[0].settings.slice_thickness_mm if cases else None
    return Answer(f"{given} mm", given == truth, [str(problem) for problem in problems])


def _long(what: str, truth: str, ask: Callable[[Path], Answer], **how: object) -> Input:
    return Input("A3", what, truth, ask, is_long=True, **how)


def _warned(what: str, truth: str, ask: Callable[[Path], Answer], says: tuple[str, ...]) -> Input:
    return _long(what, truth, lambda folder: _only_if_right(ask(folder)), expected=WARNED, says=says)


INPUTS = [
    Input(
        "kept",
        "slices of 2 mm every 2 mm, the thickness nowhere stated",
        "the plain scan, and nothing to warn of",
        lambda folder: _without_word(_stated(None, (), folder)),
        is_long=True,
    ),
    _long(
        "`--slice-thickness 2` for a header that says 5",
        "2 mm",
        lambda folder: _without_word(_stated(5.0, ("--slice-thickness", "2"), folder)),
    ),
    _warned(
        "slice thickness of 5 in the header for 2 mm",
        "2 mm",
        partial(_stated, 5.0, ()),
        ("5 mm", "image shows"),
    ),
    _warned(
        "slice thickness of 0.5 in the header", "2 mm", partial(_stated, 0.5, ()), ("0.5 mm", "image shows")
    ),
    _long(
        "`--slice-thickness 5` for 2 mm",
        "the user's word is taken, and the contradiction said",
        partial(_stated, 2.0, ("--slice-thickness", "5")),
        expected=WARNED,
        says=("given as 5 mm", "image shows"),
    ),
    _long(
        "2 mm in the JSON file beside a NIfTI", "2 mm", lambda folder: _without_word(_in_json(STATED, folder))
    ),
    _warned(
        "5 mm in the JSON file for 2 mm",
        "2 mm",
        partial(_in_json, STATED | {"SliceThickness": 5}),
        ("ct.json", "image shows"),
    ),
    _long("DICOM with its thickness", "2 mm", lambda folder: _without_word(_in_dicom(2.0, folder))),
    _warned("DICOM with SliceThickness 5 for 2 mm", "2 mm", partial(_in_dicom, 5.0), ("5 mm", "image shows")),
    _warned(
        "DICOM with SliceThickness 0.5 for 2 mm", "2 mm", partial(_in_dicom, 0.5), ("0.5 mm", "image shows")
    ),
    _warned(
        "slices of 2 mm every 1 mm, thickness not stated",
        "2 mm",
        partial(_overlapping, None),
        ("1 mm apart",),
    ),
    _warned(
        "slices of 2 mm every 1 mm, stated as 1 mm",
        "2 mm",
        partial(_overlapping, 1.0),
        ("1 mm", "image shows"),
    ),
    *(
        _warned(
            f"slices of 2 mm resampled to {step:g} mm ({name})",
            "the slices of the scanner are among them",
            partial(_resampled, step, kind, 0.0),
            ("resampled", "left out"),
        )
        for step, kind, name in (
            (1.0, sitk.sitkLinear, "linear"),
            (1.0, sitk.sitkBSpline, "spline"),
            (0.5, sitk.sitkLinear, "linear"),
        )
    ),
    _long(
        "slices of 2 mm resampled to 1 mm, none where the scanner's were",
        "the scanner's are lost: warned, with what the image shows",
        partial(_resampled, 1.0, sitk.sitkLinear, 0.5),
        expected=WARNED,
        says=("1 mm apart", "image shows"),
    ),
    Input("A3", "a NIfTI with dcm2niix's JSON", "2 mm", partial(_read, STATED)),
    Input("A3", "the thickness in it as text", "2 mm", partial(_read, STATED | {"SliceThickness": "2.0"})),
    Input(
        "A3",
        "the JSON cut short",
        "a warning",
        partial(_read, b'{"SliceThickness": 2,'),
        WARNED,
        ("ct.json",),
    ),
    Input(
        "A3",
        "a thickness of -2 in it",
        "a warning",
        partial(_read, {"SliceThickness": -2}),
        WARNED,
        ("SliceThickness", "-2"),
    ),
    Input(
        "A3",
        "slices 4 mm apart by the JSON, 2 mm in the image",
        "a warning",
        partial(_read, STATED | {"SpacingBetweenSlices": 4}),
        WARNED,
        ("4 mm apart", "resampled"),
    ),
    Input("A3", "MR by the JSON", "no CT", partial(_read, {"Modality": "MR"}), REFUSED, ("MR",)),
    Input(
        "A3",
        "`--slice-thickness 0.05`",
        "too thin",
        partial(_option, "0.05"),
        REFUSED,
        ("slice thickness", "0.2 to 10 mm"),
    ),
    Input(
        "A3",
        "`--slice-thickness 20`",
        "too thick",
        partial(_option, "20"),
        REFUSED,
        ("slice thickness", "0.2 to 10 mm"),
    ),
    Input("A3", "2.5 in the study table, 3 in the study file", "2.5 mm", partial(_table, "2.5", 2.5)),
    Input("A3", "an empty cell in the study table, 3 in the study file", "3 mm", partial(_table, "", 3.0)),
    Input(
        "A3",
        "'thin' in the study table",
        "no number",
        partial(_table, "thin", None),
        WARNED,
        ("slice thickness", "thin"),
    ),
]

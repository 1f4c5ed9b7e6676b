"""Where voxels are: axes in any order and direction, headers that contradict, lack or exceed something."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume, write_volume
from CorticalBoneMappingLib.simulation.scanner.dicom_writer import write_dicom_series

from .hip import as_plain, base
from .judged import REFUSED, WARNED, Answer, Input
from .stored import (
    big_endian_nifti,
    directions,
    metaimage,
    nifti,
    nrrd,
    plain_ct,
    plain_labels,
    turned,
    write_image,
)

I_J_K, SLICES_FIRST, SLICES_SECOND = (0, 1, 2), (2, 0, 1), (0, 2, 1)


def _read(make: Callable[[Path], Path], folder: Path) -> Answer:
    """Read a CT and look the plain scan's voxels up in it."""
    volume = read_volume(make(folder))
    rng = np.random.default_rng(1)
    index = rng.integers(1, np.array(plain_ct().array.shape[::-1]) - 1, (500, 3))
    values = volume.sample(plain_ct().points_of(index), order=0)
    alike = np.mean(np.abs(values - plain_ct().array[tuple(index.T[::-1])]) <= 0.5)
    spacing = " × ".join(f"{x:.3g}" for x in volume.spacing_mm)
    is_right = alike == 1.0 and bool(np.allclose(volume.spacing_mm, plain_ct().spacing_mm, atol=1e-4))
    return Answer(
        f"{alike:.0%} of voxels at their place, {spacing} mm, slices last", is_right, volume.warnings
    )


def _map(make: Callable[[Path], Path], folder: Path) -> Answer:
    return as_plain(make(folder), folder)


def _stored_as(ending: str, folder: Path) -> Path:
    """Store the plain scan unchanged in a format that is read."""
    write_volume(folder / f"ct{ending}", read_volume(base() / "ct.nrrd"))
    return folder / f"ct{ending}"


def _written(name: str, order: tuple[int, int, int], flips: tuple[int, ...], folder: Path) -> Path:
    write_volume(folder / name, turned(plain_ct(), order, flips))
    return folder / name


def _image(name: str, kind: type, folder: Path) -> Path:
    return write_image(folder / name, plain_ct(), kind)


def _dicom(folder: Path) -> Path:
    write_dicom_series(folder / "dicom", plain_ct())
    return folder / "dicom"


def _labels_in_another_order(folder: Path) -> Answer:
    write_volume(folder / "labels.nii.gz", turned(plain_labels(), SLICES_FIRST, (1,)))
    return as_plain(base() / "ct.nrrd", folder, "--label", "1", mask=folder / "labels.nii.gz")


def _turned_in_space(folder: Path) -> Answer:
    """The scan turned by 25° and 10°: oblique to the patient, and stored slices first."""
    a, b = np.radians([25.0, 10.0])
    turn = np.eye(4)
    turn[:3, :3] = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    there = replace(plain_ct(), ijk_to_ras=turn @ plain_ct().ijk_to_ras)
    write_volume(folder / "ct.nii.gz", turned(there, SLICES_FIRST, (0,)))
    read = read_volume(folder / "ct.nii.gz")
    index = np.random.default_rng(1).integers(1, np.array(there.array.shape[::-1]) - 1, (500, 3))
    values = read.sample(there.points_of(index), order=0)
    alike = np.mean(values == there.array[tuple(index.T[::-1])])
    angle = np.degrees(np.arccos(abs(read.slice_normal @ (turn[:3, 2]))))
    return Answer(
        f"{alike:.0%} of voxels at their place, slices {angle:.1f}° off", alike == 1.0 and angle < 0.01
    )


def _labels_written_as_stored(folder: Path) -> Answer:
    """A label map of the CT is written on the grid of the CT's file."""
    ct = read_volume(_written("ct.nii.gz", SLICES_FIRST, (1,), folder))
    write_volume(folder / "labels.nrrd", replace(ct, array=(ct.array > 700).astype(np.uint8)))
    image, labels = (sitk.ReadImage(str(folder / name)) for name in ("ct.nii.gz", "labels.nrrd"))
    same = image.GetSize() == labels.GetSize() and np.allclose(image.GetDirection(), labels.GetDirection())
    right = same and np.array_equal(sitk.GetArrayFromImage(image) > 700, sitk.GetArrayFromImage(labels) > 0)
    return Answer(f"labels of {labels.GetSize()} voxels", bool(right))


def _forms(change: Callable[[bytearray], None], folder: Path) -> Path:
    return nifti(folder / "ct.nii", change)


def _mirrored(raw: bytearray) -> None:
    rows = np.frombuffer(bytes(raw[280:328]), "<f4").reshape(3, 4).copy()
    rows[0] *= -1
    raw[252:256], raw[280:328] = struct.pack("<hh", 1, 1), rows.tobytes()


def _mirrored_packed(folder: Path) -> Path:
    path = nifti(folder / "ct.nii", _mirrored)
    (folder / "ct.nii.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    return folder / "ct.nii.gz"


def _sform_only(raw: bytearray) -> None:
    raw[252:256] = struct.pack("<hh", 0, 1)
    raw[256:280] = bytes(24)


def _qform_only(raw: bytearray) -> None:
    raw[252:256] = struct.pack("<hh", 1, 0)
    raw[280:328] = bytes(48)


def _another_pixdim(raw: bytearray) -> None:
    raw[88:92] = struct.pack("<f", 1.5)


def _bytes(at: int, kind: str, *values: float) -> Callable[[bytearray], None]:
    def change(raw: bytearray) -> None:
        struct.pack_into("<" + kind, raw, at, *values)

    return change


def _nifti_2(folder: Path) -> Path:
    raw = struct.pack("<i8shh", 540, b"n+2\0\r\n\x1a\n", 4, 16) + bytes(528)
    (folder / "ct.nii").write_bytes(raw + bytes(2000))
    return folder / "ct.nii"


def _nrrd(geometry: str, folder: Path) -> Path:
    return nrrd(folder / "ct.nrrd", geometry)


def _placed_nrrd(scale: float, more: str, folder: Path) -> Path:
    return nrrd(folder / "ct.nrrd", directions(plain_ct(), scale) + more)


def _big_endian_nrrd(folder: Path) -> Path:
    return nrrd(folder / "ct.nrrd", directions(plain_ct()), kind=">i2")


def _meta(*lines: str) -> Callable[[Path], Path]:
    return lambda folder: metaimage(folder / "ct.mha", *lines)


def _coarse(spacing: tuple[float, float, float], shape: tuple[int, int, int], folder: Path) -> Path:
    array = np.zeros(shape, np.int16)
    array[::2] = -1000
    matrix = np.diag([*spacing, 1.0])
    return write_image(folder / "ct.nrrd", Volume(array, matrix))


def _4d(folder: Path) -> Path:
    image = sitk.GetImageFromArray(np.zeros((2, 5, 6, 7), np.int16), isVector=False)
    sitk.WriteImage(image, str(folder / "ct.nii"))
    return folder / "ct.nii"


def _rgb(folder: Path) -> Path:
    image = sitk.GetImageFromArray(np.zeros((5, 6, 7, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(folder / "ct.mha"))
    return folder / "ct.mha"


def _sheared(folder: Path) -> Path:
    matrix = plain_ct().ijk_to_ras.copy()
    matrix[1, 2] += 0.4
    return nrrd(folder / "ct.nrrd", directions(replace(plain_ct(), ijk_to_ras=matrix)))


def _mr(folder: Path) -> Path:
    write_volume(folder / "mr.nrrd", replace(plain_ct(), modality="MR"))
    return folder / "mr.nrrd"


def _float_labels(folder: Path) -> Answer:
    write_volume(folder / "labels.nii.gz", replace(plain_labels(), array=plain_labels().array.astype(float)))
    labels = read_labelmap(folder / "labels.nii.gz")
    right = np.array_equal(labels.array, plain_labels().array) and labels.array.dtype.kind in "iu"
    return Answer(f"labels as {labels.array.dtype}", bool(right))


def _labels_on_another_grid(folder: Path) -> Answer:
    matrix = plain_labels().ijk_to_ras.copy()
    matrix[:3, 3] = plain_labels().points_of([0, 10, 0])
    cut = replace(plain_labels(), array=plain_labels().array[:, 10:], ijk_to_ras=matrix, stored_axes=None)
    write_volume(folder / "labels.nrrd", cut)
    return as_plain(base() / "ct.nrrd", folder, "--label", "1", mask=folder / "labels.nrrd")


_TWELVE = {
    "NIfTI, slices stored first": partial(_written, "ct.nii.gz", SLICES_FIRST, ()),
    "NIfTI, slices stored second": partial(_written, "ct.nii.gz", SLICES_SECOND, ()),
    "NIfTI, slices stored first and all axes backwards": partial(_written, "ct.nii", SLICES_FIRST, (0, 1, 2)),
    "NRRD, columns before rows": partial(_written, "ct.nrrd", (1, 0, 2), ()),
    "NRRD, slices first, left-handed": partial(_written, "ct.nrrd", (2, 1, 0), (1,)),
    "MetaImage, from head to foot": partial(_written, "ct.mha", I_J_K, (2,)),
    "MetaImage, slices second, rows backwards": partial(_written, "ct.mha", (1, 2, 0), (0, 1)),
    "NRRD with detached header": partial(_image, "ct.nhdr", np.int16),
    "MetaImage with detached voxels, as float": partial(_image, "ct.mhd", np.float32),
    "NIfTI of the other byte order": lambda folder: big_endian_nifti(folder / "ct.nii"),
    "NRRD of the other byte order": _big_endian_nrrd,
    "DICOM": _dicom,
}

_CM = '\nspace units: "cm" "cm" "cm"'
_PLACE = ("ElementSpacing = 0.9 0.9 2", "TransformMatrix = 1 0 0 0 1 0 0 0 1")

_READ_RIGHT = {
    "NIfTI with a sform only": partial(_forms, _sform_only),
    "NIfTI with a qform only": partial(_forms, _qform_only),
    "the CT as double": partial(_image, "ct.nrrd", np.float64),
    "the CT as 32-bit whole numbers": partial(_image, "ct.mha", np.int32),
}

_REFUSED = {
    ("A4", "NIfTI: qform and sform mirrored against each other", "qform", "sform", "LP", "RP"): partial(
        _forms, _mirrored
    ),
    ("A4", "the same, packed", "qform", "sform", "contradict"): _mirrored_packed,
    ("A4", "NIfTI: pixdim and sform of another spacing", "two voxel spacings", "1.5"): partial(
        _forms, _another_pixdim
    ),
    ("A4", "NIfTI-2", "NIfTI-2", "NIfTI-1"): _nifti_2,
    ("A5", "NIfTI in metres", "metres", "millimetres"): partial(_forms, _bytes(123, "B", 1)),
    ("A5", "NIfTI in micrometres", "micrometres"): partial(_forms, _bytes(123, "B", 3)),
    ("A5", "NRRD without any spacing", "no voxel spacing"): partial(_nrrd, "# nothing"),
    ("A5", "NRRD in centimetres", "'cm'", "mm"): partial(_placed_nrrd, 0.1, _CM),
    ("A5", "NRRD with units in centimetres", "'cm'"): partial(
        _nrrd, 'spacings: 0.09 0.09 0.2\nunits: "cm" "cm" "cm"'
    ),
    ("A5", "MetaImage without spacing", "no voxel spacing", "ElementSpacing"): _meta(_PLACE[1]),
    ("A5", "MetaImage in centimetres", "'cm'"): _meta(*_PLACE, "DistanceUnits = cm"),
    ("C15", "NRRD with spacing 0", "0.9 × 0.9 × 0 mm"): partial(_nrrd, "spacings: 0.9 0.9 0"),
    ("C15", "NIfTI with pixdim 0", "0.9 × 0.9 × 0 mm"): partial(_forms, _bytes(88, "f", 0.0)),
    ("C15", "MetaImage with spacing 0", "0.9 × 0.9 × 0 mm"): _meta("ElementSpacing = 0.9 0.9 0", _PLACE[1]),
    ("C15", "NRRD with a spacing that is not a number", "nan mm"): partial(_nrrd, "spacings: 0.9 0.9 nan"),
    ("C14", "voxels of 6 × 6 × 10 mm, 9 million of them", "6 × 6 × 10 mm", "cortex"): partial(
        _coarse, (6.0, 6.0, 10.0), (90, 300, 330)
    ),
    ("C14", "an image of 3 × 3 × 1 m", "3.00 × 3.00 × 1.00 m", "larger"): partial(
        _coarse, (5.0, 5.0, 5.0), (200, 600, 600)
    ),
    ("kept", "a time series", "4 dimensions"): _4d,
    ("kept", "colours", "3 values"): _rgb,
    ("kept", "sheared axes", "not at right angles"): _sheared,
    ("kept", "MR in a file, by its tag", "MR, not CT"): _mr,
}

_WARNED = {
    ("A5", "NRRD with spacings but no directions", "does not state how the image lies"): partial(
        _nrrd, "spacings: 0.9 0.9 2"
    ),
    ("A5", "MetaImage without orientation", "does not state how the image lies"): _meta(_PLACE[0]),
    ("A5", "NIfTI with neither qform nor sform", "neither qform nor sform"): partial(
        _forms, _bytes(252, "hh", 0, 0)
    ),
}

INPUTS = [
    *(
        Input(
            "kept",
            f"the hip as {ending}",
            "the plain scan",
            partial(_map, partial(_stored_as, ending)),
            is_long=True,
        )
        for ending in (".nrrd", ".nii.gz", ".mha")
    ),
    *(
        Input("A1", f"the hip as {what}", "the plain scan", partial(_map, make), is_long=True)
        for what, make in _TWELVE.items()
    ),
    Input("kept", "a CT oblique in space, slices first", "every voxel at its place", _turned_in_space),
    Input(
        "A1",
        "the label map with slices stored first",
        "the plain scan",
        _labels_in_another_order,
        is_long=True,
    ),
    Input("kept", "a label map on a smaller grid", "the plain scan", _labels_on_another_grid, is_long=True),
    *(
        Input("A1", f"reading {what}", "every voxel at its place, 2 mm slices", partial(_read, make))
        for what, make in _TWELVE.items()
    ),
    Input(
        "A1",
        "writing labels of a CT stored slices first",
        "the grid of the CT's file",
        _labels_written_as_stored,
    ),
    *(
        Input("kept", what, "every voxel at its place", partial(_read, make))
        for what, make in _READ_RIGHT.items()
    ),
    *(
        Input(item, what, "not measurable", partial(_read, make), REFUSED, says)
        for (item, what, *said), make in _REFUSED.items()
        for says in [tuple(said)]
    ),
    *(
        Input(item, what, "left and right are uncertain", partial(_read, make), WARNED, says)
        for (item, what, *said), make in _WARNED.items()
        for says in [tuple(said)]
    ),
    Input("kept", "a label map stored as floats", "whole numbers", _float_labels),
]

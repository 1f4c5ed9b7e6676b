"""The plain hip stored otherwise: axes in another order or direction, other headers, other values."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume, write_volume

from .hip import LABEL, base

_RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@lru_cache(maxsize=1)
def plain_ct() -> Volume:
    """Give the plain scan, slices along k."""
    return read_volume(base() / "ct.nrrd")


@lru_cache(maxsize=1)
def plain_labels() -> Volume:
    """Give its label map."""
    return read_labelmap(base() / "labels.nrrd")


def femur() -> np.ndarray:
    """Mark the femur's voxels in the plain scan."""
    return plain_labels().array == LABEL


def turned(volume: Volume, order: tuple[int, int, int], flips: tuple[int, ...] = ()) -> Volume:
    """Store the same voxels at the same places: new axis n is the old ``order[n]``, some run backwards."""
    matrix, array = volume.ijk_to_ras[:, [*order, 3]], volume.array.transpose([2 - n for n in order[::-1]])
    matrix = matrix.copy()
    for axis in flips:
        matrix[:3, 3] += matrix[:3, axis] * (array.shape[2 - axis] - 1)
        matrix[:3, axis] *= -1
        array = np.flip(array, 2 - axis)
    return replace(volume, array=np.ascontiguousarray(array), ijk_to_ras=matrix, stored_axes=None)


def with_values(change: Callable[[np.ndarray], np.ndarray], path: Path, modality: str | None = "CT") -> Path:
    """Write the plain scan with changed values, rounded to whole numbers."""
    values = np.round(change(plain_ct().array)).astype(np.int16)
    write_volume(path, replace(plain_ct(), array=values, modality=modality))
    return path


def write_image(path: Path, volume: Volume, kind: type = np.int16) -> Path:
    """Write by SimpleITK alone, in any format it knows and with no notes."""
    image = sitk.GetImageFromArray(volume.array.astype(kind))
    lps = _RAS_LPS @ volume.ijk_to_ras
    image.SetSpacing(volume.spacing_mm.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / volume.spacing_mm).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def nifti(path: Path, change: Callable[[bytearray], None], kind: type = np.int16) -> Path:
    """Write the plain scan as an unpacked NIfTI and change its bytes."""
    write_image(path, plain_ct(), kind)
    raw = bytearray(path.read_bytes())
    change(raw)
    path.write_bytes(raw)
    return path


def big_endian_nifti(path: Path) -> Path:
    """Write the plain scan as a NIfTI of the other byte order."""
    little = nifti(path, lambda raw: None).read_bytes()
    fields = {"i": [0, 32], "h": [36, *range(40, 56, 2), 68, 70, 72, 74, 120, 252, 254]}
    fields["f"] = [56, 60, 64, *range(76, 120, 4), 124, 128, 132, 136, *range(256, 328, 4)]
    raw = bytearray(little[:352])
    for kind, places in fields.items():
        for at in places:
            struct.pack_into(">" + kind, raw, at, struct.unpack_from("<" + kind, little, at)[0])
    path.write_bytes(bytes(raw) + np.frombuffer(little, "<i2", offset=352).astype(">i2").tobytes())
    return path


def nrrd(
    path: Path, geometry: str, volume: Volume | None = None, kind: str = "<i2", name: str = "short"
) -> Path:
    """Write an NRRD by hand: `geometry` are the lines of its header that say where the voxels are."""
    volume = volume or plain_ct()
    sizes = " ".join(map(str, volume.array.shape[::-1]))
    endian = "big" if kind.startswith(">") else "little"
    header = f"NRRD0005\ntype: {name}\ndimension: 3\nsizes: {sizes}\nendian: {endian}\nencoding: raw\n"
    header += f"{geometry}\n\n"
    path.write_bytes(header.encode() + volume.array.astype(kind).tobytes())
    return path


def directions(volume: Volume, scale: float = 1.0) -> str:
    """Give the lines of an NRRD header that place a volume, all lengths scaled."""
    lps = scale * (_RAS_LPS @ volume.ijk_to_ras)[:3]
    first, second, third, origin = ("(" + ",".join(f"{x:.12g}" for x in column) + ")" for column in lps.T)
    return (
        f"space: left-posterior-superior\nspace directions: {first} {second} {third}\nspace origin: {origin}"
    )


def metaimage(path: Path, *lines: str) -> Path:
    """Write a MetaImage by hand with some lines about its geometry."""
    volume = plain_ct()
    sizes = " ".join(map(str, volume.array.shape[::-1]))
    header = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        *lines,
    ]
    header += [f"DimSize = {sizes}", "ElementType = MET_SHORT", "ElementDataFile = LOCAL\n"]
    path.write_bytes("\n".join(header).encode() + volume.array.astype("<i2").tobytes())
    return path

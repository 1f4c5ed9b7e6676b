"""Check the headers of NIfTI, NRRD and MetaImage files for what ITK repairs or chooses in silence."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import VolumeError

_SIZE, _SIZE_OF_2 = 348, 540
_UNITS = {1: "metres", 3: "micrometres"}
_FLOATS = {16: "f4", 64: "f8"}
_SAME_LENGTH = 0.01  # of the spacing: more is not rounding of single precision
_CHUNK = 1 << 22


@dataclass(frozen=True)
class NiftiHeader:
    """The grid in a NIfTI header.

    Attributes
    ----------
    shape : tuple of int
        Voxels along i, j, k; fewer of a picture.
    spacing : ndarray of shape (3,)
        ``pixdim``, absolute.
    unit : str or None
        Name of the unit of length, if it is another than mm.
    qform, sform : ndarray of shape (3, 4) or None
        To the scanner's frame (RAS), if they have a code; of `qform` axes, spacing and origin are taken from
        its quaternion.
    voxel_bytes : int
        Of one voxel.
    float_type : str
        Byte order and kind of a floating point voxel, as NumPy names them; empty for whole numbers.
    first_byte : int
        Where the voxels begin.
    """

    shape: tuple[int, ...]
    spacing: np.ndarray
    unit: str | None
    qform: np.ndarray | None
    sform: np.ndarray | None
    voxel_bytes: int
    float_type: str
    first_byte: int


def read_nifti_header(path: Path) -> NiftiHeader | None:
    """Read a header, packed or not, of either byte order.

    Returns
    -------
    NiftiHeader or None
        None if the file has no header of NIfTI-1: its reader reports what it is instead.

    Raises
    ------
    VolumeError
        If it is NIfTI-2, which is not read.
    """
    try:
        raw = next(unpacked(path, _SIZE), b"")[:_SIZE]
    except (EOFError, OSError, zlib.error):
        return None
    order = {struct.pack("<i", size): "<" for size in (_SIZE, _SIZE_OF_2)}
    order |= {struct.pack(">i", size): ">" for size in (_SIZE, _SIZE_OF_2)}
    order = order.get(raw[:4])
    if order is None or len(raw) < _SIZE:
        return None
    if struct.unpack(order + "i", raw[:4])[0] == _SIZE_OF_2:
        raise VolumeError(f"{path}: this is NIfTI-2, which is not read. Save it as NIfTI-1 or NRRD.")

    def get(kind: str, at: int) -> tuple:
        return struct.unpack_from(order + kind, raw, at)

    shape, pixdim = get("8h", 40), np.array(get("8f", 76), dtype=float)
    qform_code, sform_code = get("hh", 252)
    quaternion = np.array(get("6f", 256), dtype=float)
    rows = np.array(get("12f", 280), dtype=float).reshape(3, 4)
    kind = _FLOATS.get(get("h", 70)[0])
    return NiftiHeader(
        shape=shape[1 : 1 + min(max(shape[0], 0), 3)],
        spacing=np.abs(pixdim[1:4]),
        unit=_UNITS.get(raw[123] & 7),
        qform=_qform(quaternion, pixdim) if qform_code > 0 else None,
        sform=rows if sform_code > 0 else None,
        voxel_bytes=get("h", 72)[0] // 8,
        float_type=order + kind if kind else "",
        first_byte=int(get("f", 108)[0]),
    )


def check_nifti(path: Path, header: NiftiHeader) -> list[str]:
    """Refuse a grid that is missing or ambiguous.

    Parameters
    ----------
    path : Path
        For messages.
    header : NiftiHeader

    Returns
    -------
    list of str
        A warning where the file does not state how the image lies in the patient.

    Raises
    ------
    VolumeError
        If lengths are not in mm, a spacing is not a number above 0, qform and sform disagree by more than
        rounding, or the sform has another spacing than the header.
    """
    if header.unit is not None:
        raise VolumeError(f"{path}: the header gives lengths in {header.unit}. Save it in millimetres.")
    check_voxel_spacing(path, header.spacing)
    if header.sform is not None:
        length = np.linalg.norm(header.sform[:, :3], axis=0)
        check_voxel_spacing(path, length)
        if np.any(np.abs(length - header.spacing) > _SAME_LENGTH * header.spacing):
            raise VolumeError(
                f"{path}: two voxel spacings in one file: {_numbers(header.spacing)} mm (pixdim) and "
                f"{_numbers(length)} mm (sform). Export it again from the CT."
            )
    if header.qform is not None and header.sform is not None:
        _check_same_place(path, header)
    if header.qform is None and header.sform is None:
        return [not_oriented(path, "neither qform nor sform")]
    return []


def check_voxel_spacing(path: Path, spacing: np.ndarray) -> None:
    """Refuse voxel spacings (3,) that are not numbers above 0."""
    if not np.all(np.isfinite(spacing) & (spacing > 0)):
        raise VolumeError(
            f"{path}: the voxel spacing is {_numbers(spacing)} mm; every one has to be more than 0. "
            "Export the image again."
        )


def not_oriented(path: Path, missing: str) -> str:
    """Say that a file does not give the axes of its voxels, and how it was read."""
    return (
        f"{path.name} does not state how the image lies in the patient ({missing}): it was read as if "
        "the axes run to the left, posterior and superior. Left and right may be exchanged."
    )


def missing_values(path: Path, header: NiftiHeader) -> int:
    """Count the voxels that are not finite, which ITK would read as 0.

    Parameters
    ----------
    path : Path
        A file that is whole.
    header : NiftiHeader

    Returns
    -------
    int
    """
    if not header.float_type:
        return 0
    width, left = header.voxel_bytes, int(np.prod(header.shape, dtype=np.int64))
    count, skipped, rest = 0, header.first_byte, b""
    for piece in unpacked(path):
        skip = min(skipped, len(piece))
        skipped, rest = skipped - skip, rest + piece[skip:]
        values = np.frombuffer(rest, header.float_type, min(len(rest) // width, left))
        count, left = count + int(np.count_nonzero(~np.isfinite(values))), left - len(values)
        rest = rest[width * len(values) :] if left else b""
    return count


def unpacked(path: Path, chunk: int = _CHUNK) -> Iterator[bytes]:
    """Give the bytes of a file in pieces, unpacked if it is packed, whatever its name."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        while piece := file.read(chunk):
            yield piece


def _qform(quaternion: np.ndarray, pixdim: np.ndarray) -> np.ndarray:
    """Matrix (3, 4) of the quaternion b, c, d and the offsets; ``pixdim[0]`` gives the sign of k."""
    b, c, d = quaternion[:3]
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    turn[:, 2] *= -1.0 if pixdim[0] < 0 else 1.0
    return np.column_stack([turn * np.abs(pixdim[1:4]), quaternion[3:]])


def _check_same_place(path: Path, header: NiftiHeader) -> None:
    """Refuse qform and sform that put a corner of the image more than half a voxel apart."""
    corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(header.shape)[:, None] - 1.0)
    corners = np.vstack([corners, np.ones(8)])
    apart = np.linalg.norm((header.qform - header.sform) @ corners, axis=0).max()
    if apart > 0.5 * header.spacing.min():
        names = " and ".join(_axes(matrix) for matrix in (header.qform, header.sform))
        raise VolumeError(
            f"{path}: qform and sform contradict each other (axes {names}, up to {apart:.0f} mm apart), so "
            "left and right are uncertain. Convert the DICOM series again, or set both alike."
        )


def _axes(matrix: np.ndarray) -> str:
    """Name where i, j, k run, such as ``LPS``."""
    largest = np.abs(matrix[:, :3]).argmax(axis=0)
    names = "RAS", "LPI"
    return "".join(names[int(matrix[row, axis] < 0)][row] for axis, row in enumerate(largest))


def _numbers(values: np.ndarray) -> str:
    return " × ".join(f"{value:.4g}" for value in values)


_LONGEST = 1 << 20  # bytes of a header: segmentations of Slicer keep much there
_PATIENT_SPACES = ("left", "right")  # "left-posterior-superior", "RAS", ...
_SPACING_KEYS = ("elementspacing", "elementsize")
_ORIENTATION_KEYS = ("transformmatrix", "rotation", "orientation")


def check_text_header(path: Path) -> list[str]:
    """Refuse an NRRD or MetaImage file whose spacing is missing, no number above 0, or not in mm.

    Parameters
    ----------
    path : Path
        Its first bytes show what it is; anything else passes.

    Returns
    -------
    list of str
        A warning where the file does not state how the image lies in the patient.

    Raises
    ------
    VolumeError
    """
    with path.open("rb") as file:
        raw = file.read(_LONGEST)
    is_nrrd = raw.startswith(b"NRRD")
    if not is_nrrd and path.suffix.lower() not in (".mha", ".mhd"):
        return []
    head, *rest = re.split(rb"\r?\n\r?\n|$" if is_nrrd else rb"ElementDataFile", raw, maxsplit=1)
    if not rest:
        return []  # cut short: its reader reports it
    return (_check_nrrd if is_nrrd else _check_metaimage)(path, head.decode("utf-8", "replace"))


def _check_nrrd(path: Path, text: str) -> list[str]:
    fields = _fields(text, r":(?!=)")
    if fields.get("dimension") != "3":
        return []  # refused for that
    for key in ("space units", "units"):
        _check_unit(path, re.findall(r'"([^"]*)"', fields.get(key, "")))
    directions = fields.get("space directions")
    if directions is None and "spacings" not in fields:
        raise _without_spacing(path, "neither 'space directions' nor 'spacings'")
    if directions is None:
        check_voxel_spacing(path, _numbers_in(fields["spacings"]))
        return [not_oriented(path, "spacings without space directions")]
    vectors = [_numbers_in(vector) for vector in re.findall(r"\(([^)]*)\)", directions)]
    if [len(vector) for vector in vectors] != [3, 3, 3]:
        raise _without_spacing(path, f"'space directions' is {directions}")
    check_voxel_spacing(path, np.linalg.norm(vectors, axis=1))
    space = fields.get("space", "").lower()
    if not (space.startswith(_PATIENT_SPACES) or space[:3] in ("lps", "ras", "las")):
        return [not_oriented(path, f"space is '{space}'" if space else "no 'space'")]
    return []


def _check_metaimage(path: Path, text: str) -> list[str]:
    fields = _fields(text, "=")
    if fields.get("ndims") != "3":
        return []
    _check_unit(path, [fields[key] for key in ("distanceunits",) if key in fields])
    given = [key for key in _SPACING_KEYS if key in fields]
    if not given:
        raise _without_spacing(path, "no 'ElementSpacing'")
    check_voxel_spacing(path, _numbers_in(fields[given[0]]))
    if not any(key in fields for key in _ORIENTATION_KEYS):
        return [not_oriented(path, "no 'TransformMatrix'")]
    return []


def _fields(text: str, separator: str) -> dict[str, str]:
    """Fields of a header by lower-case name; NRRD's ``key:=value`` pairs are none of them."""
    pairs = (re.split(separator, line, maxsplit=1) for line in text.splitlines() if not line.startswith("#"))
    return {pair[0].strip().lower(): pair[1].strip() for pair in pairs if len(pair) == 2}


def _numbers_in(text: str) -> np.ndarray:
    """Numbers of a field; what is none becomes not-a-number."""

    def number(word: str) -> float:
        try:
            return float(word)
        except ValueError:
            return np.nan

    return np.array([number(word) for word in re.split(r"[\s,]+", text.strip())])


def _check_unit(path: Path, units: list[str]) -> None:
    for unit in units:
        if unit.strip().lower() not in ("", "mm", "millimeter", "millimetre", "?"):
            raise VolumeError(f"{path}: the header gives lengths in '{unit}'. Save it in millimetres (mm).")


def _without_spacing(path: Path, what: str) -> VolumeError:
    return VolumeError(
        f"{path}: the header gives no voxel spacing ({what}), so nothing can be measured in mm. Export the "
        "image again with its geometry."
    )

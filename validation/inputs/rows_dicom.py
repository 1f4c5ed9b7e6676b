"""DICOM: ways of storing a series, files that are damaged, headers that lack or say something."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.dicom_series import series_of
from CorticalBoneMappingLib.io.volume_files import read_volume, write_volume
from CorticalBoneMappingLib.simulation.scanner.dicom_writer import write_dicom_series
from Testing.library.helpers.hand_dicom import SYNTAXES, dicom, element, hu_of, series

from .hip import as_plain, base, cbm
from .judged import REFUSED, WARNED, Answer, Input

_HEIGHTS = np.arange(5.0)
_RIGHT = "every HU at its place"
_LAST = "IM0005"
_NOBODY = 65534
Change = Callable[[Path], object]


def _answer(volume: Volume) -> Answer:
    index = np.moveaxis(np.indices(volume.array.shape[::-1]), 0, -1)
    off = float(np.abs(volume.array - hu_of(volume.points_of(index)).T).max())
    return Answer(_RIGHT if off < 1.01 else f"HU wrong by up to {off:g}", off < 1.01, volume.warnings)


def _read(folder: Path, change: Change = lambda _: None, **options: object) -> Answer:
    """Write a series, change something, read it."""
    series(folder / "ct", _HEIGHTS, **options)
    change(folder / "ct")
    return _answer(read_volume(folder / "ct"))


def _slice(number: int, name: str | None = None, height: float | None = None, **options: object) -> Change:
    """Write one slice otherwise than the others."""
    place = (-20.0, -10.0, _HEIGHTS[number - 1] if height is None else height)
    return lambda folder: dicom(folder / (name or f"IM{number:04d}"), place, number=number, **options)


def _bytes(name: str, change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of one file, made if it is not there."""

    def do(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes() if path.exists() else b""))

    return do


def _each(change: Callable[[bytes], bytes]) -> Change:
    return lambda folder: [path.write_bytes(change(path.read_bytes())) for path in folder.iterdir()]


def _garbage_above_12_bits(content: bytes) -> bytes:
    """Make a slice one of 12 bits, with an overlay in the four above them."""
    data = bytearray(content)
    for number, value in ((0x101, 12), (0x102, 11)):
        at = data.index(struct.pack("<HH2sH", 0x28, number, b"US", 2)) + 8
        data[at : at + 2] = struct.pack("<H", value)
    at = data.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OW")) + 12
    data[at:] = (np.frombuffer(bytes(data[at:]), "<u2") | 0x5000).tobytes()
    return bytes(data)


_REPORT = b"".join(
    [
        b"\0" * 128 + b"DICM",
        element(2, 0x10, "UI", SYNTAXES["explicit"]),
        element(8, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.88.11"),
        element(8, 0x60, "CS", "SR"),
        element(0x20, 0x0E, "UI", "1.2.77"),
    ]
)


def _padded(folder: Path) -> Answer:
    """Read slices whose corners are padding of -2000, which is not an HU and stays as it is stored."""
    padding = element(0x28, 0x120, "SS", struct.pack("<h", -2000))
    hu = np.full((6, 8), 40.0)
    hu[0, 0] = -2000.0
    volume = read_volume(series(folder / "ct", _HEIGHTS, hu=hu, is_signed=True, slope=1.0, more=(padding,)))
    return Answer("-2000 in the corners, 40 HU elsewhere", bool(np.all(volume.array == hu)))


def _others(folder: Path) -> None:
    """Put beside the slices what lies on a disc: a report, a text, a table of contents, scouts."""
    (folder / "IM0006").write_bytes(_REPORT)
    (folder / "readme.txt").write_bytes(b"")
    (folder / "DICOMDIR").write_bytes(b"DICM")
    for number in range(3):
        scout = {"kind": "ORIGINAL\\PRIMARY\\LOCALIZER", "series": "1.2.7"}
        dicom(folder / f"scout{number}", (0, number, 9), (1, 0, 0, 0, 0, -1), number=80 + number, **scout)


def _turned(folder: Path, row: tuple[float, ...], **options: object) -> Answer:
    """Read a series of another direction than axial."""
    normal = np.cross(row[:3], row[3:])
    for number in range(5):
        dicom(folder / "ct" / f"{number}", (5, 6, 7) + 2.0 * number * normal, row, number=number, **options)
    return _answer(read_volume(folder / "ct"))


def _several(folder: Path, which: str | None = None) -> Answer:
    """Read one of two reconstructions; that of a bone kernel lies elsewhere by its header."""
    series(folder / "ct", _HEIGHTS, prefix="A", series="1.2.3", description="hip soft", series_number="1")
    bone = {"series": "1.2.4", "description": "hip bone", "series_number": "2", "kernel": "B60"}
    series(folder / "ct", _HEIGHTS + 50.0, prefix="B", **bone)
    volume = read_volume(folder / "ct", which)
    answer = _answer(volume)
    is_bone = volume.ijk_to_ras[2, 3] == 50.0
    return Answer(f"{answer.text}, {'bone' if is_bone else 'soft'}", answer.is_right and is_bone)


@contextmanager
def _locked(folder: Path, path: Path) -> Iterator[None]:
    """Take the right to read a path in a folder away, of the administrator as well."""
    folder.chmod(0o755)
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(_NOBODY)
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o755)


def _read_locked(folder: Path, name: str) -> Answer:
    series(folder / "ct", _HEIGHTS)
    with _locked(folder, folder / "ct" / name):
        return _answer(read_volume(folder / "ct"))


def _checked(folder: Path, which: str, **options: object) -> Answer:
    """Ask ``cbm study check`` of a scan, with a series in its row."""
    for number in (1, 2):
        kind = {"series": f"1.2.{number}", "description": f"series {number}"}
        series(folder / "ct", _HEIGHTS * 5.0 ** (number - 1), prefix=f"S{number}", **kind, **options)
    (folder / "t.csv").write_text(f"participant,visit,side,path,series\nP1,0,left,ct,{which}\n")
    (folder / "study.toml").write_text('[study]\nname = "a"\ntable = "t.csv"\nresults = "r"\n[scans]\n')
    said = cbm("study", "check", folder / "study.toml", "--progress", "none").splitlines()
    return Answer(said[0], " 0 errors" in said[0], said[1:])


def _coronal_nrrd(folder: Path) -> Answer:
    matrix = np.array([[0.8, 0, 0, 0], [0, 0, 4.0, 0], [0, 0.8, 0, 0], [0, 0, 0, 1.0]])
    array = np.linspace(-900, 900, 6 * 8 * 5).reshape(5, 6, 8).astype(np.float32)
    write_volume(folder / "ct.nrrd", Volume(array, matrix))
    volume = read_volume(folder / "ct.nrrd")
    return Answer(f"{volume.array.shape[0]} slices", True, volume.warnings)


def _thick(volume: Volume) -> Volume:
    """Average two slices each, as a reconstruction of 4 mm would."""
    count = len(volume.array) // 2 * 2
    array = volume.array[:count].reshape(-1, 2, *volume.array.shape[1:]).mean(axis=1)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.points_of(np.array([0.0, 0.0, 0.5]))
    matrix[:3, 2] *= 2.0
    return Volume(np.round(array), matrix, modality="CT", slice_thickness_mm=4.0, kvp=120.0)


def _mapped(folder: Path, is_thick: bool) -> Answer:
    """Map the hip out of a folder that holds it as it is and in slices of 4 mm, by ``--series``."""
    volume = read_volume(base() / "ct.nrrd")
    plain = write_dicom_series(folder / "ct" / "a", volume, seed=1)
    thick = write_dicom_series(folder / "ct" / "b", _thick(volume), seed=2)
    chosen = thick if is_thick else plain
    return as_plain(folder / "ct", folder, "--series", series_of(chosen[0]))


def _refused(item: str, what: str, truth: str, *says: str, **given: object) -> Input:
    return Input(item, what, truth, partial(_read, **given), REFUSED, says)


def _warned(item: str, what: str, truth: str, *says: str, **given: object) -> Input:
    return Input(item, what, truth, partial(_read, **given), WARNED, says)


def _correct(item: str, what: str, **given: object) -> Input:
    return Input(item, what, _RIGHT, partial(_read, **given))


_CORONAL, _SAGITTAL = (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)
_LESS = "the numbers are less certain"
_NOT_WHOLE = "the series is not whole"
_CUT_RLE = {"syntax": "RLE", "change": _bytes(_LAST, lambda b: b[:-30])}

_DAMAGED = [
    _refused("A9", "first slice of 0 bytes", _NOT_WHOLE, "IM0001 (empty)",
             change=_bytes("IM0001", lambda b: b"")),
    _refused("A9", "last slice cut in its voxels", _NOT_WHOLE, _LAST, "cut short",
             change=_bytes(_LAST, lambda b: b[:-40])),
    _refused("A9", "last slice cut by one byte", _NOT_WHOLE, _LAST, change=_bytes(_LAST, lambda b: b[:-1])),
    _refused("A9", "last slice cut in its header", _NOT_WHOLE, _LAST,
             change=_bytes(_LAST, lambda b: b[:330])),
    _refused("A9", "last slice cut between two elements of its header", _NOT_WHOLE, _LAST,
             change=_bytes(_LAST, lambda b: b[:300])),
    _refused("A9", "last slice filled with zeros by a power cut", _NOT_WHOLE, _LAST,
             change=_bytes(_LAST, lambda b: b"\0" * len(b))),
    _refused("A9", "last slice, compressed (RLE), cut", _NOT_WHOLE, _LAST, "cut short", **_CUT_RLE),
    _refused("A9", "last slice a link that leads nowhere", _NOT_WHOLE, "IM0006",
             change=lambda folder: (folder / "IM0006").symlink_to(folder / "lost")),
    _refused("A9", "last slice without its position", _NOT_WHOLE, _LAST, "ImagePositionPatient",
             change=_slice(5, position_text=None)),
    _warned("A9", "an empty file of another name beside the slices", "perhaps a slice", "VERSION (empty)",
            change=_bytes("VERSION", lambda b: b)),
    _correct("kept", "a report, a text, a DICOMDIR and scouts beside the slices", change=_others),
    _refused("kept", "a slice missing between others", _NOT_WHOLE, "slice 3 seems to be missing",
             change=lambda folder: (folder / "IM0003").unlink()),
    _refused("kept", "a slice twice", "one is too many", "occur twice", change=_slice(2, "IM0002 (copy)")),
]  # fmt: skip
_HEADERS = [
    _warned("A9", "DERIVED\\SECONDARY\\MPR", _LESS, "DERIVED", "original series",
            kind="DERIVED\\SECONDARY\\MPR"),
    _warned("A9", "secondary capture", _LESS, "secondary capture", sop_class="1.2.840.10008.5.1.4.1.1.7"),
    _refused("A9", "a maximum intensity projection", "no HU of a place", "projections",
             kind="DERIVED\\SECONDARY\\MIP"),
    Input("A9", "a coronal reformat", _LESS, partial(_turned, row=_CORONAL), WARNED, ("coronal", "reformat")),
    Input("A9", "a coronal reformat as NRRD", _LESS, _coronal_nrrd, WARNED, ("coronal", "reformat")),
    _warned("A9", "compressed with loss", _LESS, "loss", lossy="01"),
    _warned("A9", "JPEG 2000 that may have lost detail", _LESS, "loss (JPEG 2000)",
            syntax="1.2.840.10008.1.2.4.91"),
    _warned("A9", "two tube voltages", _LESS, "tube voltage changes", "80",
            change=_slice(3, kvp="80"), kvp="120"),
    _warned("A9", "two kernels", _LESS, "kernel changes", "B70",
            change=_slice(3, kernel="B70"), kernel="B30"),
    _warned("A9", "contrast agent", _LESS, "contrast agent", contrast="Omnipaque 350"),
    _warned("A9", "steps of 8 HU, as with 256 grey values", "HU are rounded", "steps of 8 HU", slope=8.0,
            hu=np.arange(48.0).reshape(6, 8) * 8),
    _warned("A9", "tilt in the header, none in the positions", _LESS, "tilted by 12°", tilt="12"),
    _warned("A9", "text burned into the images", _LESS, "burned", burned_in="YES"),
    _refused("A9", "slices of two people in a series", "not one scan", "PatientID",
             change=_slice(3, patient="B"), patient="A"),
    _warned("A9", "two frames of reference in a series", _LESS, "2 frames of reference",
            change=_slice(3, frame_of_reference="1.5"), frame_of_reference="1.4"),
    Input("A9", "slices 5 mm apart, in study check", _LESS, partial(_checked, which="series 2"), WARNED,
          ("5 mm apart",)),
    Input("A9", "slices of 4 mm, mapped", _LESS, partial(_mapped, is_thick=True), WARNED, ("4 mm apart",),
          is_long=True),
    _refused("kept", "a gantry tilted by 10°", "no rectangular grid", "tilted by 10.0°",
             shift_mm=np.tan(np.pi / 18)),
    _refused("kept", "MR", "no HU", "of MR", modality="MR"),
    _refused("kept", "an iodine map", "no HU", "MGML", rescale_type="MGML"),
    _refused("kept", "no rescale", "no HU", "rescale", intercept=None, slope_text=None),
    _refused("C15", "rescale slope -1", "no HU", "slope is '-1'", slope_text="-1"),
    _refused("C15", "rescale slope 0", "no HU", "slope is '0'", slope_text="0"),
    _refused("C2", "no ImagePositionPatient", "place unknown",
             "ImagePositionPatient (0020,0032) is missing in 5", position_text=None),
    _refused("C2", "no ImageOrientationPatient", "place unknown",
             "ImageOrientationPatient (0020,0037) is missing in 5", orientation_text=None),
    _refused("C2", "no PixelSpacing", "size unknown",
             "PixelSpacing (0028,0030) is missing in 5", spacing_text=None),
    _correct("C2", "MONOCHROME1", photometric="MONOCHROME1"),
    _correct("C2", "MONOCHROME1, signed", photometric="MONOCHROME1", is_signed=True),
    _correct("C2", "MONOCHROME1, RLE", photometric="MONOCHROME1", syntax="RLE"),
    _refused("C2", "MONOCHROME1, deflated", "HU that the reader would invert", "MONOCHROME1", "deflated",
             photometric="MONOCHROME1", syntax="deflated"),
    _refused("kept", "one multi-frame file", "places unknown", "multi-frame", frames="2", rows=3),
    _refused("kept", "scouts alone", "no slices", "scouts of CT", kind="ORIGINAL\\PRIMARY\\LOCALIZER"),
]  # fmt: skip
_STORED = [
    _refused("kept", "a transfer syntax that is not known", "values unknown", "transfer syntax 1.2.840.99",
             syntax="1.2.840.99"),
    *(_correct("kept", f"transfer syntax {name}", syntax=name) for name in SYNTAXES),
    _correct("kept", "signed, big-endian", syntax="big-endian", is_signed=True),
    _correct("kept", "12 bits with an overlay in the four above", slope=1.0,
             change=_each(_garbage_above_12_bits)),
    _correct("kept", "a slope of its own in one slice", change=_slice(3, slope=0.25)),
    Input("kept", "padding of -2000", "values as they are stored", _padded),
    _correct("kept", "bytes after the voxels", change=_each(lambda b: b + b"\0" * 512)),
    _correct("C3", "without preamble and mark", has_mark=False),
    _correct("C3", "without preamble, implicit", has_mark=False, syntax="implicit"),
    _correct("C3", "without preamble, big-endian", has_mark=False, syntax="big-endian"),
    _correct("C3", "without preamble, with a file meta header", change=_each(lambda b: b[132:])),
    Input("kept", "a sagittal acquisition", _RIGHT, partial(_turned, row=_SAGITTAL)),
    Input("kept", "rows from left to right", _RIGHT, partial(_turned, row=(-1.0, 0, 0, 0, 1.0, 0))),
    Input("C4", "two series, none chosen", "the user has to choose", _several, REFUSED,
          ("--series", "number", "kernel", "B60", "hip soft", "1.2.4")),
    *(Input("C4", f"two series, chosen by {how}", "the one chosen", partial(_several, which=which))
      for how, which in (("UID", "1.2.4"), ("description", "hip bone"), ("number", "2"))),
    Input("C4", "two series, one chosen that is not there", "it is not there", partial(_several, which="3"),
          REFUSED, ("no CT series '3'", "hip bone")),
    Input("C4", "two series, chosen in a study's table", "the one chosen", partial(_checked, which="1")),
    Input("C4", "two series, chosen by --series and mapped", "the plain scan",
          partial(_mapped, is_thick=False), is_long=True),
    Input("C15", "a folder that may not be read", "locked", partial(_read_locked, name=""), REFUSED,
          ("may not be read",)),
    Input("C15", "a slice that may not be read", _NOT_WHOLE, partial(_read_locked, name=_LAST), REFUSED,
          ("permission denied", _LAST)),
]  # fmt: skip
INPUTS = [*_DAMAGED, *_HEADERS, *_STORED]

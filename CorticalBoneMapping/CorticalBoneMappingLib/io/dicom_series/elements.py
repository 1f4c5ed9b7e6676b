"""The elements of a DICOM file up to its voxels: enough to recognise it, and to see whether it is whole.

GDCM reads the images. But it accepts some files that were cut short and fills them with zeros (GDCM 3.0, as
in SimpleITK 2.3), and of a file that it cannot read it gives nothing, not even the series that it is of.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_MARK, _PREAMBLE = b"DICM", 128
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_READABLE = {_IMPLICIT, "1.2.840.10008.1.2.1", _BIG_ENDIAN, _DEFLATED, "1.2.840.10008.1.2.5", ""}
_READABLE |= {f"1.2.840.10008.1.2.4.{kind}" for kind in (50, 51, 57, 70, 80, 81, 90, 91)}
"""Transfer syntaxes that every GDCM reads: uncompressed, deflated, RLE; JPEG, JPEG-LS and JPEG 2000."""
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SHORT = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH",
          b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}  # fmt: skip
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_VOXELS = (0x7FE0, 0x0010)
_TRANSFER_SYNTAX, _SOP_CLASS, _SERIES = (0x0002, 0x0010), (0x0008, 0x0016), (0x0020, 0x000E)
_FRAMES, _ROWS, _COLUMNS, _BITS = (0x0028, 0x0008), (0x0028, 0x0010), (0x0028, 0x0011), (0x0028, 0x0100)
# Images of CT, MR, X-ray, ultrasound, nuclear medicine, light and PET, and captured screens; reports, plans
# and contours have classes of their own.
_IMAGES = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.(1|2|3|4|6|7|12|13|20|77|128|130)(\.|$)")
# The header of any compressed image is longer. GDCM 3.0 makes voxels of 8 bytes of JPEG, and dies of an empty
# JPEG 2000.
_LEAST_COMPRESSED = 32
_LAST_KEPT_GROUP, _LONGEST_KEPT, _DEEPEST = 0x0028, 256, 16


@dataclass
class Elements:
    """What a DICOM file holds before its voxels.

    Attributes
    ----------
    values : dict
        Short values up to group 0028, as bytes, by group and element.
    is_complete : bool
        Whether the file could be followed to its voxels or its end.
    has_voxels : bool
        Whether it came to voxels.
    is_cut : bool
        Whether it has fewer bytes of voxels than stated.
    """

    values: dict[tuple[int, int], bytes] = field(default_factory=dict)
    is_complete: bool = False
    has_voxels: bool = False
    is_cut: bool = False
    _is_little: bool = True

    def text(self, tag: tuple[int, int]) -> str:
        """Give a value as text; empty where there is none."""
        return self.values.get(tag, b"").decode("latin-1").strip(" \0")

    def number(self, tag: tuple[int, int], otherwise: int) -> int:
        """Give an unsigned short."""
        value = self.values.get(tag, b"")
        return int.from_bytes(value[:2], "little" if self._is_little else "big") if value else otherwise

    @property
    def series(self) -> str:
        """UID of the series; empty where the file was damaged before it."""
        return self.text(_SERIES)

    @property
    def sop_class(self) -> str:
        """UID of the kind of object."""
        return self.text(_SOP_CLASS)

    @property
    def is_image(self) -> bool:
        """Whether it is, or may be, an image; a file that was cut may have lost even what it is."""
        return not self.sop_class or _IMAGES.match(self.sop_class) is not None

    @property
    def transfer_syntax(self) -> str:
        """UID of the way the voxels are stored; empty in a file without a file meta header."""
        return self.text(_TRANSFER_SYNTAX)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its content: it bears the mark ``DICM``, or begins with a first element.

    Old exports and sliced network streams have neither preamble nor mark.
    """
    try:
        with path.open("rb") as file:
            return _start(file.read(_PREAMBLE + len(_MARK))) is not None
    except OSError:
        return False


def why_not_decoded(transfer_syntax: str) -> str:
    """Say in a few words why the voxels of a file that is not cut short could not be read."""
    if transfer_syntax in _READABLE:
        return "damaged"
    return f"stored with the unsupported transfer syntax {transfer_syntax}"


def read_elements(path: Path) -> Elements | None:
    """Follow the elements of a file to its voxels.

    Returns
    -------
    Elements or None
        None if the file is not DICOM; whatever was found before the damage if it is damaged.

    Raises
    ------
    OSError
        If opening or reading the file failed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = _start(file.read(_PREAMBLE + len(_MARK)))
        if start is None:
            return None
        file.seek(start)
        found = Elements()
        with contextlib.suppress(EOFError, struct.error, ValueError, zlib.error):  # is_complete stays false
            _follow(file, size, found)
        return found


def _start(head: bytes) -> int | None:
    """Give the byte of the first element; None if this is not DICOM."""
    if head[_PREAMBLE:] == _MARK:
        return _PREAMBLE + len(_MARK)
    return 0 if _is_first_element(head) else None


def _is_first_element(head: bytes) -> bool:
    """Whether bytes begin as a file without preamble: a small element of group 0002 or 0008."""
    if len(head) < 16:
        return False
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", head[:8])
        if group in (0x0002, 0x0008) and element <= 0x0020:
            is_explicit = head[4:6] in _SHORT | {b"OB", b"UN"}
            return is_explicit or (order == "<" and group == 0x0008 and 0 < length <= 128)
    return False


@dataclass(frozen=True)
class _Head:
    tag: tuple[int, int]
    kind: bytes
    length: int


class _Stream:
    """Elements one after the other, in one byte order and with or without their kinds."""

    def __init__(self, file: BinaryIO, size: int, order: str, is_explicit: bool) -> None:
        self.file, self.size, self.order, self.is_explicit = file, size, order, is_explicit

    def head(self) -> _Head:
        group, element = struct.unpack(f"{self.order}HH", self._bytes(4))
        tag = (group, element)
        if not self.is_explicit or group == 0xFFFE:
            return _Head(tag, b"", struct.unpack(f"{self.order}I", self._bytes(4))[0])
        kind = self._bytes(2)
        if kind in _LONG:
            return _Head(tag, kind, struct.unpack(f"{self.order}2xI", self._bytes(6))[0])
        if kind not in _SHORT:
            raise ValueError("not an element")
        return _Head(tag, kind, struct.unpack(f"{self.order}H", self._bytes(2))[0])

    def _bytes(self, count: int) -> bytes:
        read = self.file.read(count)
        if len(read) < count:
            raise EOFError
        return read

    def skip(self, length: int) -> None:
        if self.file.tell() + length > self.size:
            raise EOFError
        self.file.seek(length, 1)

    def skip_sequence(self, is_explicit: bool, depth: int = 0) -> None:
        """Pass a sequence of undefined length, item by item."""
        if depth > _DEEPEST:
            raise ValueError("too deep")
        inner = _Stream(self.file, self.size, self.order, is_explicit)
        while (item := inner.head()).tag != _SEQUENCE_END:
            if item.tag != _ITEM:
                raise ValueError("not an item")
            if item.length != _UNDEFINED:
                inner.skip(item.length)
                continue
            while (each := inner.head()).tag != _ITEM_END:
                if each.length == _UNDEFINED:
                    inner.skip_sequence(is_explicit and each.kind != b"UN", depth + 1)
                else:
                    inner.skip(each.length)


def _follow(file: BinaryIO, size: int, found: Elements) -> None:
    stream = _Stream(file, size, *_way_of(file))
    found._is_little = stream.order == "<"
    in_meta = found._is_little and _peek(file)[:2] == b"\x02\x00"
    while file.tell() < size:
        if in_meta and _peek(file)[:2] != b"\x02\x00":  # the rest is stored as the file meta header states
            in_meta = False
            syntax = found.transfer_syntax
            if syntax == _DEFLATED:
                file, size = _inflated(file)
            order = ">" if syntax == _BIG_ENDIAN else "<"
            stream = _Stream(file, size, order, syntax != _IMPLICIT)
            found._is_little = order == "<"
        head = stream.head()
        if head.tag == _VOXELS:
            found.has_voxels = found.is_complete = True
            found.is_cut = _is_cut(stream, head, found)
            return
        if head.length == _UNDEFINED:
            stream.skip_sequence(stream.is_explicit and head.kind != b"UN")
        elif head.tag[0] <= _LAST_KEPT_GROUP and head.length <= _LONGEST_KEPT and head.kind != b"SQ":
            found.values[head.tag] = stream._bytes(head.length)
        else:
            stream.skip(head.length)
    found.is_complete = True


def _inflated(file: BinaryIO) -> tuple[BinaryIO, int]:
    """Unpack the rest of a file; what was cut ends early, which is seen as in any other."""
    data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read())
    return io.BytesIO(data), len(data)


def _way_of(file: BinaryIO) -> tuple[str, bool]:
    """Byte order of the first element, and whether it states its kind."""
    head = _peek(file)
    order = ">" if head[:1] == b"\0" else "<"
    return order, head[4:6] in _SHORT | _LONG


def _peek(file: BinaryIO) -> bytes:
    place = file.tell()
    head = file.read(6)
    file.seek(place)
    return head


def _is_cut(stream: _Stream, head: _Head, found: Elements) -> bool:
    """Whether voxels end before they should: those of a compressed image at its last fragment."""
    if head.length != _UNDEFINED:
        frames = int(found.text(_FRAMES) or 1)
        pixels = frames * found.number(_ROWS, 0) * found.number(_COLUMNS, 0)
        needed = pixels * (found.number(_BITS, 0) // 8)
        return stream.file.tell() + max(head.length, needed) > stream.size or head.length < needed
    fragments: list[int] = []
    try:
        while stream.file.tell() < stream.size:
            item = stream.head()
            if item.tag == _SEQUENCE_END:
                break
            stream.skip(item.length)
            fragments.append(item.length)
    except EOFError:
        return True
    return sum(fragments[1:]) < _LEAST_COMPRESSED  # the first item is a table of offsets

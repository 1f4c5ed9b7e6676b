"""DICOM files written by hand: every way of storing a slice, and every fault of a header, can be made."""

import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big-endian": "1.2.840.10008.1.2.2",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "RLE": "1.2.840.10008.1.2.5",
    "deflated": "1.2.840.10008.1.2.1.99",
}
_NAMES = {
    "modality": (0x08, 0x60, "CS"),
    "series": (0x20, 0x0E, "UI"),
    "series_number": (0x20, 0x11, "IS"),
    "description": (0x08, 0x103E, "LO"),
    "thickness": (0x18, 0x50, "DS"),
    "kind": (0x08, 0x08, "CS"),
    "sop_class": (0x08, 0x16, "UI"),
    "intercept": (0x28, 0x1052, "DS"),
    "slope_text": (0x28, 0x1053, "DS"),
    "rescale_type": (0x28, 0x1054, "LO"),
    "frames": (0x28, 0x08, "IS"),
    "photometric": (0x28, 0x04, "CS"),
    "position_text": (0x20, 0x32, "DS"),
    "orientation_text": (0x20, 0x37, "DS"),
    "spacing_text": (0x28, 0x30, "DS"),
    "kvp": (0x18, 0x60, "DS"),
    "kernel": (0x18, 0x1210, "SH"),
    "contrast": (0x18, 0x10, "LO"),
    "tilt": (0x18, 0x1120, "DS"),
    "lossy": (0x28, 0x2110, "CS"),
    "burned_in": (0x28, 0x301, "CS"),
    "patient": (0x10, 0x20, "LO"),
    "frame_of_reference": (0x20, 0x52, "UI"),
}
_LONG = ("OB", "OW", "SQ", "UN")


def hu_of(points_ras):
    """HU that differ at every place, so that a voxel at a wrong place cannot go unseen."""
    return np.round(points_ras @ [3.0, -5.0, 7.0]) - 300.0


def element(group, number, kind, value, order="<", is_explicit=True, is_undefined=False):
    value = value.encode() if isinstance(value, str) else value
    value += (b"\0" if kind in ("UI", "OB") else b" ") * (len(value) % 2)
    tag = struct.pack(f"{order}HH", group, number)
    length = 0xFFFFFFFF if is_undefined else len(value)
    if not is_explicit:
        return tag + struct.pack(f"{order}I", length) + value
    how = f"{order}2sHI" if kind in _LONG else f"{order}2sH"
    return tag + struct.pack(how, kind.encode(), *((0, length) if kind in _LONG else (length,))) + value


def dicom(
    path,
    position,
    orientation=AXIAL,
    spacing=(0.8, 0.6),
    shape=(6, 8),
    number=1,
    hu=None,
    rows=None,
    slope=0.5,
    syntax="explicit",
    has_mark=True,
    is_signed=False,
    more=(),
    **tags,
):
    """Write one CT slice: positions LPS, HU by `hu_of` unless given; stored as (HU + 1024) / slope.

    Without `has_mark` there is neither preamble, mark nor file meta header; `is_signed` stores HU / slope;
    `more` are further elements, made by `element`; `tags` go by the names in `_NAMES`, None to leave out.
    """
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    r, c = np.indices(shape)
    places = np.array(position) + c[..., None] * spacing[1] * row + r[..., None] * spacing[0] * column
    hu = hu_of(places * [-1, -1, 1]) if hu is None else hu
    intercept = 0.0 if is_signed else -1024.0
    text = {
        (0x08, 0x08, "CS"): "ORIGINAL\\PRIMARY\\AXIAL",
        (0x08, 0x16, "UI"): "1.2.840.10008.5.1.4.1.1.2",
        (0x08, 0x18, "UI"): f"1.2.3.{number}",
        (0x08, 0x60, "CS"): "CT",
        (0x08, 0x103E, "LO"): "hip bone",
        (0x18, 0x50, "DS"): "1.5",
        (0x20, 0x0D, "UI"): "1.2.9",
        (0x20, 0x0E, "UI"): "1.2.3",
        (0x20, 0x13, "IS"): str(number),
        (0x20, 0x32, "DS"): "\\".join(f"{x:.6g}" for x in position),
        (0x20, 0x37, "DS"): "\\".join(f"{x:.8g}" for x in orientation),
        (0x28, 0x04, "CS"): "MONOCHROME2",
        (0x28, 0x30, "DS"): "\\".join(f"{x:g}" for x in spacing),
        (0x28, 0x1052, "DS"): f"{intercept:g}",
        (0x28, 0x1053, "DS"): f"{slope:g}",
    }
    text |= {_NAMES[name]: value for name, value in tags.items()}
    order, is_explicit = (">" if syntax == "big-endian" else "<"), syntax != "implicit"
    way = {"order": order, "is_explicit": is_explicit}
    numbers = {0x02: 1, 0x10: rows or shape[0], 0x11: shape[1], 0x100: 16, 0x101: 16, 0x102: 15}
    numbers[0x103] = int(is_signed)
    body = {
        (g, e): element(g, e, kind, value, **way) for (g, e, kind), value in text.items() if value is not None
    }
    body |= {
        (0x28, e): element(0x28, e, "US", struct.pack(f"{order}H", n), **way) for e, n in numbers.items()
    }
    stored = np.round((hu - intercept) / slope).astype("i2" if is_signed else "u2")
    body[(0x7FE0, 0x10)] = _voxels(stored, syntax, way)
    data = b"".join(body[key] for key in sorted(body) if key[0] < 0x0029)
    data += b"".join(more) + body[(0x7FE0, 0x10)]
    if syntax == "deflated":
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = packer.compress(data) + packer.flush()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not has_mark:
        path.write_bytes(data)
        return
    meta = element(2, 1, "OB", b"\0\1") + element(2, 2, "UI", text[(0x08, 0x16, "UI")])
    uid = SYNTAXES.get(syntax, syntax)
    meta += element(2, 3, "UI", f"1.2.3.{number}") + element(2, 0x10, "UI", uid)
    meta = element(2, 0, "UL", struct.pack("<I", len(meta))) + meta
    path.write_bytes(b"\0" * 128 + b"DICM" + meta + data)


def _voxels(stored, syntax, way):
    if syntax in ("implicit", "explicit", "big-endian", "deflated"):
        values = stored.astype(stored.dtype.newbyteorder(way["order"])).tobytes()
        return element(0x7FE0, 0x10, "OW", values, **way)
    fragment = _rle(stored) if syntax == "RLE" else _by_itk(stored, syntax)
    fragment += b"\0" * (len(fragment) % 2)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment))
    items += fragment + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return element(0x7FE0, 0x10, "OB", items, is_undefined=True)


def _rle(stored):
    """RLE of DICOM PS3.5 G: the high bytes, then the low ones, each row in runs of their own."""
    segments = []
    for byte in (1, 0):
        plane = stored.astype("<u2").view("u1").reshape(*stored.shape, 2)[..., byte]
        data = bytearray()
        for row in plane:
            at = 0
            while at < len(row):
                run = 1
                while at + run < len(row) and run < 128 and row[at + run] == row[at]:
                    run += 1
                if run > 1:
                    data += bytes([257 - run, row[at]])
                else:
                    data += bytes([0, row[at]])
                at += run
        segments.append(bytes(data) + b"\0" * (len(data) % 2))
    offsets = [64, 64 + len(segments[0])]
    return struct.pack("<16I", 2, *offsets, *[0] * 13) + b"".join(segments)


def _by_itk(stored, syntax):
    """Let ITK compress, and take the fragment out of its file."""
    image = sitk.GetImageFromArray(stored[None])
    writer = sitk.ImageFileWriter()
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG" if syntax == "JPEG lossless" else "JPEG2000")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dcm"
        writer.SetFileName(str(path))
        writer.Execute(image)
        data = path.read_bytes()
    start = data.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB")) + 12
    start += 8 + struct.unpack("<I", data[start + 4 : start + 8])[0]  # past the table of offsets
    return data[start + 8 : start + 8 + struct.unpack("<I", data[start + 4 : start + 8])[0]]


def series(folder, heights, shift_mm=0.0, prefix="IM", **options):
    """Write axial slices at heights; each is moved to posterior by `shift_mm` a mm of height."""
    for number, height in enumerate(heights, start=1):
        position = (-20.0, -10.0 + shift_mm * (height - heights[0]), height)
        dicom(folder / f"{prefix}{number:04d}", position, number=number, **options)
    return folder

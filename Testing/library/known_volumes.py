"""CTs whose HU tell the place, as volumes and as DICOM written by hand."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.errors import VolumeError
from CorticalBoneMappingLib.volume import Volume
from CorticalBoneMappingLib.volume_files import read_volume

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def hu_of(points_ras):
    """HU that differ at every place, so that a voxel at a wrong place cannot go unseen."""
    return np.round(points_ras @ [3.0, -5.0, 7.0]) - 300.0


def element(group, number, kind, value):
    value = value.encode() if isinstance(value, str) else value
    value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    long = kind in ("OB", "OW")
    head = struct.pack(
        "<HH2sHI" if long else "<HH2sH",
        group,
        number,
        kind.encode(),
        *((0, len(value)) if long else (len(value),)),
    )
    return head + value


def dicom(
    path, position, orientation=AXIAL, spacing=(0.8, 0.6), shape=(6, 8), number=1, hu=None, rows=None, **tags
):
    """Write one CT slice by hand: positions LPS, HU by `hu_of` unless given; stored as 2 (HU + 1024)."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    r, c = np.indices(shape)
    places = np.array(position) + c[..., None] * spacing[1] * row + r[..., None] * spacing[0] * column
    hu = hu_of(places * [-1, -1, 1]) if hu is None else hu
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
        (0x28, 0x1052, "DS"): "-1024",
        (0x28, 0x1053, "DS"): "0.5",
    }
    names = {
        "modality": (0x08, 0x60, "CS"),
        "series": (0x20, 0x0E, "UI"),
        "description": (0x08, 0x103E, "LO"),
        "thickness": (0x18, 0x50, "DS"),
        "kind": (0x08, 0x08, "CS"),
        "intercept": (0x28, 0x1052, "DS"),
        "rescale_type": (0x28, 0x1054, "LO"),
        "frames": (0x28, 0x08, "IS"),
    }
    text |= {names[name]: value for name, value in tags.items()}
    numbers = {0x02: 1, 0x10: rows or shape[0], 0x11: shape[1], 0x100: 16, 0x101: 16, 0x102: 15, 0x103: 0}
    body = {(g, e): element(g, e, kind, value) for (g, e, kind), value in text.items() if value is not None}
    body |= {(0x28, e): element(0x28, e, "US", struct.pack("<H", value)) for e, value in numbers.items()}
    pixels = np.round((hu + 1024.0) / 0.5).astype("<u2").tobytes()
    body[(0x7FE0, 0x10)] = element(0x7FE0, 0x10, "OW", pixels)
    meta = element(2, 1, "OB", b"\0\1") + element(2, 2, "UI", text[(0x08, 0x16, "UI")])
    meta += element(2, 3, "UI", f"1.2.3.{number}") + element(2, 0x10, "UI", "1.2.840.10008.1.2.1")
    meta = element(2, 0, "UL", struct.pack("<I", len(meta))) + meta
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * 128 + b"DICM" + meta + b"".join(body[key] for key in sorted(body)))


def series(folder, heights, shift_mm=0.0, prefix="IM", **options):
    """Write axial slices at heights; each is moved to posterior by `shift_mm` a mm of height."""
    for number, height in enumerate(heights, start=1):
        position = (-20.0, -10.0 + shift_mm * (height - heights[0]), height)
        dicom(folder / f"{prefix}{number:04d}", position, number=number, **options)
    return folder


def ct(shape=(7, 6, 5), **options):
    """Make a small oblique left-handed CT whose HU tell the place."""
    matrix = np.eye(4)
    c, s = np.cos(0.3), np.sin(0.3)
    matrix[:3, :3] = np.array([[c, s, 0], [s, -c, 0], [0, 0, 1]]) @ np.diag([0.7, 0.6, 2.0])
    matrix[:3, 3] = [31.0, -17.5, 400.25]
    volume = Volume(np.zeros(shape, np.float32), matrix, **options)
    index = np.moveaxis(np.indices(shape[::-1]), 0, -1)
    return replace(volume, array=hu_of(volume.points_of(index)).T.astype(np.float32) - 2800)


def assert_values_lie_where_they_belong(volume):
    index = np.moveaxis(np.indices(volume.array.shape[::-1]), 0, -1)
    np.testing.assert_allclose(volume.array, hu_of(volume.points_of(index)).T, atol=1.01)


def refuses(path, *words, reader=read_volume, **options):
    with pytest.raises(VolumeError) as caught:
        reader(path, **options)
    text = str(caught.value)
    for word in (Path(path).name, *words):
        assert word in text
    assert "Traceback" not in text
    return text

"""Studies of tiny files: enough for headers to be read, and for work without a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import write_volume

HEADER = ("participant", "visit", "side", "path", "mask", "label", "calibration")


def write_scan(path: Path, value: float = 0.0, origin: float = 0.0, modality: str | None = "CT") -> Path:
    """Write a CT of 6 × 6 × 6 voxels of 1 mm that begins at `origin` mm."""
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    array = np.linspace(-1000, 1000 + value, 216, dtype=np.float32).reshape(6, 6, 6)
    write_volume(path, Volume(array, matrix, modality=modality))
    return path


def write_mask(path: Path, origin: float = 0.0) -> Path:
    """Write a label map of the same size with one label."""
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    array = np.zeros((6, 6, 6), np.uint8)
    array[2:4, 2:4, 2:4] = 1
    write_volume(path, Volume(array, matrix))
    return path


def write_study(
    folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER, settings: str = ""
) -> Path:
    """Write ``participants.csv`` and ``study.toml``; give the latter."""
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    (folder / "participants.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = '[study]\nname = "Small"\ntable = "participants.csv"\nresults = "results"\n'
    text += f"[scans]\n[map]\n{settings}"
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def people(folder: Path, count: int) -> Path:
    """Write a study of some people with a scan and a mask each, right hips at visit 0."""
    rows = []
    for number in range(count):
        write_scan(folder / f"ct{number}.nrrd", value=number)
        write_mask(folder / f"mask{number}.nrrd")
        rows.append([f"P{number:02d}", "0", "right", f"ct{number}.nrrd", f"mask{number}.nrrd", "1", ""])
    return write_study(folder, rows)

"""How much memory a case needs, told from the sizes of its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .scans import Case

# Measured (Docs/trial.md): 0.87 GB for scans of 10 million voxels, 1.4 GB for one of 105. With some room,
# since a process asks the system for more than it fills.
_WITHOUT_SCAN = 900 << 20
_PER_VOXEL = 8
_BYTES_OF_DICOM_VOXEL = 2


def memory_of(cases: Sequence[Case]) -> int:
    """Give the memory in bytes that the largest of some cases needs."""
    voxels = max(_voxels(path) for path in {case.ct for case in cases})
    return _WITHOUT_SCAN + _PER_VOXEL * voxels


def _voxels(path: Path) -> int:
    """Number of voxels, from sizes and headers alone; 0 where the mapping will say why."""
    try:
        if path.is_dir():
            return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) // _BYTES_OF_DICOM_VOXEL
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        return int(np.prod(reader.GetSize()))
    except (OSError, RuntimeError):
        return 0

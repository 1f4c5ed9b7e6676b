"""A simulated CT as a DICOM series, as a scanner would send it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...core.errors import VolumeError
from ...core.progress import Progress
from ...core.volume import Volume
from ...io.files import quiet_stderr, raise_if_full, whole_file

_LPS = np.diag([-1.0, -1.0, 1.0])
_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
_UID_ROOT = "2.25."  # UIDs made from 128-bit numbers, DICOM PS3.5 B.2


def write_dicom_series(
    folder: str | Path, volume: Volume, seed: int = 0, progress: Progress | None = None
) -> list[Path]:
    """Write one file a slice.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there; slices become ``slice_0001.dcm`` and so on.
    volume : Volume
        Whole HU between -32768 and 32767 on a right-handed, rectangular grid.
    seed : int
        The UIDs are made from it and the geometry, so the same scan always has the same ones.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    list of Path
        The files, from the first slice to the last.

    Raises
    ------
    VolumeError
        If the values are not whole HU, the slices are stacked against the image axes, or writing a file
        failed.
    """
    folder, progress = Path(folder), progress or Progress()
    _check(volume)
    shared = _shared_tags(volume, seed)
    direction = _LPS @ volume.ijk_to_ras[:3, :3] / volume.spacing_mm
    paths = [folder / f"slice_{number:04d}.dcm" for number in range(1, len(volume.array) + 1)]
    for k, path in enumerate(paths):
        progress.report(k / len(paths), "Writing DICOM")
        origin = _LPS @ volume.points_of(np.array([0, 0, k]))
        slice_ = sitk.GetImageFromArray(volume.array[k : k + 1].astype(np.int16))
        slice_.SetSpacing(volume.spacing_mm.tolist())
        slice_.SetOrigin(origin.tolist())
        slice_.SetDirection(direction.ravel().tolist())
        for tag, value in (shared | _slice_tags(volume, seed, k, origin)).items():
            slice_.SetMetaData(tag, value)
        _write(path, slice_)
    progress.report(1.0, "DICOM written")
    return paths


def _check(volume: Volume) -> None:
    array = volume.array
    if not np.all(np.isfinite(array)) or np.any(array != np.round(array)) or np.abs(array).max() > 32767:
        raise VolumeError(
            f"{volume.source}: DICOM holds whole HU between -32768 and 32767; round and clip them first."
        )
    if np.linalg.det(volume.ijk_to_ras[:3, :3]) <= 0:
        raise VolumeError(
            f"{volume.source}: the slices are stacked against the right hand of the image axes, "
            "which DICOM does not allow; flip one axis first."
        )


def _shared_tags(volume: Volume, seed: int) -> dict[str, str]:
    """Tags that all slices have in common; positions and spacing in the plane come from the image."""
    axes = (_LPS @ volume.ijk_to_ras[:3, :2] / volume.spacing_mm[:2]).T.ravel()
    thickness = volume.slice_thickness_mm or volume.spacing_mm[2]
    return {
        "0008|0005": "ISO_IR 192",
        "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
        "0008|0016": _CT_IMAGE_STORAGE,
        "0008|0020": "20000101",
        "0008|0030": "120000",
        "0008|0060": "CT",
        "0008|0070": "SIMULATED",
        "0008|1030": "Simulated hip",
        "0008|103e": "Simulated CT of a digital hip",
        "0010|0010": "SIMULATED",
        "0010|0020": f"SIMULATED-{seed}",
        "0018|0050": f"{thickness:.6g}",
        "0018|0060": "120",
        "0018|0088": f"{volume.spacing_mm[2]:.10g}",
        "0018|5100": "HFS",
        "0020|000d": _uid(volume, seed, "study"),
        "0020|000e": _uid(volume, seed, "series"),
        "0020|0011": "1",
        "0020|0037": "\\".join(f"{value:.12g}" for value in axes),
        "0020|0052": _uid(volume, seed, "frame of reference"),
        "0028|1052": "0",
        "0028|1053": "1",
        "0028|1054": "HU",
    }


def _slice_tags(volume: Volume, seed: int, k: int, origin: np.ndarray) -> dict[str, str]:
    along = float(origin @ (_LPS @ volume.slice_normal))
    return {
        "0008|0018": _uid(volume, seed, f"slice {k}"),
        "0020|0013": str(k + 1),
        "0020|0032": "\\".join(f"{value:.10g}" for value in origin),
        "0020|1041": f"{along:.10g}",
    }


def _uid(volume: Volume, seed: int, of: str) -> str:
    geometry = np.round(volume.ijk_to_ras, 6).tobytes() + repr(volume.array.shape).encode()
    digest = hashlib.sha256(geometry + f"{seed} {of}".encode()).digest()
    return _UID_ROOT + str(int.from_bytes(digest[:16], "big"))


def _write(path: Path, image: sitk.Image) -> None:
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    with whole_file(path) as temporary:
        writer.SetFileName(str(temporary))
        try:
            with quiet_stderr():
                writer.Execute(image)
        except RuntimeError as error:
            raise_if_full(temporary)
            raise VolumeError(f"{path}: the slice could not be written.") from error

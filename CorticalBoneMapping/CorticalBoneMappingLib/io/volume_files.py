"""CT volumes and label maps from and to files: LPS outside, RAS inside, geometry checked on the way in."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..core.errors import VolumeError
from ..core.progress import Progress
from ..core.slice_axis import as_stored, slices_along_k
from ..core.volume import Volume, without_voxels
from .dicom_series import is_dicom, read_series, read_series_header, series_of
from .files import quiet_stderr, raise_if_full, whole_file
from .hu_checks import check_modality, refuse_missing
from .image_headers import (
    NiftiHeader,
    check_nifti,
    check_text_header,
    missing_values,
    read_nifti_header,
    unpacked,
)
from .image_sidecar import with_sidecar
from .input_files import files_of
from .volume_checks import check_grid, check_image, check_memory, check_right_angles, not_right_angled
from .volume_warnings import file_warnings

_READABLE = (".nrrd", ".nhdr", ".nii.gz", ".nii", ".mha", ".mhd")
_NIFTI = (".nii.gz", ".nii")
_WRITABLE = (".nrrd", ".nii.gz", ".nii", ".mha")
_RAS_LPS = np.diag([-1.0, -1.0, 1.0])


def read_volume(path: str | Path, series: str | None = None, progress: Progress | None = None) -> Volume:
    """Read a CT in HU.

    Parameters
    ----------
    path : str or Path
        A DICOM folder, one DICOM slice (its series is read), or an NRRD, NIfTI or MetaImage file.
    series : str, optional
        UID, description or number in the list of the DICOM series, where the folder holds several CT series.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    Volume
        HU as float32; k runs across the slices, in whichever order a file stores the axes. The slice
        thickness is DICOM's, the one that `write_volume` kept, or that of the JSON file beside an image (see
        `with_sidecar`).

    Raises
    ------
    VolumeError
        If the file or folder is missing, damaged or of another kind; if the voxels are not a regular
        three-dimensional grid; or if the values are not the HU of a CT.
    """
    path = Path(path)
    progress = progress or Progress()
    _check_access(path)
    with _quiet_itk():
        if path.is_dir():
            volume = _of_dicom(read_series(path, series, progress))
        elif is_dicom(path):
            volume = _of_dicom(read_series(path.parent, series or series_of(path), progress))
        else:
            progress.report(0.0, "Reading the CT")
            _check_has_no_series(path, series)
            volume = _with_warnings(with_sidecar(_read_file(path, sitk.sitkFloat32), path))
    volume = check_image(volume)
    progress.report(1.0, "CT read")
    return volume


def read_header(path: str | Path, series: str | None = None) -> Volume:
    """Read and check the header of a CT or label map; voxels are not read.

    Parameters
    ----------
    path : str or Path
        As `read_volume` takes.
    series : str, optional
        Likewise.

    Returns
    -------
    Volume
        Without voxels: every value is not-a-number.

    Raises
    ------
    VolumeError
        As `read_volume`, but for what only the voxels show.
    """
    path = Path(path)
    _check_access(path)
    with _quiet_itk():
        if path.is_dir():
            volume = read_series_header(path, series)
        elif is_dicom(path):
            volume = read_series_header(path.parent, series or series_of(path))
        else:
            _check_has_no_series(path, series)
            header = _read_file(path, sitk.sitkUnknown, with_voxels=False)
            volume = _with_warnings(with_sidecar(header, path))
    check_grid(volume)
    check_modality(volume)
    return volume


def read_labelmap(path: str | Path) -> Volume:
    """Read a label map: 0 is background, every other whole number a structure.

    Parameters
    ----------
    path : str or Path
        NRRD (Slicer's ``.seg.nrrd`` too, if its segments do not overlap), NIfTI or MetaImage.

    Returns
    -------
    Volume
        Integers; whole numbers stored as floats become integers.

    Raises
    ------
    VolumeError
        If the file is missing, damaged or of another kind, its grid is not regular, a value is not a
        whole number of at least 0, or nothing is labelled.
    """
    path = Path(path)
    _check_access(path)
    if path.is_dir() or is_dicom(path):
        raise VolumeError(
            f"{path}: a label map is read from an NRRD, NIfTI or MHA file, not from DICOM. "
            "In Slicer, load it and export the segment as a label map."
        )
    with _quiet_itk():
        volume = _read_file(path, sitk.sitkUnknown)
    check_grid(volume)
    array = volume.array
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise VolumeError(f"{path}: the label map holds values that are not numbers.")
    if array.dtype.kind == "f":
        if np.any(array != np.round(array)):
            raise VolumeError(f"{path}: a label map holds whole numbers only; this looks like an image.")
        array = array.astype(np.int32)
    if low < 0:
        raise VolumeError(
            f"{path}: a label map holds no negative values ({low:g}); this looks like an image."
        )
    if high == 0:
        raise VolumeError(f"{path}: nothing is labelled; every voxel is 0.")
    return replace(volume, array=array, modality=None, slice_thickness_mm=None, kvp=None)


def write_volume(path: str | Path, volume: Volume) -> None:
    """Write a CT or label map, compressed, whole or not at all.

    Modality, slice thickness and tube voltage are kept: in NRRD and MHA as the keys ``modality``,
    ``slice_thickness_mm`` and ``kvp``, in NIfTI in the description field; `read_volume` reads them back. The
    axes are in the order of the file that the grid came from.

    Parameters
    ----------
    path : str or Path
        Ends in ``.nrrd``, ``.nii``, ``.nii.gz`` or ``.mha``.
    volume : Volume
        Booleans become 0 and 1.

    Raises
    ------
    VolumeError
        If the ending is another, the grid is not rectangular, or writing the file failed.
    """
    path, volume = Path(path), as_stored(volume)
    ending = _ending(path, _WRITABLE)
    check_right_angles(volume.ijk_to_ras[:3, :3] / volume.spacing_mm, str(path))
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(volume.spacing_mm.tolist())
    image.SetOrigin((_RAS_LPS @ volume.ijk_to_ras[:3, 3]).tolist())
    image.SetDirection((_RAS_LPS @ volume.ijk_to_ras[:3, :3] / volume.spacing_mm).ravel().tolist())
    notes = {
        "modality": volume.modality,
        "slice_thickness_mm": volume.slice_thickness_mm,
        "kvp": volume.kvp,
    }
    notes = {key: str(value) for key, value in notes.items() if value is not None}
    if ending in _NIFTI:
        notes = {"ITK_FileNotes": " ".join(f"{key}={value}" for key, value in notes.items())}
    for key, value in notes.items():
        image.SetMetaData(key, value)
    with whole_file(path) as temporary:
        _write_image(image, temporary, array.nbytes)


def _write_image(image: sitk.Image, path: Path, size: int) -> None:
    with _quiet_itk(), quiet_stderr():
        try:
            sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)
            is_whole = _is_whole(path, size)
        except RuntimeError:
            is_whole = False
    if not is_whole:
        raise_if_full(path)
        raise VolumeError(f"{path.parent}: the volume could not be written here.")


def _is_whole(path: Path, size: int) -> bool:
    """Whether all `size` bytes of voxels are there, where the libraries do not check it themselves."""
    if path.name.endswith(_NIFTI):
        return _unpacked_size(path) >= size
    if path.suffix != ".mha":
        return True
    with path.open("rb") as file:
        head, end, _ = file.read(1 << 16).partition(b"ElementDataFile = LOCAL\n")
    packed = re.search(rb"CompressedDataSize = (\d+)", head)
    return bool(end and packed) and path.stat().st_size >= len(head) + len(end) + int(packed[1])


def _check_access(path: Path) -> None:
    """Refuse what may not be read with that reason; ITK would call it damaged."""
    try:
        if not path.is_dir():
            path.open("rb").close()
    except PermissionError as error:
        raise VolumeError(f"{path}: this file or folder may not be read (permission denied).") from error
    except OSError:
        pass  # whoever reads it reports what is missing


def _with_warnings(volume: Volume) -> Volume:
    return replace(volume, warnings=(*volume.warnings, *file_warnings(volume)))


def _check_has_no_series(path: Path, series: str | None) -> None:
    if series is not None:
        raise VolumeError(f"{path}: this is one volume, not a DICOM folder; leave the series '{series}' out.")


def _of_dicom(volume: Volume) -> Volume:
    """Keep the axes of a series: they are those of its slices, whatever their spacing."""
    return replace(volume, stored_axes=(0, 1, 2))


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Keep ITK's warnings from the user's terminal; what matters is checked and raised as an error."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _ending(path: Path, known: tuple[str, ...]) -> str:
    for ending in known:
        if path.name.lower().endswith(ending):
            return ending
    raise VolumeError(f"{path}: this program knows {', '.join(known)} here, not '{path.suffix}'.")


def _read_file(path: Path, pixel_type: int, with_voxels: bool = True) -> Volume:
    if not path.is_file():
        raise VolumeError(f"{path}: this file or folder does not exist.")
    ending = _ending(path, _READABLE)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetOutputPixelType(pixel_type)
    try:
        nifti = read_nifti_header(path) if ending in (".nii", ".nii.gz") else None
        warnings = _check_geometry(path, nifti)
        reader.ReadImageInformation()
        _check_dimensions(path, reader)
        volume = _header_of(reader, path, warnings)
        if not with_voxels:
            return slices_along_k(volume)
        check_grid(volume)
        check_memory(volume)
        with quiet_stderr():  # MetaImage prints what is raised as well
            image = reader.Execute()
        if nifti is not None:
            _check_voxels(path, nifti)
    except (OSError, RuntimeError) as error:
        if missing := [file for file in files_of(path) if not file.is_file()]:
            raise VolumeError(f"{path}: its header names {missing[0].name}, which does not exist.") from error
        if "orthonormal" in str(error) or "orthogonal" in str(error):
            raise VolumeError(not_right_angled(str(path))) from error
        raise VolumeError(
            f"{path}: the file is damaged, is of another kind than its name, or is not readable for you."
        ) from error
    return slices_along_k(replace(volume, array=sitk.GetArrayFromImage(image)))


def _check_geometry(path: Path, nifti: NiftiHeader | None) -> list[str]:
    """Refuse a file whose header leaves open what ITK would choose; give warnings."""
    if nifti is None:
        return check_text_header(path)
    if len(nifti.shape) != 3:
        return []  # refused for that
    if nifti.sform is not None:  # ITK straightens a sheared one in silence
        length = np.linalg.norm(nifti.sform[:, :3], axis=0)
        if np.all(length > 0):
            check_right_angles(nifti.sform[:, :3] / length, str(path))
    return check_nifti(path, nifti)


def _header_of(reader: sitk.ImageFileReader, path: Path, warnings: list[str]) -> Volume:
    tags = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    matrix = np.eye(4)
    direction = np.array(reader.GetDirection()).reshape(3, 3)
    matrix[:3, :3] = _RAS_LPS @ direction * np.array(reader.GetSpacing())
    matrix[:3, 3] = _RAS_LPS @ np.array(reader.GetOrigin())
    unread = without_voxels(reader.GetSize()[::-1])
    return Volume(unread, matrix, str(path), *_notes(tags), warnings=tuple(warnings))


def _check_dimensions(path: Path, reader: sitk.ImageFileReader) -> None:
    if reader.GetNumberOfComponents() != 1:
        raise VolumeError(
            f"{path}: each voxel holds {reader.GetNumberOfComponents()} values (colours, vectors, or "
            "segments that overlap); one is needed. In Slicer, export one segment as a label map."
        )
    if reader.GetDimension() != 3:
        raise VolumeError(
            f"{path}: the image has {reader.GetDimension()} dimensions; a volume of 3 is needed. "
            "Of a time series, export one frame."
        )


def _check_voxels(path: Path, nifti: NiftiHeader) -> None:
    """Refuse a NIfTI that was cut short or whose values are not all numbers: ITK reads zeros there."""
    voxels = int(np.prod(nifti.shape, dtype=np.int64))
    if _unpacked_size(path) < nifti.first_byte + voxels * nifti.voxel_bytes:
        raise VolumeError(f"{path}: the file is damaged or cut short. Copy it again.")
    if missing := missing_values(path, nifti):
        refuse_missing(str(path), missing, voxels)


def _unpacked_size(path: Path) -> int:
    """Bytes of a file once unpacked; 0 if unpacking to its end failed, or not with the right checksum."""
    try:
        return sum(len(piece) for piece in unpacked(path))
    except (EOFError, OSError, zlib.error):
        return 0


def _notes(tags: dict[str, str]) -> tuple[str | None, float | None, float | None]:
    """Modality, slice thickness, tube voltage as `write_volume` keeps them; MetaImage names the modality."""
    words = dict(word.split("=", 1) for word in tags.get("ITK_FileNotes", "").split() if "=" in word)
    words |= tags
    known = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR"}.get(tags.get("Modality", ""))
    return words.get("modality", known), _positive(words, "slice_thickness_mm"), _positive(words, "kvp")


def _positive(words: dict[str, str], name: str) -> float | None:
    try:
        value = float(words[name])
    except (KeyError, ValueError):
        return None
    return value if 0 < value < np.inf else None

"""One CT series of a DICOM folder: find its slices, check where they lie, stack them.

The series readers of ITK take the slice spacing from the first two slices and go on when a slice is
missing or the gantry was tilted; here every slice's own position is read and checked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .errors import VolumeError
from .progress import Progress
from .volume import Volume, without_voxels

MINIMUM_SLICES = 3
_MODALITY, _IMAGE_TYPE, _DESCRIPTION = "0008|0060", "0008|0008", "0008|103e"
_SERIES_UID, _POSITION, _ORIENTATION = "0020|000e", "0020|0032", "0020|0037"
_PIXEL_SPACING, _SLICE_THICKNESS, _KVP = "0028|0030", "0018|0050", "0018|0060"
_INTERCEPT, _SLOPE, _RESCALE_TYPE = "0028|1052", "0028|1053", "0028|1054"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class _Slice:
    """One image file: its tags, and its place in LPS mm (None where it tells none)."""

    path: Path
    tags: dict[str, str]
    size: tuple[int, ...]
    is_single_grey_frame: bool
    position: np.ndarray | None
    orientation: np.ndarray | None
    pixel_spacing: np.ndarray | None

    @property
    def modality(self) -> str:
        return self.tags.get(_MODALITY, "unknown modality")

    @property
    def uid(self) -> str:
        return self.tags.get(_SERIES_UID, "")

    @property
    def is_ct_slice(self) -> bool:
        has_place = all(x is not None for x in (self.position, self.orientation, self.pixel_spacing))
        is_scout = "LOCALIZER" in self.tags.get(_IMAGE_TYPE, "")
        return self.modality == "CT" and self.is_single_grey_frame and has_place and not is_scout

    def is_parallel_to(self, other: _Slice) -> bool:
        return (
            self.size == other.size
            and np.allclose(self.orientation, other.orientation, atol=2e-3)
            and np.allclose(self.pixel_spacing, other.pixel_spacing, rtol=1e-3)
        )


def is_dicom(path: Path) -> bool:
    """Whether a file bears the DICOM mark (``DICM`` after 128 bytes)."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_of(path: Path) -> str:
    """Give the UID of the series that a DICOM image belongs to.

    Raises
    ------
    VolumeError
        If the file holds no image that can be read.
    """
    header = _read_header(path, _reader())
    if header is None:
        raise VolumeError(f"{path}: this DICOM file is damaged, or holds no image.")
    return header.uid


def read_series(folder: Path, series: str | None = None, progress: Progress | None = None) -> Volume:
    """Read the CT series of a DICOM folder and its subfolders.

    Parameters
    ----------
    folder : Path
        Files that are no DICOM images (DICOMDIR, texts, reports, scouts) are passed over.
    series : str, optional
        UID or description of the series; needed where the folder holds several CT series.
    progress : Progress, optional
        Told how far the reading is.

    Returns
    -------
    Volume
        HU as float32, slices in the order of the slice normal (row × column direction).

    Raises
    ------
    VolumeError
        If there is no CT series, or more than one and none chosen; if slices are missing, doubled,
        unequally spaced, or shifted against each other as by a tilted gantry; if a file is damaged.
    """
    progress = progress or Progress()
    # The places are checked before the voxels are read: a wrong series is refused at once.
    chosen, header = _checked_slices(folder, series, progress.part(0.0, 0.2))
    return replace(header, array=_read_voxels(chosen, progress.part(0.2, 1.0)))


def read_series_header(folder: Path, series: str | None = None) -> Volume:
    """Check a series as `read_series` does, but read its headers alone.

    Returns
    -------
    Volume
        Without voxels: every value is not-a-number.

    Raises
    ------
    VolumeError
        As `read_series`, but for damage of the voxels.
    """
    chosen, header = _checked_slices(folder, series, Progress())
    for each in chosen:
        _check_rescale(each)
    return header


def _checked_slices(folder: Path, series: str | None, progress: Progress) -> tuple[list[_Slice], Volume]:
    """Give the slices of a series in their order, and what they make, without voxels."""
    slices, unreadable = _read_headers(folder, progress)
    chosen = _one_stack(_choose(slices, series, folder), folder)
    normal = np.cross(chosen[0].orientation[:3], chosen[0].orientation[3:])
    chosen.sort(key=lambda each: float(each.position @ normal))
    hint = f" These could not be read: {_some(unreadable)}." if unreadable else ""
    matrix, thickness = _grid(chosen, folder, hint), _slice_thickness(chosen, folder)
    voltage = _numbers(chosen[0].tags, _KVP, 1)
    kvp = float(voltage[0]) if voltage is not None and voltage[0] > 0 else None
    width, height = chosen[0].size[:2]
    unread = without_voxels((len(chosen), height, width))
    return chosen, Volume(unread, matrix, str(folder), "CT", thickness, kvp)


def _read_headers(folder: Path, progress: Progress) -> tuple[list[_Slice], list[str]]:
    """Read the header of every DICOM image; also name the DICOM files that hold no readable image."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    if not files:
        raise VolumeError(f"{folder}: the folder is empty.")
    files = [path for path in files if path.name.upper() != "DICOMDIR"]
    reader, slices, unreadable = _reader(), [], []
    for number, path in enumerate(files):
        if number % 32 == 0:
            progress.report(number / len(files), "Reading DICOM headers")
        if not is_dicom(path):
            continue
        header = _read_header(path, reader)
        if header is None:
            unreadable.append(path.name)
        else:
            slices.append(header)
    if not slices:
        raise VolumeError(f"{folder}: none of the {len(files)} files in this folder is a DICOM image.")
    return slices, unreadable


def _reader() -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(sitk.sitkFloat32)
    return reader


def _read_header(path: Path, reader: sitk.ImageFileReader) -> _Slice | None:
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    tags = {key: reader.GetMetaData(key).strip(" \0") for key in reader.GetMetaDataKeys()}
    place = (_numbers(tags, key, n) for key, n in ((_POSITION, 3), (_ORIENTATION, 6), (_PIXEL_SPACING, 2)))
    size = reader.GetSize()
    is_single_grey_frame = reader.GetNumberOfComponents() == 1 and np.prod(size[2:]) == 1
    return _Slice(path, tags, size, is_single_grey_frame, *place)


def _numbers(tags: dict[str, str], key: str, count: int) -> np.ndarray | None:
    try:
        values = np.array([float(text) for text in tags[key].split("\\")])
    except (KeyError, ValueError):
        return None
    return values if len(values) == count and np.all(np.isfinite(values)) else None


def _choose(slices: list[_Slice], wanted: str | None, folder: Path) -> list[_Slice]:
    """Give the slices of the only CT series, or of the one asked for."""
    every: dict[str, list[_Slice]] = defaultdict(list)
    for each in slices:
        if each.is_ct_slice:
            every[each.uid].append(each)
    if not every:
        raise VolumeError(_why_no_ct(slices, folder))
    if wanted is not None:
        found = [s for uid, s in every.items() if wanted in (uid, s[0].tags.get(_DESCRIPTION))]
        problem = f"no CT series '{wanted}'" if not found else f"several CT series named '{wanted}'"
    else:
        found = [s for s in every.values() if len(s) >= MINIMUM_SLICES] or list(every.values())
        problem = "several CT series"
    if len(found) == 1:
        return found[0]
    listed = "".join(
        f"\n  {uid}  '{s[0].tags.get(_DESCRIPTION, '')}'  {len(s)} slices" for uid, s in every.items()
    )
    raise VolumeError(f"{folder}: the folder holds {problem}. Choose one of these by its UID:{listed}")


def _why_no_ct(slices: list[_Slice], folder: Path) -> str:
    if any(each.modality == "CT" and np.prod(each.size[2:]) > 1 for each in slices):
        return (
            f"{folder}: the CT is stored as one multi-frame DICOM file, whose slice positions this program "
            "cannot check. Export it as single slices, or convert it to NRRD or NIfTI."
        )
    kinds = Counter(each.modality for each in slices)
    held = ", ".join(f"{count} of {kind}" for kind, count in sorted(kinds.items()))
    return f"{folder}: the folder holds no CT slices (images: {held}). A CT is needed."


def _one_stack(slices: list[_Slice], folder: Path) -> list[_Slice]:
    """Leave out scouts that some scanners keep in the series; refuse a series of several stacks."""
    stacks: list[list[_Slice]] = []
    for each in slices:
        stack = next((s for s in stacks if each.is_parallel_to(s[0])), None)
        if stack is None:
            stacks.append(stack := [])
        stack.append(each)
    stacks.sort(key=len, reverse=True)
    if len(stacks) > 1 and len(stacks[1]) >= MINIMUM_SLICES:
        counts = " and ".join(str(len(stack)) for stack in stacks)
        raise VolumeError(
            f"{folder}: the series mixes images of different direction, size or pixel spacing "
            f"({counts} slices). Keep only one kind in the folder."
        )
    if len(stacks[0]) < MINIMUM_SLICES:
        raise VolumeError(
            f"{folder}: the CT series has only {len(stacks[0])} slice(s); "
            f"at least {MINIMUM_SLICES} are needed."
        )
    return stacks[0]


def _grid(slices: list[_Slice], folder: Path, hint: str) -> np.ndarray:
    """Check the places of the sorted slices; return the matrix from voxel index to RAS, shape (4, 4)."""
    row, column = np.mean([each.orientation.reshape(2, 3) for each in slices], axis=0)
    normal = np.cross(row, column)
    size = np.linalg.norm([row, column, normal], axis=1)
    if not np.allclose(size, 1.0, atol=0.01) or abs(row @ column) > 0.01:
        raise VolumeError(f"{folder}: the image directions are not at right angles; the series is damaged.")
    normal /= size[2]
    row /= size[0]
    column = np.cross(normal, row)
    positions = np.array([each.position for each in slices])
    heights = positions @ normal
    _check_heights(heights, slices, folder, hint)
    between_rows, between_columns = slices[0].pixel_spacing  # DICOM's order: rows first
    _check_drift(positions, normal, between_columns, folder)
    step = (heights[-1] - heights[0]) / (len(slices) - 1)
    matrix = np.eye(4)
    matrix[:3, :3] = _LPS_TO_RAS @ np.column_stack(
        [row * between_columns, column * between_rows, normal * step]
    )
    matrix[:3, 3] = _LPS_TO_RAS @ positions[0]
    return matrix


def _check_heights(heights: np.ndarray, slices: list[_Slice], folder: Path, hint: str) -> None:
    """Refuse doubled, missing and unequally spaced slices; `heights` ascend, in mm."""
    steps = np.diff(heights)
    usual = float(np.median(steps))
    doubled = np.flatnonzero(steps < max(0.01, 0.05 * usual))
    if len(doubled):
        names = _some([slices[doubled[0]].path.name, slices[doubled[0] + 1].path.name])
        raise VolumeError(
            f"{folder}: {len(doubled)} slice position(s) occur twice, the first in {names}. Keep each slice "
            "once; if these are two reconstructions or two phases, keep them in folders of their own."
        )
    # Positions are often rounded to 0.1 mm: steps may vary a little if the errors do not add up.
    even = heights[0] + np.arange(len(heights)) * (heights[-1] - heights[0]) / len(steps)
    wide = np.flatnonzero(np.abs(steps - usual) > 0.2 * usual)
    if not len(wide) and np.all(np.abs(heights - even) < 0.25 * usual):
        return
    shown = " and ".join(f"{step:.4g} mm" for step in sorted({usual, *_extremes(steps)})[:3])
    text = f"{folder}: The slices are not equally spaced ({shown})"
    counts = np.round(steps[wide] / usual).astype(int)
    if len(wide) and np.all(counts >= 2) and np.allclose(steps[wide], counts * usual, atol=0.2 * usual):
        text += f": {_missing(wide, counts)}. Copy the series again from the archive.{hint}"
    else:
        text += ". Reconstruct the series with one slice spacing, or keep only its evenly spaced part."
    raise VolumeError(text)


def _extremes(steps: np.ndarray) -> set[float]:
    """Return the smallest and largest step, unless they are the usual one but for rounding."""
    usual = np.median(steps)
    return {float(s) for s in (steps.min(), steps.max()) if abs(s - usual) > 0.01 * usual}


def _missing(before: np.ndarray, counts: np.ndarray) -> str:
    """Name the missing slices, counted from 1 in the complete series."""
    numbers: list[int] = []
    for index, count in zip(before, counts):
        first = int(index) + 2 + len(numbers)
        numbers.extend(range(first, first + int(count) - 1))
    if len(numbers) == 1:
        return f"slice {numbers[0]} seems to be missing"
    return f"slices {_some([str(number) for number in numbers])} seem to be missing"


def _check_drift(positions: np.ndarray, normal: np.ndarray, pixel_mm: float, folder: Path) -> None:
    """Refuse slices that move sideways: the scan of a tilted gantry is not a rectangular grid."""
    across = positions[-1] - positions[0]
    along = float(across @ normal)
    drift = float(np.linalg.norm(across - along * normal))
    angle = float(np.degrees(np.arctan2(drift, along)))
    sideways = positions - positions[0] - np.outer((positions - positions[0]) @ normal, normal)
    if angle > 1.0 or drift > 0.5 * pixel_mm:
        raise VolumeError(
            f"{folder}: the gantry was tilted by {angle:.1f}° (each slice is shifted against the one below). "
            "Correct the tilt first: in Slicer, DICOM module, load with 'Acquisition geometry "
            "regularization: apply regularization transform' and harden it; then export as NRRD."
        )
    if np.linalg.norm(sideways, axis=1).max() > max(drift, 0.5 * pixel_mm):
        raise VolumeError(f"{folder}: some slices are shifted sideways against the others.")


def _slice_thickness(slices: list[_Slice], folder: Path) -> float | None:
    thickness = [_numbers(each.tags, _SLICE_THICKNESS, 1) for each in slices]
    known = [float(value[0]) for value in thickness if value is not None and value[0] > 0]
    if not known:
        return None
    if max(known) > 1.05 * min(known):
        raise VolumeError(
            f"{folder}: the slice thickness changes within the series ({min(known):g} to {max(known):g} mm)."
        )
    return float(np.median(known))


def _read_voxels(slices: list[_Slice], progress: Progress) -> np.ndarray:
    """Read HU slice by slice into one array, shape (n_slices, n_rows, n_columns), float32."""
    width, height = slices[0].size[:2]
    array = np.empty((len(slices), height, width), dtype=np.float32)
    reader = _reader()
    for number, each in enumerate(slices):
        if number % 32 == 0:
            progress.report(number / len(slices), "Reading CT slices")
        _check_rescale(each)
        reader.SetFileName(str(each.path))
        try:
            image = reader.Execute()  # named, since the view below is only alive as long as the image is
        except RuntimeError as error:
            raise VolumeError(
                f"{each.path}: this slice is damaged. Copy it again from the archive."
            ) from error
        array[number] = sitk.GetArrayViewFromImage(image)[0]
    return array


def _check_rescale(each: _Slice) -> None:
    """Refuse stored values that do not become HU; ITK would assume slope 1 and intercept 0."""
    if _INTERCEPT not in each.tags or _SLOPE not in each.tags:
        raise VolumeError(
            f"{each.path}: the rescale slope and intercept are missing, so the values cannot become HU."
        )
    kind = each.tags.get(_RESCALE_TYPE, "HU")
    if kind not in ("HU", "US", ""):  # US: unspecified, as some scanners write for plain HU
        raise VolumeError(f"{each.path}: the values are in '{kind}', not in HU; choose the plain CT series.")


def _some(names: list[str]) -> str:
    """Join the first few names."""
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    return ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else shown[0]

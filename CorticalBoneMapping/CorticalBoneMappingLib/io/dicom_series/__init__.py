"""One CT series of a DICOM folder: find its slices, check where they lie, stack them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...core.errors import VolumeError
from ...core.progress import Progress
from ...core.volume import Volume, without_voxels
from .certainty import check_header, header_warnings, voltage
from .choice import choose
from .elements import is_dicom
from .headers import (
    Slice,
    Unreadable,
    belonging,
    image_reader,
    listed,
    read_headers,
    read_slice_header,
    some,
)
from .stack import MINIMUM_SLICES, grid_of, normal_of, one_stack, slice_thickness
from .voxels import check_rescale, read_voxels

__all__ = ["MINIMUM_SLICES", "is_dicom", "read_series", "read_series_header", "series_of"]


def series_of(path: Path) -> str:
    """Give the UID of the series that a DICOM image belongs to.

    Raises
    ------
    VolumeError
        If the file holds no image that can be read.
    """
    header = read_slice_header(path, image_reader())
    if not isinstance(header, Slice):
        why = f" ({header.why})" if header is not None else ""
        raise VolumeError(f"{path}: this DICOM file is damaged, or holds no image{why}.")
    return header.uid


def read_series(folder: Path, series: str | None = None, progress: Progress | None = None) -> Volume:
    """Read the CT series of a DICOM folder and its subfolders.

    Parameters
    ----------
    folder : Path
        Files that are not DICOM images (DICOMDIR, texts, reports, scouts) are passed over.
    series : str, optional
        UID, description, or number in the list that the error shows; needed where the folder holds several
        CT series.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    Volume
        HU as float32, slices in the order of the slice normal (row × column direction); its warnings state
        what in the headers makes numbers less certain.

    Raises
    ------
    VolumeError
        If the folder has no CT series, or more than one and none chosen; if slices are missing, doubled,
        unequally spaced, or shifted against each other as by a tilted gantry; if a file of the series is
        unreadable.
    """
    progress = progress or Progress()
    # The places are checked before the voxels are read: a wrong series is refused at once.
    chosen, header = _checked_slices(folder, series, progress.part(0.0, 0.2))
    return replace(header, array=read_voxels(chosen, progress.part(0.2, 1.0)))


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
        check_rescale(each)
    return header


def _checked_slices(folder: Path, series: str | None, progress: Progress) -> tuple[list[Slice], Volume]:
    """Give the slices of a series in their order, and what they make, without voxels."""
    images, unreadable, locked = read_headers(folder, progress)
    chosen, warnings = one_stack(choose(images, series, folder), folder)
    normal = normal_of(chosen[0])
    chosen.sort(key=lambda each: float(each.position @ normal))
    certain, perhaps = belonging(chosen, unreadable)
    hint = f" These could not be read: {listed(certain + perhaps)}." if certain or perhaps else ""
    matrix, thickness = grid_of(chosen, folder, hint), slice_thickness(chosen, folder)
    _refuse_unreadable(certain, folder)
    check_header(chosen, folder)
    warnings += header_warnings(chosen)
    if perhaps:
        warnings.append(f"Files beside the slices could not be read, and may be slices: {listed(perhaps)}.")
    if locked:
        warnings.append(f"Subfolders may not be read, and may hold slices: {some(locked)}.")
    width, height = chosen[0].size[:2]
    unread = without_voxels((len(chosen), height, width))
    volume = Volume(unread, matrix, str(folder), "CT", thickness, voltage(chosen), warnings=tuple(warnings))
    return chosen, volume


def _refuse_unreadable(files: list[Unreadable], folder: Path) -> None:
    """Refuse a series with an unreadable file: at its end no gap would show that it is missing."""
    if files:
        raise VolumeError(
            f"{folder}: {len(files)} file(s) of the series could not be read: {listed(files)}. Copy the "
            "series again from the archive; move files elsewhere that are not of it."
        )

"""The headers of a DICOM folder: the images in it, and the unreadable files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...core.errors import VolumeError
from ...core.progress import Progress
from .elements import Elements, read_elements, why_not_decoded

NOT_DICOM, EMPTY = "not DICOM", "empty"


class Tag:
    """The DICOM tags that are read, as ITK writes them."""

    TRANSFER_SYNTAX = "0002|0010"
    IMAGE_TYPE, SOP_CLASS, MODALITY, DESCRIPTION = "0008|0008", "0008|0016", "0008|0060", "0008|103e"
    PATIENT_ID = "0010|0020"
    CONTRAST, SLICE_THICKNESS, KVP = "0018|0010", "0018|0050", "0018|0060"
    TILT, KERNEL = "0018|1120", "0018|1210"
    SERIES_UID, SERIES_NUMBER = "0020|000e", "0020|0011"
    POSITION, ORIENTATION, FRAME_OF_REFERENCE = "0020|0032", "0020|0037", "0020|0052"
    PHOTOMETRIC, PIXEL_SPACING, BURNED_IN = "0028|0004", "0028|0030", "0028|0301"
    INTERCEPT, SLOPE, RESCALE_TYPE = "0028|1052", "0028|1053", "0028|1054"
    LOSSY = "0028|2110"


@dataclass(frozen=True)
class Slice:
    """One image file: its tags, and its place in LPS mm (None where the header does not give it).

    Attributes
    ----------
    path : Path
    tags : dict of str to str
        Values by ``gggg|eeee``.
    size : tuple of int
        Columns, rows, frames.
    components : int
        Values a voxel; 1 of a grey image.
    position : ndarray of shape (3,) or None
        Of the first voxel.
    orientation : ndarray of shape (6,) or None
        Directions along a row and along a column.
    pixel_spacing : ndarray of shape (2,) or None
        Between rows, then between columns.
    """

    path: Path
    tags: dict[str, str]
    size: tuple[int, ...]
    components: int
    position: np.ndarray | None
    orientation: np.ndarray | None
    pixel_spacing: np.ndarray | None

    @property
    def modality(self) -> str:
        """DICOM modality."""
        return self.text(Tag.MODALITY) or "unknown modality"

    @property
    def uid(self) -> str:
        """UID of the series."""
        return self.text(Tag.SERIES_UID)

    @property
    def is_scout(self) -> bool:
        """Whether it is an overview that a scan is planned on."""
        return "LOCALIZER" in self.text(Tag.IMAGE_TYPE).upper()

    @property
    def is_picture(self) -> bool:
        """Whether it is in colour, such as a dose report."""
        return self.components != 1

    @property
    def is_multi_frame(self) -> bool:
        """Whether one file holds several slices."""
        return bool(np.prod(self.size[2:]) > 1)

    @property
    def lacks(self) -> list[str]:
        """What the header leaves open about the place of the slice."""
        place = {
            "ImagePositionPatient (0020,0032)": self.position,
            "ImageOrientationPatient (0020,0037)": self.orientation,
            "PixelSpacing (0028,0030)": self.pixel_spacing,
        }
        return [name for name, value in place.items() if value is None]

    @property
    def is_ct_image(self) -> bool:
        """Whether it is meant as a slice of a CT, whatever its header lacks."""
        return self.modality == "CT" and not (self.is_scout or self.is_picture or self.is_multi_frame)

    @property
    def is_ct_slice(self) -> bool:
        """Whether it can be used as a slice of a CT."""
        return self.is_ct_image and not self.lacks

    def text(self, tag: str) -> str:
        """Give a value; empty where there is none."""
        return self.tags.get(tag, "")

    def number(self, tag: str) -> float | None:
        """Give a value as one number; None where it is not one."""
        values = numbers(self.tags, tag, 1)
        return None if values is None else float(values[0])


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be read as DICOM.

    Attributes
    ----------
    path : Path
    why : str
        A few words.
    series : str
        UID of the series that its header names; empty where unknown.
    is_dicom : bool
        Whether it begins as DICOM does.
    """

    path: Path
    why: str
    series: str = ""
    is_dicom: bool = False


def read_headers(folder: Path, progress: Progress) -> tuple[list[Slice], list[Unreadable], list[str]]:
    """Read the headers of all images in a folder and its subfolders.

    Returns
    -------
    slices : list of Slice
        In the order of their paths; without reports and other objects that hold no image.
    unreadable : list of Unreadable
        Every other file: damaged, empty, locked, or simply not DICOM.
    locked : list of str
        Subfolders that may not be read.

    Raises
    ------
    VolumeError
        If the folder is empty, may not be read, or holds no DICOM image.
    """
    files, locked = _files(folder)
    reader = image_reader()
    slices: list[Slice] = []
    unreadable: list[Unreadable] = []
    for number, path in enumerate(files):
        if number % 32 == 0:
            progress.report(number / len(files), "Reading DICOM headers")
        header = read_slice_header(path, reader)
        if isinstance(header, Slice):
            slices.append(header)
        elif header is not None:
            unreadable.append(header)
    if not slices:
        damaged = [each for each in unreadable if each.why != NOT_DICOM]
        hint = f" These could not be read: {listed(damaged)}." if damaged else ""
        raise VolumeError(f"{folder}: none of the {len(files)} files in this folder is a DICOM image.{hint}")
    return slices, unreadable, locked


def read_slice_header(path: Path, reader: sitk.ImageFileReader) -> Slice | Unreadable | None:
    """Read the header of a file; None if it is DICOM without an image, such as a report."""
    try:
        elements = read_elements(path)
    except OSError as error:
        return Unreadable(path, (error.strerror or "does not open").lower())
    if elements is None:
        return Unreadable(path, NOT_DICOM if path.stat().st_size else EMPTY)
    damaged = Unreadable(path, "cut short" if elements.is_cut else "damaged", elements.series, is_dicom=True)
    if elements.is_cut:
        return damaged
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        if elements.has_voxels:
            return replace(damaged, why=why_not_decoded(elements.transfer_syntax))
        return damaged if elements.is_image or not elements.is_complete else None
    return _slice(path, reader, elements)


def _slice(path: Path, reader: sitk.ImageFileReader, elements: Elements) -> Slice:
    found = {key: reader.GetMetaData(key).strip(" \0") for key in reader.GetMetaDataKeys()}
    found[Tag.TRANSFER_SYNTAX] = elements.transfer_syntax
    wanted = ((Tag.POSITION, 3), (Tag.ORIENTATION, 6), (Tag.PIXEL_SPACING, 2))
    place = (numbers(found, key, count) for key, count in wanted)
    return Slice(path, found, reader.GetSize(), reader.GetNumberOfComponents(), *place)


def image_reader() -> sitk.ImageFileReader:
    """Give a reader of DICOM images whose voxels become float32."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(sitk.sitkFloat32)
    return reader


def numbers(found: dict[str, str], key: str, count: int) -> np.ndarray | None:
    """Give a tag's `count` finite numbers; None where it has not that many."""
    try:
        values = np.array([float(text) for text in found[key].split("\\")])
    except (KeyError, ValueError):
        return None
    return values if len(values) == count and np.all(np.isfinite(values)) else None


def belonging(chosen: list[Slice], unreadable: list[Unreadable]) -> tuple[list[Unreadable], list[Unreadable]]:
    """Give the unreadable files that are of a series, and those that may be.

    A file belongs to the series if its header names it, or names none and it lies beside the slices with a
    name like theirs; it may be if it lies there and is DICOM, or is empty and has their ending.
    """
    folders = {each.path.parent for each in chosen}
    alike = {(each.path.parent, _kind_of_name(each.path)) for each in chosen}
    endings = {_kind_of_name(each.path)[1] for each in chosen}
    certain, perhaps = [], []
    for each in unreadable:
        name = _kind_of_name(each.path)
        if each.series:
            certain += [each] if each.series == chosen[0].uid else []
        elif (each.path.parent, name) in alike:
            certain.append(each)
        elif each.path.parent in folders and (each.is_dicom or (each.why == EMPTY and name[1] in endings)):
            perhaps.append(each)
    return certain, perhaps


def _kind_of_name(path: Path) -> tuple[str, str]:
    """Give a name with # for its numbers, and its ending: what the slices of one export share."""
    ending = path.suffix if re.search("[A-Za-z]", path.suffix) else ""
    stem = path.name.removesuffix(ending)
    return re.sub(r"[0-9a-fA-F]*[0-9][0-9a-fA-F.]*", "#", stem), ending.lower()


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    errors: list[OSError] = []
    walk = os.walk(folder, onerror=errors.append)
    found = [Path(place) / name for place, _, names in walk for name in names]
    # Links that lead nowhere stay: they represent lost files. Pipes and devices are not files.
    files = sorted(
        path for path in found if path.name[0] != "." and (os.path.isfile(path) or not os.path.exists(path))
    )
    locked = [Path(error.filename) for error in errors if Path(error.filename).name[0] != "."]
    if not files and errors:
        raise VolumeError(
            f"{errors[0].filename}: this folder may not be read ({(errors[0].strerror or 'error').lower()}). "
            "Ask its owner for access, or copy it."
        )
    if not files:
        raise VolumeError(f"{folder}: the folder is empty.")
    return [path for path in files if path.name.upper() != "DICOMDIR"], [path.name for path in locked]


def listed(files: list[Unreadable]) -> str:
    """Name the first few files, together where the reason is the same."""
    reasons = dict.fromkeys(each.why for each in files)
    return "; ".join(
        f"{some([each.path.name for each in files if each.why == why])} ({why})" for why in reasons
    )


def some(names: list[str]) -> str:
    """Join the first few names."""
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    return ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else shown[0]

"""The voxels of a DICOM series as HU."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ...core.errors import VolumeError
from ...core.progress import Progress
from .elements import why_not_decoded
from .headers import Slice, Tag, image_reader


def read_voxels(slices: list[Slice], progress: Progress) -> np.ndarray:
    """Read HU slice by slice into one array, shape (n_slices, n_rows, n_columns), float32."""
    width, height = slices[0].size[:2]
    array = np.empty((len(slices), height, width), dtype=np.float32)
    reader = image_reader()
    for number, each in enumerate(slices):
        if number % 32 == 0:
            progress.report(number / len(slices), "Reading CT slices")
        check_rescale(each)
        try:
            image = _image(each, reader)  # named, since the view below is only alive as long as the image is
        except RuntimeError as error:
            why = why_not_decoded(each.text(Tag.TRANSFER_SYNTAX))
            raise VolumeError(
                f"{each.path}: this slice is {why}. Copy it again from the archive, uncompressed if need be."
            ) from error
        array[number] = sitk.GetArrayViewFromImage(image)[0]
    return array


def _image(each: Slice, reader: sitk.ImageFileReader) -> sitk.Image:
    if each.text(Tag.PHOTOMETRIC) != "MONOCHROME1":
        reader.SetFileName(str(each.path))
        return reader.Execute()
    # It states that low values are shown bright, and nothing about the values (DICOM PS3.3 C.7.6.3.1.2). But
    # GDCM inverts their bits, so a copy that states otherwise is read.
    with tempfile.TemporaryDirectory(prefix="cbm-") as folder:
        copy = Path(folder) / "slice.dcm"
        copy.write_bytes(each.path.read_bytes().replace(b"MONOCHROME1", b"MONOCHROME2"))
        reader.SetFileName(str(copy))
        image = reader.Execute()
    if reader.GetMetaData(Tag.PHOTOMETRIC).strip() != "MONOCHROME2":
        raise VolumeError(
            f"{each.path}: the image is MONOCHROME1 in a deflated file, whose values would be inverted. "
            "Export it without deflation."
        )
    return image


def check_rescale(each: Slice) -> None:
    """Refuse stored values that do not become HU; ITK would assume slope 1 and intercept 0."""
    if Tag.INTERCEPT not in each.tags or Tag.SLOPE not in each.tags:
        raise VolumeError(
            f"{each.path}: the rescale slope and intercept are missing, so the values do not convert to HU."
        )
    slope, intercept = each.number(Tag.SLOPE), each.number(Tag.INTERCEPT)
    if slope is None or intercept is None or slope <= 0:
        raise VolumeError(
            f"{each.path}: the rescale slope is '{each.text(Tag.SLOPE)}' and the intercept "
            f"'{each.text(Tag.INTERCEPT)}'; HU need a slope above 0. Export the series again."
        )
    kind = each.tags.get(Tag.RESCALE_TYPE, "HU")
    if kind not in ("HU", "US", ""):  # US: unspecified, as some scanners write for plain HU
        raise VolumeError(f"{each.path}: the values are in '{kind}', not in HU; choose the plain CT series.")

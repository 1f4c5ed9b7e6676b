"""What in the header of a CT series makes numbers from it less certain, or impossible."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import VolumeError
from ..volume_warnings import direction_warnings
from .headers import Slice, Tag, some
from .stack import normal_of

_CT_IMAGE, _ENHANCED_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"
_LOSSY = {"1.2.840.10008.1.2.4.50": "JPEG", "1.2.840.10008.1.2.4.51": "JPEG"}
_PERHAPS_LOSSY = {  # unless LossyImageCompression is 00
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.203": "JPEG 2000",
}
_PROJECTIONS = ("MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "MNIP")
_NO_CONTRAST = ("", "NONE", "NO", "N", "0", "WITHOUT", "NO CONTRAST")
_COARSE_HU = 4.0  # a 12-bit CT has steps of 1 HU; one of 256 grey values has 8 or more
_TILT_DEG = 1.0


def check_header(slices: list[Slice], folder: Path) -> None:
    """Refuse slices whose header shows that they are not one CT of one person.

    Raises
    ------
    VolumeError
        If the series mixes people, or its voxels are those of a projection.
    """
    if len(people := _different(slices, Tag.PATIENT_ID)) > 1:
        raise VolumeError(
            f"{folder}: PatientID changes within the series ({some(people)}), so it is not one scan of one "
            "person. Copy the series again from the archive."
        )
    kinds = _image_types(slices)
    if shown := [kind for kind in _PROJECTIONS if kind in kinds]:
        raise VolumeError(
            f"{folder}: the images are projections ({shown[0]} in ImageType): a voxel holds the largest or "
            "smallest HU of several slices. Choose the series that they were made from."
        )


def header_warnings(slices: list[Slice]) -> list[str]:
    """Say what makes numbers from a series less certain, a sentence each."""
    first = slices[0]
    kinds = _image_types(slices)
    made = [kind for kind in ("DERIVED", "SECONDARY") if kind in kinds]
    found = []
    if made or first.text(Tag.SOP_CLASS) not in ("", _CT_IMAGE, _ENHANCED_CT_IMAGE):
        what = f"ImageType {first.text(Tag.IMAGE_TYPE)}" if made else "secondary capture"
        found.append(
            f"The CT is not an original series ({what}): it was made from other images, which changes blur "
            "and HU. Use the original series."
        )
    found += direction_warnings(normal_of(first))
    if (frames := len(_different(slices, Tag.FRAME_OF_REFERENCE))) > 1:
        found.append(
            f"The series has {frames} frames of reference (FrameOfReferenceUID), so the places of its slices "
            "may not fit together; or a tool for anonymising gave each slice one of its own."
        )
    found += _compression(slices)
    found += _changes(slices)
    agent = next((t for t in _different(slices, Tag.CONTRAST) if t.upper() not in _NO_CONTRAST), "")
    if agent:
        found.append(
            f"The header names a contrast agent ({agent}): it raises the HU of vessels, muscle and marrow, "
            "so densities are less certain, most of all with an internal calibration."
        )
    tilt = max((abs(each.number(Tag.TILT) or 0.0) for each in slices), default=0.0)
    if tilt > _TILT_DEG and not direction_warnings(normal_of(first), limit_deg=_TILT_DEG):
        found.append(
            f"The gantry was tilted by {tilt:g}°, but the slices lie as without tilt: they were resampled, "
            "or their positions are wrong."
        )
    if any(each.text(Tag.BURNED_IN).upper() == "YES" for each in slices):
        found.append("According to the header, text is burned into the images (BurnedInAnnotation).")
    slope = max(each.number(Tag.SLOPE) or 0.0 for each in slices)
    if slope > _COARSE_HU:
        found.append(f"The CT is stored in steps of {slope:g} HU, so its values are rounded coarsely.")
    return found


def voltage(slices: list[Slice]) -> float | None:
    """Give the peak tube voltage in kV; None where it is not known or changes."""
    known = {each.number(Tag.KVP) for each in slices}
    value = known.pop() if len(known) == 1 else None
    return value if value is not None and value > 0 else None


def _image_types(slices: list[Slice]) -> set[str]:
    return {kind.strip() for each in slices for kind in each.text(Tag.IMAGE_TYPE).upper().split("\\")}


def _different(slices: list[Slice], tag: str) -> list[str]:
    """Give the different values of a tag, without empty ones."""
    return sorted({text for each in slices if (text := each.text(tag))})


def _compression(slices: list[Slice]) -> list[str]:
    is_lossy, kinds = False, set()
    for each in slices:
        stated, syntax = each.text(Tag.LOSSY), each.text(Tag.TRANSFER_SYNTAX)
        kind = _LOSSY.get(syntax) or (_PERHAPS_LOSSY.get(syntax) if stated != "00" else None)
        is_lossy |= stated == "01" or kind is not None
        kinds |= {kind} if kind else set()
    if not is_lossy:
        return []
    how = f" ({', '.join(sorted(kinds))})" if kinds else ""
    return [f"The CT was compressed with loss{how}, which changes fine detail and HU. Use the original."]


def _changes(slices: list[Slice]) -> list[str]:
    found = []
    for what, tag, unit in (("tube voltage", Tag.KVP, " kV"), ("kernel", Tag.KERNEL, "")):
        if len(values := _different(slices, tag)) > 1:
            shown = " and ".join(value + unit for value in values[:3])
            found.append(
                f"The {what} changes within the series ({shown}), and with it blur or HU; densities of its "
                "parts are not comparable."
            )
    return found

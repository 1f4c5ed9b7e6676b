"""The text headers of NRRD and MetaImage: what is missing there, ITK replaces in silence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .errors import VolumeError
from .nifti_header import check_spacing, not_oriented

_LONGEST = 1 << 20  # bytes of a header: segmentations of Slicer keep much there
_PATIENT_SPACES = ("left", "right")  # "left-posterior-superior", "RAS", ...
_SPACING_KEYS = ("elementspacing", "elementsize")
_ORIENTATION_KEYS = ("transformmatrix", "rotation", "orientation")


def check_text_header(path: Path) -> list[str]:
    """Refuse an NRRD or MetaImage file whose spacing is missing, no number above 0, or not in mm.

    Parameters
    ----------
    path : Path
        What it is is asked of its first bytes; anything else passes.

    Returns
    -------
    list of str
        A warning where the file does not say how the image lies in the patient.

    Raises
    ------
    VolumeError
    """
    with path.open("rb") as file:
        raw = file.read(_LONGEST)
    is_nrrd = raw.startswith(b"NRRD")
    if not is_nrrd and path.suffix.lower() not in (".mha", ".mhd"):
        return []
    head, *rest = re.split(rb"\r?\n\r?\n|$" if is_nrrd else rb"ElementDataFile", raw, maxsplit=1)
    if not rest:
        return []  # cut short: its reader will say so
    return (_check_nrrd if is_nrrd else _check_metaimage)(path, head.decode("utf-8", "replace"))


def _check_nrrd(path: Path, text: str) -> list[str]:
    fields = _fields(text, r":(?!=)")
    if fields.get("dimension") != "3":
        return []  # refused for that
    for key in ("space units", "units"):
        _check_unit(path, re.findall(r'"([^"]*)"', fields.get(key, "")))
    directions = fields.get("space directions")
    if directions is None and "spacings" not in fields:
        raise _without_spacing(path, "neither 'space directions' nor 'spacings'")
    if directions is None:
        check_spacing(path, _numbers(fields["spacings"]))
        return [not_oriented(path, "spacings without space directions")]
    vectors = [_numbers(vector) for vector in re.findall(r"\(([^)]*)\)", directions)]
    if [len(vector) for vector in vectors] != [3, 3, 3]:
        raise _without_spacing(path, f"'space directions' is {directions}")
    check_spacing(path, np.linalg.norm(vectors, axis=1))
    space = fields.get("space", "").lower()
    if not (space.startswith(_PATIENT_SPACES) or space[:3] in ("lps", "ras", "las")):
        return [not_oriented(path, f"space is '{space}'" if space else "no 'space'")]
    return []


def _check_metaimage(path: Path, text: str) -> list[str]:
    fields = _fields(text, "=")
    if fields.get("ndims") != "3":
        return []
    _check_unit(path, [fields[key] for key in ("distanceunits",) if key in fields])
    given = [key for key in _SPACING_KEYS if key in fields]
    if not given:
        raise _without_spacing(path, "no 'ElementSpacing'")
    check_spacing(path, _numbers(fields[given[0]]))
    if not any(key in fields for key in _ORIENTATION_KEYS):
        return [not_oriented(path, "no 'TransformMatrix'")]
    return []


def _fields(text: str, separator: str) -> dict[str, str]:
    """Fields of a header by lower-case name; NRRD's ``key:=value`` pairs are none of them."""
    pairs = (re.split(separator, line, maxsplit=1) for line in text.splitlines() if not line.startswith("#"))
    return {pair[0].strip().lower(): pair[1].strip() for pair in pairs if len(pair) == 2}


def _numbers(text: str) -> np.ndarray:
    """Numbers of a field; what is none becomes not-a-number."""

    def number(word: str) -> float:
        try:
            return float(word)
        except ValueError:
            return np.nan

    return np.array([number(word) for word in re.split(r"[\s,]+", text.strip())])


def _check_unit(path: Path, units: list[str]) -> None:
    for unit in units:
        if unit.strip().lower() not in ("", "mm", "millimeter", "millimetre", "?"):
            raise VolumeError(f"{path}: the header gives lengths in '{unit}'. Save it in millimetres (mm).")


def _without_spacing(path: Path, what: str) -> VolumeError:
    return VolumeError(
        f"{path}: the header gives no voxel spacing ({what}), so nothing can be measured in mm. Export the "
        "image again with its geometry."
    )

"""Which segment of a file that Slicer saved (``.seg.nrrd``) is which femur, by its standard terms."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

_FEMUR = "SCT^71341001^"
_SIDES = {"left": "SCT^7771000^", "right": "SCT^24028007^"}
_TERMS = "TerminologyEntry:"


def femur_segments(path: str | Path) -> dict[str, int]:
    """Find the femurs among the segments of a file.

    Parameters
    ----------
    path : str or Path
        Of a label map. Only the header is read.

    Returns
    -------
    dict of str to int
        Label by side; empty where no segment of the file says so in SNOMED terms (femur 71341001, left
        7771000, right 24028007), or several do.
    """
    path = Path(path)
    if not path.name.lower().endswith(".nrrd") or not path.is_file():
        return {}
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    keys = reader.GetMetaDataKeys()
    found: dict[str, list[int]] = {}
    for key in keys:
        segment, _, kind = key.rpartition("_")
        value = f"{segment}_LabelValue"
        if kind == "Tags" and value in keys and (side := _side(reader.GetMetaData(key))):
            found.setdefault(side, []).append(int(reader.GetMetaData(value)))
    return {side: labels[0] for side, labels in found.items() if len(labels) == 1}


def _side(tags: str) -> str | None:
    """Side of the femur that a segment's tags name, if they name one.

    The terms are context, category, type, its modifier, and more, parted by ``~``.
    """
    entry = next((tag for tag in tags.split("|") if tag.startswith(_TERMS)), "")
    terms = entry.split("~")
    if len(terms) < 4 or not terms[2].startswith(_FEMUR):
        return None
    return next((side for side, code in _SIDES.items() if terms[3].startswith(code)), None)

"""Find the label of a femur in a label map, by the numbers of known tools or the terms of its segments.

The numbers are those of TotalSegmentator 2 (``class_map["total"]`` in its ``map_to_binary.py``), of its first
version, which MONAI's bundle ``wholeBody_ct_segmentation`` keeps (``channel_def`` in its ``metadata.json``),
and of MONAI's VISTA-3D (its ``label_dict.json``). The label maps that this program writes use the first.
Segments of a file that Slicer saved (``.seg.nrrd``) carry SNOMED terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.spatial import cKDTree

from ...core.errors import SettingError
from ...core.volume import Volume

# A number alone is not a proof: 88 is a femur to one tool and a muscle to the next. A femur lies in its
# socket, within so many mm and voxels; chosen by hand.
_IN_SOCKET_MM, _IN_SOCKET_VOXELS = 5.0, 1.5
_MOST_VOXELS = 20_000  # of a label that are looked at: bounds time
_FEMUR = "SCT^71341001^"
_SIDES = {"left": "SCT^7771000^", "right": "SCT^24028007^"}
_TERMS = "TerminologyEntry:"


@dataclass(frozen=True)
class LabelScheme:
    """The numbers of a tool.

    Attributes
    ----------
    name : str
        Of the tool.
    femur, hip_bone : dict of str to int
        Label of the femur and of the hip bone (pelvis) of each side.
    """

    name: str
    femur: dict[str, int]
    hip_bone: dict[str, int]


FEMUR_LABELS = {"left": 75, "right": 76}
"""Labels of the femurs in the label maps that this program writes: those of TotalSegmentator 2."""

SCHEMES = (
    LabelScheme("TotalSegmentator 2", FEMUR_LABELS, {"left": 77, "right": 78}),
    LabelScheme(
        "TotalSegmentator 1 or MONAI whole-body CT", {"left": 88, "right": 89}, {"left": 90, "right": 91}
    ),
    LabelScheme("MONAI VISTA-3D", {"left": 93, "right": 94}, {"left": 95, "right": 96}),
)
"""Tools that are recognised."""


def recognise(labelmap: Volume) -> LabelScheme | None:
    """Recognise the tool that made a label map.

    A tool is recognised by a femur that lies in its hip bone, since tools share numbers, or by a map that
    holds only femurs under the numbers of TotalSegmentator 2.

    Parameters
    ----------
    labelmap : Volume
        Whole numbers, 0 outside.

    Returns
    -------
    LabelScheme or None
        None where no tool, or more than one, fits.
    """
    present = set(np.unique(labelmap.array).astype(int).tolist()) - {0}
    if present and present <= set(FEMUR_LABELS.values()):
        return SCHEMES[0]
    fitting = [scheme for scheme in SCHEMES if _fits(labelmap, scheme, present)]
    return fitting[0] if len(fitting) == 1 else None


def label_of_femur(labelmap: Volume, side: str) -> tuple[int, list[str]]:
    """Find the label of the femur of one side.

    Parameters
    ----------
    labelmap : Volume
        Whole numbers, 0 outside: one label, a file of Slicer whose segments have terms, or a map of a tool
        that `recognise` knows.
    side : {"left", "right"}
        Side of the body.

    Returns
    -------
    label : int
    notes : list of str
        How it was chosen, where that is not obvious.

    Raises
    ------
    SettingError
        If there are several labels of no known tool, the tool found no femur of that side, or the femurs'
        places contradict their sides.
    """
    present = [int(value) for value in np.unique(labelmap.array) if value]
    segments = femur_segments(labelmap.source)
    if segments.get(side) in present:
        return segments[side], [
            f"Label {segments[side]} was taken, the {side} femur by the segment's own terms."
        ]
    scheme = recognise(labelmap)
    if scheme is None:
        if len(present) == 1:
            return present[0], []
        listed = ", ".join(map(str, present[:30])) + (" …" if len(present) > 30 else "")
        raise SettingError(f"{labelmap.source}: say which label is the femur; there are: {listed or 'none'}.")
    label = scheme.femur[side]
    if label not in present:
        other = [name for name, number in scheme.femur.items() if number in present]
        raise SettingError(
            f"{labelmap.source}: by the numbers of {scheme.name} the map holds only the {other[0]} femur, "
            f"not the {side} one ({label}). If the numbers mean something else, say which label it is."
        )
    _check_sides(labelmap, scheme, present)
    return label, [f"Label {label} was taken, the {side} femur by the numbers of {scheme.name}."]


def femur_segments(path: str | Path) -> dict[str, int]:
    """Find the femurs among the segments of a file.

    Parameters
    ----------
    path : str or Path
        Of a label map. Only the header is read.

    Returns
    -------
    dict of str to int
        Label by side; empty where no segment of the file, or more than one, has the SNOMED terms (femur
        71341001, left 7771000, right 24028007).
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


def _fits(labelmap: Volume, scheme: LabelScheme, present: set[int]) -> bool:
    near = _IN_SOCKET_MM + _IN_SOCKET_VOXELS * labelmap.spacing_mm.max()
    for side, femur in scheme.femur.items():
        hip_bone = scheme.hip_bone[side]
        if {femur, hip_bone} <= present:
            distance, _ = cKDTree(_some_points(labelmap, hip_bone)).query(_some_points(labelmap, femur))
            if distance.min() <= near:
                return True
    return False


def _some_points(labelmap: Volume, label: int) -> np.ndarray:
    """Places of evenly chosen voxels of a label, RAS mm."""
    index = np.argwhere(labelmap.array == label)
    return labelmap.points_of(index[:: 1 + len(index) // _MOST_VOXELS, ::-1])


def _check_sides(labelmap: Volume, scheme: LabelScheme, present: list[int]) -> None:
    if not set(scheme.femur.values()) <= set(present):
        return
    place = {side: _some_points(labelmap, label)[:, 0].mean() for side, label in scheme.femur.items()}
    if place["left"] > place["right"]:  # R is positive
        raise SettingError(
            f"{labelmap.source}: the label of the left femur lies on the patient's right. Was the image "
            "mirrored, or its orientation lost, when it was converted?"
        )


def _side(tags: str) -> str | None:
    """Side of the femur that a segment's tags name, if they name one.

    The terms are context, category, type, its modifier, and more, separated by ``~``.
    """
    entry = next((tag for tag in tags.split("|") if tag.startswith(_TERMS)), "")
    terms = entry.split("~")
    if len(terms) < 4 or not terms[2].startswith(_FEMUR):
        return None
    return next((side for side, code in _SIDES.items() if terms[3].startswith(code)), None)

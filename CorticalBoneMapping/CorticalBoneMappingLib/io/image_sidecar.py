"""Read what a converter from DICOM, such as dcm2niix, stored in a JSON file beside an image."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.volume import Volume

_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_THICKNESS, _DISTANCE, _KVP, _MODALITY = "SliceThickness", "SpacingBetweenSlices", "KVP", "Modality"
_SAME = 0.05  # relative difference of two distances that are one


def sidecar_of(path: str | Path) -> Path | None:
    """Give the JSON file beside an image, ``name.json`` beside ``name.nii.gz``; None if there is none.

    It is read with the image, so it is an input like the image.
    """
    path = Path(path)
    for ending in _ENDINGS:
        if path.name.lower().endswith(ending):
            beside = path.with_name(path.name[: -len(ending)] + ".json")
            return beside if beside.is_file() else None
    return None


def with_sidecar(volume: Volume, path: str | Path) -> Volume:
    """Add what the JSON file beside an image states: modality, slice thickness, tube voltage.

    What the image's own header states goes before. What is unreadable or contradicts it is a warning.

    Parameters
    ----------
    volume : Volume
        As read from the image.
    path : str or Path
        Of the image.

    Returns
    -------
    Volume
        The same without such a file, or with one of another kind.
    """
    sidecar = sidecar_of(path)
    if sidecar is None:
        return volume
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # ValueError: JSON and encoding
        sentence = f"{sidecar.name}: this file could not be read as JSON; it is not used."
        return replace(volume, warnings=(*volume.warnings, sentence))
    if not isinstance(content, dict):
        return volume
    return _with_content(volume, content, sidecar.name)


def _with_content(volume: Volume, content: dict[str, Any], name: str) -> Volume:
    numbers = {key: _number(content.get(key)) for key in (_THICKNESS, _DISTANCE, _KVP)}
    warnings = [
        f"{name}: {key} is {content[key]!r}, which is impossible; it is not used."
        for key, value in numbers.items()
        if value is None and content.get(key) not in (None, "", 0)
    ]
    spacing = float(volume.spacing_mm[2])
    if (distance := numbers[_DISTANCE]) and abs(distance - spacing) > _SAME * spacing:
        warnings.append(
            f"{name}: the slices were {distance:g} mm apart, those of the image are {spacing:.3g} mm apart. "
            "Was it resampled? Measure the original."
        )
    own, stated = volume.slice_thickness_mm, numbers[_THICKNESS]
    if own and stated and abs(own - stated) > _SAME * own:
        warnings.append(
            f"{name}: the slice thickness is {stated:g} mm; the image's own header states {own:g} mm, "
            "which was used."
        )
    modality = content.get(_MODALITY)
    return replace(
        volume,
        modality=volume.modality or (modality if isinstance(modality, str) and modality else None),
        slice_thickness_mm=own or stated,
        slice_thickness_from=name if stated and not own else volume.slice_thickness_from,
        kvp=volume.kvp or numbers[_KVP],
        warnings=(*volume.warnings, *warnings),
    )


def _number(value: Any) -> float | None:
    """A positive number, also as text; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None

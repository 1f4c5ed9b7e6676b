"""Found femurs as files that anyone can open, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CorticalBoneMappingError, SurfaceError
from ..files import write_json
from ..segmentation import PeriostealSurface
from ..surface import Surface, read_surface, write_surface
from ..surface_repair import repaired
from ..volume import Volume
from ..volume_files import read_labelmap, write_volume
from .found_femur import FoundFemur
from .known_labels import FEMUR_LABELS
from .provenance import plain, program

LABELS_FILE = "labels.nrrd"
RECORD_FILE = "segmentation.json"
SURFACE_FILE = "femur_{side}.vtp"
PICTURE_FILE = "femur_{side}.png"


@dataclass(frozen=True)
class FoundFiles:
    """What `write_found` wrote.

    Attributes
    ----------
    labelmap : Volume
        `known_labels.FEMUR_LABELS` in the femurs.
    surfaces : dict of str to Surface
        By side.
    record : dict
        What the record holds; ``femurs`` by side, also those that failed.
    """

    labelmap: Volume
    surfaces: dict[str, Surface]
    record: dict[str, Any]

    @property
    def said(self) -> str:
        """Verdict, reasons and notes of each femur, in a few lines."""
        return _lines(self.record["femurs"])


def usable(found: Sequence[FoundFemur], source: str) -> list[FoundFemur]:
    """Give the femurs that may be measured.

    Parameters
    ----------
    found : sequence of FoundFemur
        What was found.
    source : str
        Of the CT, for the message.

    Returns
    -------
    list of FoundFemur
        At least one.

    Raises
    ------
    SurfaceError
        If there is none; says why.
    """
    kept = [femur for femur in found if femur.is_usable]
    if kept:
        return kept
    why = " ".join(f"The {femur.side} one: {' '.join(femur.reasons)}" for femur in found)
    raise SurfaceError(
        f"{source}: no femur was found well enough to be used. {why} "
        "Draw the femur yourself, for example with Slicer's Segment Editor, and give it as a label map."
    )


def write_found(found: Sequence[FoundFemur], folder: Path, **more: Any) -> None:
    """Write surfaces, label map and record of found femurs.

    Parameters
    ----------
    found : sequence of FoundFemur
        At least one that is usable. Those that failed stand in the record only.
    folder : Path
        Is there; see `files.whole_folder`.
    **more
        Further entries of the record: inputs, settings, command.
    """
    kept = [femur for femur in found if femur.is_usable]
    array = np.max([femur.labelmap.array for femur in kept], axis=0)
    write_volume(folder / LABELS_FILE, replace(kept[0].labelmap, array=array))
    for femur in kept:
        write_surface(folder / SURFACE_FILE.format(side=femur.side), femur.surface)
    record = {
        "program": program(),
        "labels": {FEMUR_LABELS[femur.side]: f"{femur.side} femur" for femur in kept},
        "femurs": {femur.side: _record(femur) for femur in found},
        **more,
    }
    write_json(folder / RECORD_FILE, plain(record))


def read_found(folder: str | Path) -> FoundFiles:
    """Read what `write_found` wrote.

    Raises
    ------
    CorticalBoneMappingError
        If a file is missing or is not what it should be.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        names = {side: femur["surface"] for side, femur in record["femurs"].items()}
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(
            f"{folder}: this is no folder of found femurs, or it is damaged ({error})."
        ) from error
    surfaces = {side: read_surface(folder / name) for side, name in names.items() if name}
    return FoundFiles(read_labelmap(folder / LABELS_FILE), surfaces, record)


def read_ready_surface(path: str | Path) -> PeriostealSurface:
    """Read a surface that `write_found` wrote, to be measured as it is.

    Raises
    ------
    SurfaceError
        If the file is no such surface, or it was cut open.
    """
    surface = read_surface(path)
    if "cut_end" not in surface.arrays:
        raise SurfaceError(
            f"{path}: the surface does not say where the bone is cut off (array cut_end), as those of "
            "'cbm segment' do. Give a label map instead."
        )
    found = repaired(surface)
    if found.borders:
        raise SurfaceError(f"{path}: the surface is not closed. Give a label map instead.")
    return PeriostealSurface(found.piece, ["The surface was given, and measured as it is.", *found.remarks])


def say(found: Sequence[FoundFemur]) -> str:
    """Say in a few lines what was found: verdict, reasons and notes of each femur."""
    return _lines({femur.side: femur.record() for femur in found})


def _lines(records: dict[str, dict[str, Any]]) -> str:
    lines = []
    for side, record in records.items():
        lines.append(f"{side.capitalize()} femur: {record['verdict']}.")
        lines += [f"  {sentence}" for sentence in (*record["reasons"], *record["notes"])]
    return "\n".join(lines)


def _record(femur: FoundFemur) -> dict[str, Any]:
    is_written = femur.is_usable
    files = {
        "label": FEMUR_LABELS[femur.side] if is_written else None,
        "surface": SURFACE_FILE.format(side=femur.side) if is_written else None,
    }
    return files | femur.record()

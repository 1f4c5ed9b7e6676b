"""Write found femurs to files, and read them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorticalBoneMappingError, SettingError, SurfaceError
from ...core.surface import Surface
from ...core.volume import Volume
from ...io.files import write_json
from ...io.folders import FILES, is_unchanged, own_files, ready_folder
from ...io.surface_files import read_surface, write_surface
from ...io.volume_files import read_labelmap, write_volume
from ...mesh.surface_repair import repaired
from ...segmentation import PeriostealSurface
from ..provenance import plain, program
from .found_femur import FoundFemur
from .known_labels import FEMUR_LABELS
from .verdict import LOOK

LABELS_FILE = "labels.nrrd"
RECORD_FILE = "segmentation.json"
SURFACE_FILE = "femur_{side}.vtp"
PICTURE_FILE = "femur_{side}.png"
_VERDICT = "The femur was found in the CT by 'cbm segment': {verdict}."


@dataclass(frozen=True)
class FoundFiles:
    """Content of the files of `write_found`.

    Attributes
    ----------
    labelmap : Volume
        `known_labels.FEMUR_LABELS` in the femurs.
    surfaces : dict of str to Surface
        By side.
    record : dict
        The record; ``femurs`` by side, also those that failed.
    """

    labelmap: Volume
    surfaces: dict[str, Surface]
    record: dict[str, Any]

    @property
    def summary(self) -> str:
        """Verdict, reasons and notes of each femur, in a few lines."""
        return _lines(self.record["femurs"])


def usable(found: Sequence[FoundFemur], source: str) -> list[FoundFemur]:
    """Return the femurs that may be measured.

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
        If there is none; the message has the reasons.
    """
    kept = [femur for femur in found if femur.is_usable]
    if kept:
        return kept
    why = " ".join(f"The {femur.side} one: {' '.join(femur.reasons)}" for femur in found)
    raise SurfaceError(
        f"{source}: no femur was found well enough to be used. {why} "
        "Draw the femur yourself, for example with Slicer's Segment Editor, and give it as a label map."
    )


def ready_for_found(folder: Path, side: str | None) -> None:
    """Check before the work that found femurs can be written to a folder; see `folders.ready_folder`.

    Parameters
    ----------
    folder : Path
    side : {"left", "right"} or None
        Whose files will be written; None for both.
    """
    sides = FEMUR_LABELS if side not in FEMUR_LABELS else (side,)
    names = [name.format(side=each) for each in sides for name in (SURFACE_FILE, PICTURE_FILE)]
    ready_folder(folder, "segmentation", RECORD_FILE, [LABELS_FILE, *names])


def check_same_ct(folder: Path, ct: dict[str, Any]) -> None:
    """Refuse a folder that holds the femurs of another CT.

    Parameters
    ----------
    folder : Path
    ct : dict
        As `provenance.input_record` gives it.

    Raises
    ------
    SettingError
        If the folder holds those of another CT.
    """
    before = _earlier(folder).get("inputs", {}).get("ct", ct)
    if any(before.get(name) != ct.get(name) for name in ("sha256", "series")):
        raise SettingError(
            f"{folder}: this folder holds the femurs of another CT ({before['name']}), or of this one before "
            "it was changed. Choose another folder with --out."
        )


def write_found(found: Sequence[FoundFemur], folder: Path, earlier: Path | None = None, **more: Any) -> None:
    """Write surfaces, label map and record of found femurs.

    Parameters
    ----------
    found : sequence of FoundFemur
        At least one that is usable. Those that failed are in the record only.
    folder : Path
        Exists; see `folders.whole_folder`.
    earlier : Path, optional
        Earlier files of the same CT; a side that is not among `found` is copied from there.
    **more
        Further entries of the record: inputs, settings, command.
    """
    usable = [femur for femur in found if femur.is_usable]
    array = np.max([femur.labelmap.array for femur in usable], axis=0)
    record = {femur.side: _record(femur) for femur in found}
    if earlier is not None:
        array, kept = _taken_over(earlier, folder, array, set(record))
        record |= kept
    write_volume(folder / LABELS_FILE, replace(usable[0].labelmap, array=array))
    for femur in usable:
        write_surface(folder / SURFACE_FILE.format(side=femur.side), femur.with_verdict())
    labels = {each["label"]: f"{side} femur" for side, each in record.items() if each["label"]}
    record = {"program": program(), "labels": labels, "femurs": record, **more}
    write_json(folder / RECORD_FILE, plain(record))


def read_found(folder: str | Path) -> FoundFiles:
    """Read what `write_found` wrote.

    Raises
    ------
    CorticalBoneMappingError
        If a file is missing or damaged.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        names = {side: femur["surface"] for side, femur in record["femurs"].items()}
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(
            f"{folder}: this is not a folder of found femurs, or it is damaged ({error})."
        ) from error
    record.pop(FILES, None)
    surfaces = {side: read_surface(folder / name) for side, name in names.items() if name}
    return FoundFiles(read_labelmap(folder / LABELS_FILE), surfaces, record)


def read_ready_surface(path: str | Path) -> PeriostealSurface:
    """Read a surface that `write_found` wrote, to measure it without change.

    Raises
    ------
    SurfaceError
        If the file is not such a surface, or it is open.
    """
    surface = read_surface(path)
    if "cut_end" not in surface.arrays:
        raise SurfaceError(
            f"{path}: the array cut_end, where the bone is cut off, is missing. Give a surface of "
            "'cbm segment', or a label map."
        )
    found = repaired(surface)
    if found.borders:
        raise SurfaceError(f"{path}: the surface is not closed. Give a label map instead.")
    notes = ["The surface was given, and measured as it is.", *found.warnings, *_verdict_notes(surface)]
    return PeriostealSurface(replace(found.piece, texts=surface.texts), notes)


def verdict_of(surface: Surface) -> dict[str, Any]:
    """Return the verdict that a found surface carries, with its reasons; empty where it carries none."""
    if not surface.texts.get("verdict"):
        return {}
    return {"verdict": surface.texts["verdict"][0], "reasons": list(surface.texts.get("reasons", ()))}


def read_found_labelmap(path: Path, side: str, label: int | None) -> tuple[Volume, dict[str, Any]]:
    """Read a label map, with the verdict on a femur in it that was found.

    Parameters
    ----------
    path : Path
        Any label map. The record beside it is used only while this file is unchanged since: a map that a
        person has corrected has no verdict.
    side : {"left", "right"}
    label : int or None
        Which label is measured; None for that of the side.

    Returns
    -------
    labelmap : Volume
        With warnings where a person has to look at the femur.
    record : dict
        ``verdict`` and ``reasons``; empty where there is none.
    """
    labelmap = read_labelmap(path)
    if label not in (None, FEMUR_LABELS[side]) or not is_unchanged(path, RECORD_FILE):
        return labelmap, {}
    femur = _earlier(path.parent).get("femurs", {}).get(side, {})
    record = {name: femur[name] for name in ("verdict", "reasons") if name in femur}
    if record.get("verdict") == LOOK:
        reasons = (_VERDICT.format(verdict=LOOK), *record.get("reasons", ()))
        labelmap = replace(labelmap, warnings=(*labelmap.warnings, *reasons))
    return labelmap, record


def summary(found: Sequence[FoundFemur]) -> str:
    """Return verdict, reasons and notes of each femur, in a few lines."""
    return _lines({femur.side: femur.record() for femur in found})


def record_beside(mask: Path) -> Path | None:
    """Return the record beside a label map that `read_found_labelmap` reads with it, if any."""
    is_surface = mask.suffix.lower() == Path(SURFACE_FILE).suffix  # which carries its verdict itself
    listed = not is_surface and mask.name in _earlier(mask.parent).get(FILES, ())
    return mask.with_name(RECORD_FILE) if listed else None


def _verdict_notes(surface: Surface) -> list[str]:
    verdict = verdict_of(surface)
    if not verdict:
        return []
    sentence = _VERDICT.format(verdict=verdict["verdict"])
    return [sentence, *verdict["reasons"], *surface.texts.get("notes", ())]


def _earlier(folder: Path) -> dict[str, Any]:
    """The record in a folder; empty where there is none."""
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _taken_over(
    earlier: Path, folder: Path, array: np.ndarray, sides: set[str]
) -> tuple[np.ndarray, dict[str, Any]]:
    """Copy the files of the other sides; give the label map with their labels, and their records."""
    own, record = own_files(earlier, RECORD_FILE), _earlier(earlier)
    kept = {side: each for side, each in record.get("femurs", {}).items() if side not in sides}
    origin = {name: record.get(name) for name in ("settings", "command")}
    for side in kept:
        for name in (SURFACE_FILE.format(side=side), PICTURE_FILE.format(side=side)):
            if name in own:
                shutil.copy2(earlier / name, folder / name)
    if kept and LABELS_FILE in own:
        labels = read_labelmap(earlier / LABELS_FILE).array
        if labels.shape != array.shape:
            raise SettingError(
                f"{earlier / LABELS_FILE}: the label map has another grid than the CT. Choose another folder "
                "with --out."
            )
        others = np.isin(labels, [FEMUR_LABELS[side] for side in kept]) & (array == 0)
        array = np.where(others, labels, array).astype(array.dtype)
    return array, {side: origin | each for side, each in kept.items()}


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

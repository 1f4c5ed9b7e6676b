"""The result of one femur: its maps, written to files and read again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import CorticalBoneMappingError
from ..core.measures import MEASURES, STATUS_LABELS, VertexStatus
from ..core.surface import Surface
from ..io.files import write_json, write_text
from ..io.folders import FILES, ready_folder, whole_folder
from ..io.surface_files import read_surface, write_surface
from ..io.tables import csv_of_rows, csv_text, read_rows
from .provenance import plain
from .regions import REGION_COLUMNS

PERIOSTEAL_FILE = "periosteal_surface.vtp"
AVERAGE_FILE = "average_femur.vtp"
REGISTERED_FILE = "registered_average.vtp"
POINTS_FILE = "points.csv"
REGIONS_FILE = "regions.csv"
PROVENANCE_FILE = "provenance.json"
THUMBNAIL_FILE = "thumbnail.jpg"
_WRITTEN = (PERIOSTEAL_FILE, AVERAGE_FILE, REGISTERED_FILE, POINTS_FILE, REGIONS_FILE, PROVENANCE_FILE)


@dataclass(frozen=True)
class FemurResult:
    """The maps of one femur, and how they were made.

    Attributes
    ----------
    periosteal : Surface
        The bone where the CT shows it (RAS mm), with the measures, ``quality`` and ``region``.
    average : Surface
        The average right femur with the same measures, ``quality`` and ``region``.
    regions : list of dict
        Rows with the keys of `regions.REGION_COLUMNS`.
    provenance : dict
        How the result was made; plain JSON values.
    side : str
        ``left`` or ``right``.
    registered_template : Surface or None
        The average femur registered to the bone (subject's RAS), with ``region`` and ``bending``.
    thumbnail : bytes or None
        A small picture (JPEG), where one was drawn.
    """

    periosteal: Surface
    average: Surface
    regions: list[dict[str, Any]]
    provenance: dict[str, Any]
    side: str
    registered_template: Surface | None = None
    thumbnail: bytes | None = None

    def with_provenance(self, **more: Any) -> FemurResult:
        """Add to the provenance, before the timings, which stay last."""
        timings = {"timings_s": self.provenance["timings_s"]}
        kept = {key: value for key, value in self.provenance.items() if key not in timings}
        return replace(self, provenance=kept | plain(more) | timings)


def check_place(folder: str | Path) -> None:
    """Check before the work that a result can be written to a folder; see `folders.ready_folder`."""
    ready_folder(folder, "result", PROVENANCE_FILE, _WRITTEN)


def write_result(result: FemurResult, folder: str | Path) -> None:
    """Write all files of a result, or none; see `folders.whole_folder`.

    Parameters
    ----------
    result : FemurResult
        The result.
    folder : str or Path
        Is made if it does not exist; an earlier result in it is replaced, other files stay.

    Raises
    ------
    CorticalBoneMappingError
        If writing to the folder failed, or a user's own file would be replaced.
    """
    with whole_folder(folder, "result", PROVENANCE_FILE) as temporary:
        write_surface(temporary / PERIOSTEAL_FILE, result.periosteal)
        write_surface(temporary / AVERAGE_FILE, result.average)
        if result.registered_template is not None:
            write_surface(temporary / REGISTERED_FILE, result.registered_template)
        if result.thumbnail is not None:
            (temporary / THUMBNAIL_FILE).write_bytes(result.thumbnail)
        write_text(temporary / POINTS_FILE, points_table(result.periosteal))
        write_text(temporary / REGIONS_FILE, csv_of_rows(REGION_COLUMNS, result.regions))
        write_json(temporary / PROVENANCE_FILE, {"side": result.side} | result.provenance)


def read_result(folder: str | Path) -> FemurResult:
    """Read what `write_result` wrote.

    Coordinates are rounded to float32 and region values to six digits by the files; the thumbnail is not
    read.

    Raises
    ------
    CorticalBoneMappingError
        If a file is missing or damaged.
    """
    folder = Path(folder)
    try:
        provenance = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
        rows = read_rows(folder / REGIONS_FILE, REGION_COLUMNS)
        side = provenance["side"]
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(
            f"{folder}: this is not a folder of a mapped femur, or it is damaged ({error})."
        ) from error
    periosteal, average = read_surface(folder / PERIOSTEAL_FILE), read_surface(folder / AVERAGE_FILE)
    has_registered = REGISTERED_FILE in provenance.pop(FILES, ())
    registered_template = read_surface(folder / REGISTERED_FILE) if has_registered else None
    return FemurResult(periosteal, average, rows, provenance, side, registered_template)


def points_table(surface: Surface) -> str:
    """Return one row per point as CSV: place in RAS mm, the measures with their units, region, quality.

    Values that were not measured are empty.
    """
    names = [name for name in MEASURES if name in surface.arrays]
    header = ["x_ras [mm]", "y_ras [mm]", "z_ras [mm]"]
    header += [f"{name} [{surface.units.get(name, MEASURES[name].unit)}]" for name in names]
    columns = [_numbers(surface.points[:, axis]) for axis in range(3)]
    columns += [_numbers(surface.arrays[name]) for name in names]
    if "region" in surface.arrays:
        header.append("region")
        columns.append(surface.arrays["region"].astype(str))
    labels = np.array([STATUS_LABELS[kind] for kind in VertexStatus])
    header.append("quality")
    columns.append(labels[surface.arrays["quality"].astype(int)])
    return csv_text(header, zip(*columns))


def _numbers(values: np.ndarray) -> np.ndarray:
    text = np.char.mod("%.4f", values.astype(np.float64))
    return np.where(np.isfinite(values), text, "")

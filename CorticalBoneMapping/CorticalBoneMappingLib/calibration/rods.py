"""The rods of a density phantom: their table, and their HU in the CT at places given or found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from ..core.errors import CalibrationError, TableError
from ..core.volume import Volume
from ..io.numbers import ReadColumn, number_of, read_columns
from ..io.tables import read_written_table
from .rod_search import RodRow, find_row

EQUIVALENTS = ("K2HPO4", "HA")
# Chosen by hand, not tuned. Noise is much the same in all rods: one that varies far more holds an edge.
# Streaks may double it.
_MOST_SPREAD_HU, _LEAST_SUSPECT_SPREAD_HU, _MOST_SPREAD_RATIO = 100.0, 25.0, 2.5
_LEAST_ROD_VOXELS = 10
_TRIMMED = 0.1
_PLACE = ("x_ras", "y_ras", "z_ras")
# Of a rod that was found, the part that no edge blurs into, and its bubbles at the ends are not in it.
_CORE_OF_RADIUS, _CORE_OF_LENGTH, _MOST_CORE_MM = 0.6, 0.8, 60.0
_CYLINDER_MM = {"radius_mm": 5.0, "length_mm": 10.0}
_COLUMNS = {"density", "water", "hu", *_PLACE, *_CYLINDER_MM}


@dataclass(frozen=True)
class Rods:
    """The rods of a phantom as certified and as measured; one value a rod in each tuple.

    Attributes
    ----------
    density : tuple of float
        Certified density in mg/cm³.
    hu : tuple of float
        Mean HU in the scan.
    water : tuple of float or None
        Certified water term of a Mindways phantom in mg/cm³; None for every other phantom.
    equivalent : str or None
        What the density is of: "K2HPO4", "HA", or None where it is not stated.
    hu_sd : tuple of float or None
        Standard deviation of the voxels, where the HU were measured here.
    n_voxels : tuple of int or None
        Number of voxels, where the HU were measured here.
    found_at : tuple of tuple of float or None
        Middle of each rod, RAS mm, where the rods were searched for.
    """

    density: tuple[float, ...]
    hu: tuple[float, ...]
    water: tuple[float, ...] | None = None
    equivalent: str | None = None
    hu_sd: tuple[float, ...] | None = None
    n_voxels: tuple[int, ...] | None = None
    found_at: tuple[tuple[float, float, float], ...] | None = None


def read_rods(path: str | Path, volume: Volume | None = None) -> Rods:
    """Read a CSV table of rods, and measure their HU in the CT where the table gives places.

    Columns: ``density`` (mg/cm³); ``water`` (the water term of a Mindways certificate, which selects that
    model); and either ``hu``, or ``x_ras``, ``y_ras``, ``z_ras`` (the centre of a cylinder across the
    slices, RAS mm as Slicer shows it) with, if wanted, ``radius_mm`` (5) and ``length_mm`` (10), or
    neither: then the rods are searched for (`find_rods`), and must be in the table in the order in
    which they lie in the phantom, from either end. A
    line ``# equivalent: HA`` or ``# equivalent: K2HPO4`` states the substance; other lines with # are
    comments.

    Parameters
    ----------
    path : str or Path
        The table, as `io.tables` and `io.numbers` read it.
    volume : Volume, optional
        The CT, needed where HU are not given.

    Returns
    -------
    Rods
        Where measured: the mean without the lowest and highest tenth of the voxels, their standard
        deviation and number.

    Raises
    ------
    CalibrationError
        If the file is not readable, a column is missing or unknown, a cell is not a number, or a cylinder
        leaves the CT, holds fewer than 10 voxels, or reaches beyond its rod (varies far more than others).
    """
    equivalent, table = _read_table(Path(path))
    density = tuple(row["density"] for row in table)
    water = tuple(row["water"] for row in table) if "water" in table[0] else None
    if "hu" in table[0]:
        return Rods(density, tuple(row["hu"] for row in table), water, equivalent)
    if volume is None:
        raise CalibrationError(f"{path}: the table has no HU of rods, so a CT is needed to measure them in.")
    if _PLACE[0] not in table[0]:
        return find_rods(volume, density, water, equivalent)
    means, sds, counts, spreads = zip(*(_measure(volume, row, n) for n, row in enumerate(table, start=1)))
    _check_uniform(spreads)
    return Rods(density, means, water, equivalent, sds, counts)


def check_rods(path: str | Path) -> None:
    """Check a table of rods as far as it can be without a CT.

    Raises
    ------
    CalibrationError
        If the file is not readable, a column is missing or unknown, or a cell is not a number.
    """
    _read_table(Path(path))


def find_rods(
    volume: Volume,
    density: tuple[float, ...],
    water: tuple[float, ...] | None = None,
    equivalent: str | None = None,
) -> Rods:
    """Find the rods of a known phantom in the CT and measure them.

    They are equal cylinders, equally spaced in a row under the patient, along the slice axis (10° oblique
    at most); the search is `rod_search.find_row`. Measured is the core of each, along its own axis.

    Parameters
    ----------
    volume : Volume
        The CT in HU.
    density : tuple of float
        Certified densities in their order in the phantom, from either end, mg/cm³.
    water : tuple of float, optional
        Water terms, which say that the phantom is Mindways'; without them it is QRM's or any other.
    equivalent : str, optional
        "K2HPO4" or "HA".

    Returns
    -------
    Rods
        With HU, their spread and the places found.

    Raises
    ------
    CalibrationError
        If the rods are not found, more than one row or both orders fit, or a rod is not uniform.
    """
    row = find_row(volume, np.array(density, float), None if water is None else np.array(water, float))
    means, sds, counts, spreads = zip(
        *(_statistics(_core(volume, row, n), n + 1) for n in range(len(density)))
    )
    _check_uniform(spreads)
    places = tuple(tuple(round(float(x), 2) for x in centre) for centre in row.centres)
    return Rods(tuple(density), means, water, equivalent, sds, counts, places)


def checked_equivalent(name: str | None) -> str | None:
    """Return the substance in its usual spelling, or None for None.

    Raises
    ------
    CalibrationError
        If the name is another.
    """
    if name is None:
        return None
    for known in EQUIVALENTS:
        if name.upper() == known:
            return known
    raise CalibrationError(f"'{name}' is not a known substance; write {' or '.join(EQUIVALENTS)}.")


def _read_table(path: Path) -> tuple[str | None, list[dict[str, float]]]:
    """Read the substance and the rows, every cell a finite number."""
    try:
        written = read_written_table(path, comment="#")
    except TableError as error:
        raise CalibrationError(str(error)) from None
    notes = "\n".join(written.comments)
    stated = re.search(r"^#\s*equivalent\s*:\s*([^\s;,]+)", notes, flags=re.MULTILINE | re.IGNORECASE)
    cells = {name.lower(): column for name, column in written.columns.items()}
    if len(cells) < len(written.columns):
        raise CalibrationError(f"{path}: two columns have the same name; rename one.")
    _check_columns(path, list(cells))
    found = read_columns(cells, written.separator)
    for name, column in found.items():
        _check_numbers(path, name, cells[name], column, written.rows)
    table = [
        {name: float(column.numbers[row]) for name, column in found.items()}
        for row in range(len(written.rows))
    ]
    return checked_equivalent(stated.group(1) if stated else None), table


def _check_columns(path: Path, header: list[str]) -> None:
    unknown = [name for name in header if name not in _COLUMNS]
    if unknown:
        raise CalibrationError(
            f"{path}: unknown column '{unknown[0]}'. Columns are named {', '.join(sorted(_COLUMNS))}."
        )
    places = len(set(_PLACE) & set(header))
    sized = bool(set(_CYLINDER_MM) & set(header))
    wrong = places not in (0, 3) or ("hu" in header and places) or (sized and not places)
    if "density" not in header or wrong or len(set(header)) < len(header):
        raise CalibrationError(
            f"{path}: the columns must be 'density' and either 'hu' or all of {', '.join(_PLACE)}, each "
            "once, or neither to have the rods searched for."
        )


def _check_numbers(
    path: Path, name: str, cells: list[str], column: ReadColumn, rows: tuple[int, ...]
) -> None:
    """Refuse a column of rods that holds anything but numbers."""
    for row, cell in zip(rows, cells):
        if number_of(cell) is None:
            raise CalibrationError(f"{path}, row {row}: '{cell}' in column '{name}' is not a number.")
        if name in _CYLINDER_MM and number_of(cell) <= 0:
            raise CalibrationError(f"{path}, row {row}: '{name}' must be above 0.")
    for row, question in column.questions.items():
        raise CalibrationError(f"{path}, row {rows[row]}, column '{name}': {question}.")


def _measure(volume: Volume, row: dict[str, float], number: int) -> tuple[float, float, int, float]:
    """Return trimmed mean, SD and number of the voxels in one cylinder across the slices, and their spread.

    The spread is the SD that the trimmed range would have in Gaussian noise: a bubble does not change it,
    an edge does.
    """
    centre = np.array([row[axis] for axis in _PLACE])
    cylinder = _CYLINDER_MM | row
    radius, half_length = cylinder["radius_mm"], cylinder["length_mm"] / 2
    reach = np.array([radius, radius, half_length]) / volume.spacing_mm
    index, size = volume.index_of(centre), np.array(volume.array.shape[::-1])
    if np.any(index - reach < -0.5) or np.any(index + reach > size - 0.5):
        raise CalibrationError(
            f"Rod {number} at {tuple(centre.tolist())} mm (RAS) is not wholly inside the CT."
        )
    low = np.ceil(index - reach).astype(int)
    high = np.floor(index + reach).astype(int) + 1
    box = volume.array[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    _, j, i = np.indices(box.shape)
    across = np.hypot(
        (i + low[0] - index[0]) * volume.spacing_mm[0], (j + low[1] - index[1]) * volume.spacing_mm[1]
    )
    return _statistics(box[across <= radius], number)


def _core(volume: Volume, row: RodRow, n: int) -> np.ndarray:
    """Voxels in the core of rod n, which may be oblique to the slices."""
    half = 0.5 * min(_CORE_OF_LENGTH * row.length_mm, _MOST_CORE_MM) * row.axis
    ends = np.stack([row.centres[n] - half, row.centres[n] + half])
    near = volume.crop(ends, row.radius_mm)
    k, j, i = np.indices(near.array.shape)
    offset = near.points_of(np.stack([i, j, k], axis=-1)) - row.centres[n]
    along = offset @ row.axis
    across = np.linalg.norm(offset - along[..., None] * row.axis, axis=-1)
    inside = (across <= _CORE_OF_RADIUS * row.radius_mm) & (np.abs(along) <= np.linalg.norm(half))
    return near.array[inside]


def _statistics(values: np.ndarray, number: int) -> tuple[float, float, int, float]:
    """Return trimmed mean, SD and number of the voxels of one rod, and the SD of its trimmed range."""
    values = np.sort(values.astype(float))
    if len(values) < _LEAST_ROD_VOXELS:
        raise CalibrationError(
            f"Rod {number} holds only {len(values)} voxels; make its radius or length larger."
        )
    cut = int(_TRIMMED * len(values))
    kept = values[cut : len(values) - cut]
    spread = float(kept[-1] - kept[0]) / (2 * ndtri(1 - _TRIMMED))
    return float(kept.mean()), float(values.std(ddof=1)), len(values), spread


def _check_uniform(spreads: tuple[float, ...]) -> None:
    limit = min(_MOST_SPREAD_HU, max(_LEAST_SUSPECT_SPREAD_HU, _MOST_SPREAD_RATIO * min(spreads)))
    worst = int(np.argmax(spreads))
    if spreads[worst] > limit:
        raise CalibrationError(
            f"The values in rod {worst + 1} vary by {spreads[worst]:.0f} HU (SD): its cylinder reaches "
            "beyond one rod. Check its place (RAS mm) and make its radius smaller."
        )

"""Compare both hips of a person on the average femur: left, right, mean and difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy.regions import CUT_END, region_names_of
from ..core.errors import SettingError
from ..core.measures import MEASURES
from ..core.side import SIDES
from ..core.surface import Surface
from ..io.files import write_json, write_text
from ..io.folders import ready_folder, whole_folder
from ..io.surface_files import write_surface
from ..io.tables import Columns, csv_of_rows
from .find.verdict import LOOK
from .provenance import plain, program
from .regions import WHOLE_FEMUR
from .result import FemurResult

SURFACE_FILE, TABLE_FILE, RECORD_FILE = "both_hips.vtp", "both_hips.csv", "both_hips.json"
COLUMNS: Columns = {
    "region": str,
    "measure": str,
    "unit": str,
    "left": float,
    "right": float,
    "mean": float,
    "difference": float,
    "difference_percent": float,
    "coverage": float,
    "n_points": int,
}
"""Columns of the table by region; `both_hips` explains them."""


@dataclass(frozen=True)
class BothHips:
    """Both hips of a person on the average femur.

    Attributes
    ----------
    surface : Surface
        The average right femur; for each measure the arrays ``<measure>_left``, ``_right``, ``_mean`` and
        ``_difference`` (left minus right), and ``measured_on`` (0 nowhere, 1 left only, 2 right only,
        3 both).
    regions : list of dict
        Rows with the keys of `COLUMNS`.
    warnings : tuple of str
        What makes the numbers of either side less certain, and settings in which the two differ.
    atlas : dict
        Description of the average femur, as in the results.
    """

    surface: Surface
    regions: list[dict[str, Any]]
    warnings: tuple[str, ...]
    atlas: dict[str, Any]


def both_hips(one: FemurResult, other: FemurResult) -> BothHips:
    """Join the maps of a left and a right femur.

    Left maps lie on the average right femur already, since a left femur is mirrored when it is registered.
    Mean and difference are given only where both sides were measured.

    Parameters
    ----------
    one, other : FemurResult
        A left and a right one of the same person, in either order.

    Returns
    -------
    BothHips
        In the table by region, ``left`` and ``right`` are means over the points that both sides have,
        weighted by area of the average femur; ``mean`` and ``difference`` (left minus right) follow,
        ``difference_percent`` is in percent of ``mean``; ``coverage`` is the part of the region's area that
        both sides have, ``n_points`` its points.

    Raises
    ------
    SettingError
        If both are of the same side, lie on different average femurs, or have a measure in different units.
    """
    if {one.side, other.side} != set(SIDES):
        raise SettingError(f"Both results are of a {one.side} femur; a left and a right one are needed.")
    left, right = (one, other) if one.side == "left" else (other, one)
    _check_same_atlas(left, right)
    names = [
        name
        for name, measure in MEASURES.items()
        if not measure.is_uncertainty and name in left.average.arrays and name in right.average.arrays
    ]
    arrays, units = {}, {}
    for name in names:
        unit = _common_unit(left, right, name)
        a, b = (side.average.arrays[name].astype(np.float32) for side in (left, right))
        for suffix, values in (("left", a), ("right", b), ("mean", 0.5 * (a + b)), ("difference", a - b)):
            arrays[f"{name}_{suffix}"], units[f"{name}_{suffix}"] = values, unit
    kept = {name: left.average.arrays[name] for name in ("region", "cut_end") if name in left.average.arrays}
    bare = Surface(left.average.points, left.average.triangles, kept, texts=left.average.texts)
    measured = [_measured(side.average, names) for side in (left, right)]
    surface = bare.with_arrays(units, measured_on=(measured[0] + 2 * measured[1]).astype(np.uint8), **arrays)
    rows = [row for name in names for row in _rows(surface, name)]
    warnings = (*_warnings(left), *_warnings(right), *_differing_settings(left, right))
    return BothHips(surface, rows, warnings, left.provenance.get("atlas", {}))


def check_place(folder: Path) -> None:
    """Check before the work that a comparison can be written to a folder; see `folders.ready_folder`."""
    ready_folder(folder, "comparison of both hips", RECORD_FILE, [SURFACE_FILE, TABLE_FILE])


def write_both_hips(both: BothHips, folder: str | Path, **more: Any) -> None:
    """Write the surface, the table and the record, or none of them.

    Parameters
    ----------
    both : BothHips
        The comparison.
    folder : str or Path
        Is made if it does not exist.
    **more
        Further entries of the record: inputs, command.
    """
    record = {"program": program(), "atlas": both.atlas, "remarks": list(both.warnings)} | more
    with whole_folder(folder, "comparison of both hips", RECORD_FILE) as temporary:
        write_surface(temporary / SURFACE_FILE, both.surface)
        write_text(temporary / TABLE_FILE, csv_of_rows(COLUMNS, both.regions))
        write_json(temporary / RECORD_FILE, plain(record))


def _check_same_atlas(left: FemurResult, right: FemurResult) -> None:
    hashes = [result.provenance.get("atlas", {}).get("sha256") for result in (left, right)]
    points = [result.average.points for result in (left, right)]
    same_mesh = len(points[0]) == len(points[1]) and np.allclose(*points, atol=1e-3)
    if hashes[0] != hashes[1] or not same_mesh:
        raise SettingError(
            "The two results lie on different average femurs, so their points do not correspond. "
            "Map both with the same --atlas."
        )


def _common_unit(left: FemurResult, right: FemurResult, name: str) -> str:
    units = [result.average.units.get(name, MEASURES[name].unit) for result in (left, right)]
    if units[0] != units[1]:
        raise SettingError(
            f"{MEASURES[name].label} is in {units[0]} on the left and in {units[1]} on the right. "
            "Map both calibrated, or both without calibration."
        )
    return units[0]


def _measured(average: Surface, names: list[str]) -> np.ndarray:
    return np.isfinite([average.arrays[name] for name in names]).all(axis=0)


def _rows(surface: Surface, name: str) -> list[dict[str, Any]]:
    left, right = (surface.arrays[f"{name}_{side}"].astype(np.float64) for side in SIDES)
    region, common = surface.arrays["region"], np.isfinite(left) & np.isfinite(right)
    groups = {WHOLE_FEMUR: region != CUT_END}
    names = region_names_of(surface)
    groups |= {names.get(n, f"region {n}"): region == n for n in np.unique(region) if n != CUT_END}
    rows = []
    for label, inside in groups.items():
        both = inside & common
        weights = surface.point_areas[both]
        a, b = (np.average(v[both], weights=weights) if both.any() else np.nan for v in (left, right))
        mean = 0.5 * (a + b)
        rows.append(
            {
                "region": label,
                "measure": name,
                "unit": surface.units[f"{name}_left"],
                "left": float(a),
                "right": float(b),
                "mean": float(mean),
                "difference": float(a - b),
                "difference_percent": float(100.0 * (a - b) / mean) if mean else float("nan"),
                "coverage": float(weights.sum() / surface.point_areas[inside].sum()),
                "n_points": int(both.sum()),
            }
        )
    return rows


def _warnings(result: FemurResult) -> list[str]:
    """Warnings of a result: on its scan, its mask, and the verdict on a femur that was found."""
    found = result.provenance.get("segmentation", {})
    warnings = list(result.provenance.get("warnings", ()))
    if found.get("verdict") == LOOK:
        warnings += [f"the femur was found in the CT: {LOOK}.", *found.get("reasons", ())]
    return [f"{result.side.capitalize()}: {sentence}" for sentence in dict.fromkeys(warnings)]


def _differing_settings(left: FemurResult, right: FemurResult) -> list[str]:
    """Settings in which the two results differ, since a difference of the hips may come from them."""
    settings = [result.provenance.get("settings", {}) for result in (left, right)]
    return [
        f"{name.replace('_', ' ').capitalize()} differs: {settings[0].get(name)} on the left, "
        f"{settings[1].get(name)} on the right."
        for name in (
            "method",
            "calibration",
            "cortical_density",
            "slice_thickness_mm",
            "spacing_mm",
            "smoothing_fwhm_mm",
        )
        if settings[0].get(name) != settings[1].get(name)
    ]

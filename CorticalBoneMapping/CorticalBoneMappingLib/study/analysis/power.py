"""Plan a trial: what it could find, and how many participants it needs, from a study's own spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...anatomy.regions import CUT_END
from ...core.errors import SettingError, StatisticsError
from ...core.progress import Progress
from ...core.surface import Surface
from ...io.files import write_json, write_text
from ...io.folders import ready_folder, whole_folder
from ...io.surface_files import write_surface
from ...io.tables import Columns, csv_of_rows
from ...pipeline.provenance import input_record, plain, program
from ...statistics.inference.bands import simultaneous_bands
from ...statistics.inference.random_field import random_field_peaks
from ...statistics.inference.smoothness import estimate_smoothness
from ...statistics.power import (
    alpha_of_threshold,
    detectable_difference,
    effective_sd,
    group_sizes,
    needed_per_arm,
)
from ..study_file.analyses import Analysis
from ..study_file.study_toml import StudyFile
from .collect import collect_maps, read_study_table, smoothed
from .fit_and_test import Fitted, fit_analysis, region_names
from .questions import check_question

POWER_FILE, POWER_TABLE, PROVENANCE_FILE = "power.vtp", "power.csv", "provenance.json"
POWER_COLUMNS: Columns = {
    "region": str,
    "unit": str,
    "reference": float,
    "sd_per_participant": float,
    "n_per_arm": int,
    "detectable": float,
    "detectable_percent": float,
    "difference_percent": float,
    "needed_per_arm": float,
}
"""Columns of the region table: a row a region and size; what `needed_per_arm` is for is in percent."""


@dataclass(frozen=True)
class PowerAnswer:
    """What trials of given sizes could find.

    Attributes
    ----------
    surface : Surface
        The average femur with ``reference`` (expected value of the reference), ``sd_per_participant``,
        ``detectable_<n>`` and ``detectable_percent_<n>`` for each size, and ``needed_per_arm``, infinite
        above `statistics.power.LARGEST_ARM`.
    regions : list of dict
        Rows with the keys of `POWER_COLUMNS`.
    provenance : dict
        Settings, inputs, and the significance at one vertex that was asked for.
    """

    surface: Surface
    regions: list[dict[str, Any]]
    provenance: dict[str, Any]


def plan_trial(
    study: StudyFile,
    analysis: Analysis,
    sizes: Sequence[int],
    difference_percent: float,
    power: float = 0.8,
    corrected: bool = False,
    progress: Progress | None = None,
) -> PowerAnswer:
    """Return what trials with this study's design, visits and spread could find.

    Parameters
    ----------
    study : StudyFile
        The study whose spread is taken.
    analysis : Analysis
        Its model and question, a comparison of two groups of values.
    sizes : sequence of int
        Participants per arm.
    difference_percent : float
        The difference, in percent of the reference, for which the needed size is given.
    power : float
        Probability of finding it.
    corrected : bool
        Ask each vertex for the threshold of random field theory, and each region for that of bands that hold
        together, both at the study's own size; else for `analysis.alpha` by itself.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    PowerAnswer

    Raises
    ------
    SettingError
        If a size or the difference is out of bounds.
    StatisticsError
        If the question does not compare two groups of values, or maps and design do not fit together.
    """
    if analysis.outcome != "value":
        raise SettingError(f"analysis '{analysis.name}': percentages are of values, not of changes.")
    if not sizes or min(sizes) < 2 or not difference_percent > 0:
        raise SettingError("Sizes are 2 or more per arm, and the difference is above 0 %.")
    progress = progress or Progress()
    table = read_study_table(study)
    check_question(study.coding, table, analysis)
    maps = collect_maps(table, study.results, (analysis.measure,), progress.part(0.0, 0.4))[analysis.measure]
    regional = maps.region_means(maps.surface.arrays["region"], region_names(maps))
    maps = smoothed(maps, analysis.smoothing_fwhm_mm, progress.part(0.4, 0.6))
    fitted = fit_analysis(maps, analysis, study.coding, progress.part(0.6, 1.0))
    regions = fit_analysis(regional, analysis, study.coding)
    alpha = _alpha_of_map(fitted, analysis) if corrected else analysis.alpha
    alpha_regions = _alpha_of_regions(regions, analysis) if corrected else analysis.alpha
    inside = maps.surface.arrays["region"] != CUT_END
    found = _columns(fitted, sizes, difference_percent, power, alpha)
    arrays = {name: np.where(inside, values, np.nan).astype(np.float32) for name, values in found.items()}
    units = {name: "%" if "percent" in name else maps.unit for name in arrays if name != "needed_per_arm"}
    rows = _rows(
        regions, _columns(regions, sizes, difference_percent, power, alpha_regions), sizes, difference_percent
    )
    record = {
        "program": program(),
        "study": study.name,
        "analysis": asdict(analysis),
        "inputs": {"study": input_record(study.source), "table": input_record(study.table)},
        "participants_per_arm": list(group_sizes(fitted.design, fitted.answered.contrast)),
        "power": power,
        "corrected": corrected,
        "alpha_at_a_vertex": alpha,
        "alpha_at_a_region": alpha_regions,
        "difference_percent": difference_percent,
        "sizes": list(sizes),
        "notes": list(fitted.design.warnings),
    }
    return PowerAnswer(maps.surface.with_arrays(units=units, **arrays), rows, plain(record))


def check_place(folder: Path) -> None:
    """Check before the work that a plan can be written to a folder; see `folders.ready_folder`."""
    ready_folder(folder, "plan of a trial", PROVENANCE_FILE, [POWER_FILE, POWER_TABLE])


def write_power(answer: PowerAnswer, folder: Path) -> None:
    """Write surface, region table and provenance, or none of them."""
    with whole_folder(folder, "plan of a trial", PROVENANCE_FILE) as temporary:
        write_surface(temporary / POWER_FILE, answer.surface)
        write_text(temporary / POWER_TABLE, csv_of_rows(POWER_COLUMNS, answer.regions))
        write_json(temporary / PROVENANCE_FILE, answer.provenance)


def _columns(
    fitted: Fitted, sizes: Sequence[int], difference_percent: float, power: float, alpha: float
) -> dict[str, np.ndarray]:
    answered, alternative = fitted.answered, fitted.answered.alternative
    if fitted.percent is None:
        raise StatisticsError(f"'{answered.contrast.name}' has no reference for percentages.")
    sd = effective_sd(answered, group_sizes(fitted.design, answered.contrast))
    reference = fitted.percent.reference
    wanted = difference_percent / 100.0 * reference
    columns = {
        "reference": reference,
        "sd_per_participant": sd,
        "needed_per_arm": needed_per_arm(sd, wanted, power, alpha, alternative),
    }
    for n in sizes:
        found = detectable_difference(sd, n, power, alpha, alternative)
        columns |= {f"detectable_{n}": found, f"detectable_percent_{n}": 100.0 * found / reference}
    return columns


def _rows(
    fitted: Fitted, columns: dict[str, np.ndarray], sizes: Sequence[int], difference_percent: float
) -> list[dict[str, Any]]:
    kept = ("reference", "sd_per_participant", "needed_per_arm")
    return [
        {
            "region": region,
            "unit": fitted.maps.unit,
            "n_per_arm": n,
            "detectable": float(columns[f"detectable_{n}"][index]),
            "detectable_percent": float(columns[f"detectable_percent_{n}"][index]),
            "difference_percent": difference_percent,
        }
        | {name: float(columns[name][index]) for name in kept}
        for index, region in enumerate(fitted.maps.labels)
        for n in sizes
    ]


def _alpha_of_map(fitted: Fitted, analysis: Analysis) -> float:
    surface, answered = fitted.maps.surface, fitted.answered
    inside = surface.arrays["region"] != CUT_END
    smoothness = estimate_smoothness(surface, fitted.model.standardised_residuals(), inside)
    peaks = random_field_peaks(answered, smoothness, alpha=analysis.alpha)
    return alpha_of_threshold(peaks.threshold, float(np.nanmedian(answered.dof)), answered.alternative)


def _alpha_of_regions(fitted: Fitted, analysis: Analysis) -> float:
    answered = fitted.answered
    bands = simultaneous_bands(
        [fitted.model], [answered.contrast], answered.alternative, 1.0 - analysis.alpha
    )
    return alpha_of_threshold(bands.critical, float(np.nanmin(answered.dof)), answered.alternative)

"""Write and read an answer as files that anyone can open."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorticalBoneMappingError
from ...core.surface import Surface
from ...io.files import write_json, write_text
from ...io.folders import FILES, more_files, ready_folder, whole_folder
from ...io.surface_files import read_surface, write_surface
from ...io.tables import csv_of_rows, read_rows
from ...statistics.model.attribution import percent
from .analyse_maps import StudyAnswer
from .answer_tables import ANSWER_COLUMNS, ATTRIBUTION_COLUMNS, CLUSTER_COLUMNS, GROUP_COLUMNS

EFFECT_FILE = "effect.vtp"
EFFECT_PICTURE = "effect.png"
CLUSTERS_FILE = "clusters.csv"
REGIONS_FILE = "regions.csv"
ATTRIBUTION_FILE = "attribution.csv"
GROUPS_FILE = "groups.csv"
PROVENANCE_FILE = "provenance.json"


@dataclass(frozen=True)
class AnswerFiles:
    """An answer as its files hold it.

    Attributes
    ----------
    surface : Surface
        As `effect_surface` gives it.
    clusters, regions, attributed, groups : list of dict
        Rows with the keys of `CLUSTER_COLUMNS`, `ANSWER_COLUMNS`, `ATTRIBUTION_COLUMNS`, `GROUP_COLUMNS`.
    provenance : dict
        How it was made.
    """

    surface: Surface
    clusters: list[dict[str, Any]]
    regions: list[dict[str, Any]]
    attributed: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    provenance: dict[str, Any]


def check_place(folder: Path) -> None:
    """Check before the work that an answer can be written to a folder; see `folders.ready_folder`."""
    tables = [CLUSTERS_FILE, REGIONS_FILE, ATTRIBUTION_FILE, GROUPS_FILE]
    ready_folder(folder, "answer", PROVENANCE_FILE, [EFFECT_FILE, EFFECT_PICTURE, *tables])


def write_answer(answer: StudyAnswer, folder: str | Path) -> None:
    """Write all files of an answer, or none; an earlier answer in the folder is replaced.

    Raises
    ------
    CorticalBoneMappingError
        If writing to the folder fails.
    """
    with whole_folder(folder, "answer", PROVENANCE_FILE) as temporary:
        write_surface(temporary / EFFECT_FILE, effect_surface(answer))
        write_text(temporary / CLUSTERS_FILE, csv_of_rows(CLUSTER_COLUMNS, answer.clusters))
        write_text(temporary / REGIONS_FILE, csv_of_rows(ANSWER_COLUMNS, answer.regions))
        write_text(temporary / ATTRIBUTION_FILE, csv_of_rows(ATTRIBUTION_COLUMNS, answer.attributed))
        write_text(temporary / GROUPS_FILE, csv_of_rows(GROUP_COLUMNS, answer.groups.rows))
        write_json(temporary / PROVENANCE_FILE, answer.provenance)


def add_picture(folder: Path, draw: Callable[[Path], None]) -> None:
    """Add the picture of the effect to an answer; `draw` is given its place."""
    with more_files(folder, "answer", PROVENANCE_FILE) as temporary:
        draw(temporary / EFFECT_PICTURE)


def read_answer(folder: str | Path) -> AnswerFiles:
    """Read what `write_answer` wrote.

    Raises
    ------
    CorticalBoneMappingError
        If a file is missing or damaged.
    """
    folder = Path(folder)
    try:
        tables = [
            read_rows(folder / name, columns)
            for name, columns in (
                (CLUSTERS_FILE, CLUSTER_COLUMNS),
                (REGIONS_FILE, ANSWER_COLUMNS),
                (ATTRIBUTION_FILE, ATTRIBUTION_COLUMNS),
                (GROUPS_FILE, GROUP_COLUMNS),
            )
        ]
        provenance = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError) as error:
        raise CorticalBoneMappingError(
            f"{folder}: this is not the folder of an answer, or it is damaged ({error})."
        ) from error
    provenance.pop(FILES, None)
    return AnswerFiles(read_surface(folder / EFFECT_FILE), *tables, provenance)


def effect_surface(answer: StudyAnswer) -> Surface:
    """Return the average femur with the answer at every vertex.

    Returns
    -------
    Surface
        With ``effect`` (unit of the measure; an F has none), ``standard_error``, ``ci_lower``, ``ci_upper``;
        ``effect_percent`` with bounds where there is a reference; ``thickness_percent`` and
        ``density_percent``, the two parts of the effect on mass, where it is attributed; ``t`` (or ``f``),
        ``p``, ``p_corrected`` (family-wise, of the vertex), ``p_cluster``, ``q`` (false discovery rate);
        ``cluster`` (number in ``clusters.csv``, 0 outside), ``significant`` (1 where the correction of the
        analysis says so) and ``region``; ``group_1_mean``, ``group_1_se`` … of the groups in ``groups.csv``;
        and where they are asked for, the arrays of `FurtherTest`: ``equivalence_p_corrected`` and so on.
    """
    fitted, tests, unit = answer.fitted, answer.tests, answer.fitted.maps.unit
    answered = fitted.answered
    arrays: dict[str, np.ndarray] = {("t" if answered.is_t else "f"): answered.statistic}
    units = {}
    if answered.is_t:
        bounds = dict(zip(("ci_lower", "ci_upper"), answered.confidence_interval()))
        inner = {"effect": answered.effect, "standard_error": answered.standard_error} | bounds
        arrays, units = inner | arrays, dict.fromkeys(inner, unit)
    if fitted.percent is not None:
        shares = {
            "effect_percent": fitted.percent.percent,
            "percent_lower": fitted.percent.lower,
            "percent_upper": fitted.percent.upper,
        }
        arrays, units = arrays | shares, units | dict.fromkeys(shares, "%")
    arrays |= {
        "p": answered.p,
        "p_corrected": tests.peaks.p,
        "p_cluster": tests.clusters.p,
        "q": tests.discovery.p,
    }
    if answer.attribution is not None:
        found = answer.attribution
        parts = {"thickness_percent": percent(found.thickness), "density_percent": percent(found.density)}
        arrays, units = arrays | parts, units | dict.fromkeys(parts, "%")
    arrays = {name: np.where(tests.peaks.tested, values, np.nan) for name, values in arrays.items()}
    groups = answer.groups.arrays()
    surface = replace(fitted.maps.surface, units={})
    return surface.with_arrays(
        units=units | dict.fromkeys(groups, unit),
        **{name: values.astype(np.float32) for name, values in arrays.items()},
        **groups,
        **{name: values for test in answer.further for name, values in test.arrays().items()},
        cluster=tests.clusters.clusters.label.astype(np.int32),
        significant=tests.deciding.significant.astype(np.uint8),
    )

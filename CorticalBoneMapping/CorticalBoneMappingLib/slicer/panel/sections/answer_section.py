"""Section that shows the result of an analysis: view, notes, clusters, regions."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

from slicer.i18n import tr as _

from ....study.analysis.answer_tables import ANSWER_COLUMNS, CLUSTER_COLUMNS
from ...scene.answers import AnswerNodes, show_answer, views_of
from ...scene.tables import table_rows
from ..tables import fill


def show_answer_in_panel(ui: SimpleNamespace, nodes: AnswerNodes | None, view: str) -> None:
    """Show a view of a result in the scene, and its tables in the panel; or empty the section.

    Parameters
    ----------
    ui : namespace of widgets
        With ``resultSection``, ``notesLabel``, ``clustersTable`` and ``regionsTable``.
    nodes : AnswerNodes or None
        The result; None where none is chosen.
    view : str
        One of `study.analysis.shown.VIEWS`; where the result has no such view, its first is shown.
    """
    ui.resultSection.enabled = nodes is not None
    ui.notesLabel.text = ""
    for table in (ui.clustersTable, ui.regionsTable):
        table.setRowCount(0)
    if nodes is None:
        return
    possible = views_of(nodes)
    show_answer(nodes, view if view in possible else possible[0])
    ui.notesLabel.text = notes_of(json.loads(nodes.provenance.GetText()))
    headings = [_("Region"), _("Area (mm²)"), _("p"), _("Peak effect")]
    fill(ui.clustersTable, headings, cluster_cells(table_rows(nodes.clusters, CLUSTER_COLUMNS)))
    headings = [_("Region"), _("Effect"), _("95 % CI"), _("p (Holm)")]
    fill(ui.regionsTable, headings, region_cells(table_rows(nodes.regions, ANSWER_COLUMNS)))


def notes_of(record: dict[str, Any]) -> str:
    """Return contrast, significant share of the surface, and notes of a result's record, one a line."""
    lines = []
    if "question" in record:
        share = record["significant_area"]["share_of_tested"]
        lines.append(record["question"]["contrast"])
        lines.append(_("{share} of the surface is significant.").format(share=f"{share:.0%}"))
    return "\n".join([*lines, *record.get("notes", [])])


def cluster_cells(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the cells of the cluster table: region of the peak, area, corrected p, effect at the peak."""
    return [
        (
            row["region_of_peak"],
            f"{row['area_mm2']:.0f}",
            _p_value(row["p_corrected"]),
            _with_unit(row["peak_effect_percent"], "%")
            if math.isfinite(row["peak_effect_percent"])
            else _with_unit(row["peak_effect"], row["unit"]),
        )
        for row in rows
    ]


def region_cells(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the cells of the table of regions and endpoints, in percent where there is a reference."""
    cells = []
    for row in rows:
        names, unit = ("effect_percent", "percent_lower", "percent_upper"), "%"
        if not all(math.isfinite(row[name]) for name in names):
            names, unit = ("effect", "ci_lower", "ci_upper"), row["unit"]
        effect, low, high = (row[name] for name in names)
        interval = f"{_number(low)} to {_number(high)}"
        cells.append((row["name"], _with_unit(effect, unit), interval, _p_value(row["p_holm"])))
    return cells


def _with_unit(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"


def _p_value(p: float) -> str:
    if not math.isfinite(p):
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"

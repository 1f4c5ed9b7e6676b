"""The section of the panel that shows a result: its map in the view, its numbers in a table.

What the panel says of a result in one line, and in a small table.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from slicer.i18n import tr as _

from ....core.measures import MEASURES, QUALITY_LABELS, Quality, measure_named
from ....core.surface import Surface
from ....pipeline.provenance import count_quality
from ...scene.models import QUALITY, surface_from_model
from ...scene.registration import hide_registration, show_registration
from ...scene.results import ResultNodes, show_result
from ...scene.tables import region_rows
from ..tables import fill


def quality_line(surface: Surface) -> str:
    """Say how many points were measured, and why the others were not.

    Parameters
    ----------
    surface : Surface
        With the point array ``quality``.

    Returns
    -------
    str
        For example ``9,120 of 10,000 points measured (91 %); metal: 880``.
    """
    counts = count_quality(surface.arrays["quality"])
    measured, total = counts[QUALITY_LABELS[Quality.GOOD]], len(surface.points)
    others = [f"{label}: {n:,}" for label, n in counts.items() if n and label != QUALITY_LABELS[Quality.GOOD]]
    return "; ".join([f"{measured:,} of {total:,} points measured ({measured / total:.0%})", *others])


def region_cells(rows: list[dict[str, Any]], measure: str) -> list[tuple[str, str, str, str]]:
    """Give the cells of the regional table for one measure.

    Parameters
    ----------
    rows : list of dict
        With the keys of `study.regions.REGION_COLUMNS`.
    measure : str
        Which measure.

    Returns
    -------
    list of tuple of str
        Region, mean, SD, and the measured part of its area.
    """
    return [
        (row["region"], _number(row["mean"]), _number(row["sd"]), f"{row['coverage']:.0%}")
        for row in rows
        if row["measure"] == measure
    ]


def reason_cells(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Give the cells of the regional table for the points without a value.

    Parameters
    ----------
    rows : list of dict
        With the keys of `study.regions.REGION_COLUMNS`.

    Returns
    -------
    list of tuple of str
        Region, and how many points have no cortex (a finding), a failed fit, or metal.
    """
    counts = {row["region"]: (row["n_no_cortex"], row["n_fit_failed"], row["n_metal"]) for row in rows}
    return [(region, *("–" if n != n else f"{n:,}" for n in numbers)) for region, numbers in counts.items()]


def _number(value: float) -> str:
    """Write three significant digits, or a dash where nothing was measured."""
    if value != value:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


REGISTRATION = "registration"
"""Where a map may be shown besides on a model of `scene.results.ResultNodes`."""


def show_result_in_panel(ui: SimpleNamespace, nodes: ResultNodes | None, measure: str, on: str) -> None:
    """Show a measure of a result in the scene and in the panel, or empty the section.

    Parameters
    ----------
    ui : namespace of widgets
        With ``resultSection``, ``shownMeasureCombo``, ``qualityLabel`` and ``regionsTable``.
    nodes : ResultNodes or None
        The result; None where there is none.
    measure : str
        As the result names it, or `QUALITY`. Where the result does not hold it, its first is shown.
    on : str
        ``bone``, ``average``, or `REGISTRATION`: the average femur laid on the bone, with the landmarks;
        the bone where the result does not hold it.
    """
    ui.resultSection.enabled = nodes is not None
    ui.qualityLabel.text = ""
    ui.regionsTable.setRowCount(0)
    if nodes is None:
        return
    bone, rows = surface_from_model(nodes.bone), region_rows(nodes.regions)
    offered = _measures_in(bone, rows)
    if not offered:
        ui.qualityLabel.text = _("This result holds no measure that can be shown.")
        return
    shown = measure if measure in offered else next(iter(offered))
    _offer(ui.shownMeasureCombo, offered, shown)
    if on != REGISTRATION or not show_registration(nodes):
        hide_registration(nodes)
        show_result(nodes, shown, "bone" if on == REGISTRATION else on)
    points = [quality_line(bone)] if QUALITY in bone.arrays else []
    lines = [*points, *notes_of(json.loads(nodes.provenance.GetText()))]
    if shown != measure:
        lines.append(_("This result holds no '{measure}'.").format(measure=measure_named(measure).label))
    ui.qualityLabel.text = "\n".join(lines)
    if shown == QUALITY:
        fill(ui.regionsTable, [_("Region"), _("No cortex"), _("Fit failed"), _("Metal")], reason_cells(rows))
    else:
        unit = bone.units.get(shown, measure_named(shown).unit)
        headings = [_("Mean ({unit})").format(unit=unit), _("SD ({unit})").format(unit=unit), _("Measured")]
        fill(ui.regionsTable, [_("Region"), *headings], region_cells(rows, shown))


def notes_of(record: dict[str, Any]) -> list[str]:
    """Give what a reader should know of a result: the verdict on a femur that was found, and its notes."""
    verdict = record.get("segmentation", {}).get("verdict", "")
    told = [_("Femur as found: {verdict}").format(verdict=verdict)] if verdict else []
    return [*told, *record.get("notes", [])]


def _measures_in(bone: Surface, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Give the arrays that can be shown, and their labels: known measures first, then by stored name."""
    named = [name for name, measure in MEASURES.items() if not measure.is_uncertainty]
    others = [row["measure"] for row in rows if row["measure"] not in MEASURES]
    offered = {name: measure_named(name).label for name in named if name in bone.arrays}
    if QUALITY in bone.arrays:
        offered[QUALITY] = _("Why not measured")
    return offered | {name: name for name in others if name in bone.arrays}


def _offer(combo: Any, offered: dict[str, str], shown: str) -> None:
    combo.blockSignals(True)
    combo.clear()
    for name, label in offered.items():
        combo.addItem(_(label), name)
    combo.setCurrentIndex(combo.findData(shown))
    combo.blockSignals(False)

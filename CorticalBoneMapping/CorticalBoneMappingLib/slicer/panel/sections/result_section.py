"""Section that shows a result of the mapping: a map in the scene, its regional values, its notes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from slicer.i18n import tr as _

from ....core.measures import MEASURES, STATUS_LABELS, VertexStatus, measure_named
from ....core.surface import Surface
from ....pipeline.provenance import count_statuses
from ...scene.models import QUALITY, QUALITY_TITLE, surface_from_model
from ...scene.registration import hide_registration, show_registration
from ...scene.results import ResultNodes, show_result
from ...scene.tables import region_rows
from ..tables import fill

REGISTRATION = "registration"
"""The third surface to show, besides the two models of `scene.results.ResultNodes`."""


def show_result_in_panel(ui: SimpleNamespace, nodes: ResultNodes | None, measure: str, on: str) -> None:
    """Show a measure of a result in the scene and in the panel, or empty the section.

    Parameters
    ----------
    ui : namespace of widgets
        With ``resultSection``, ``shownMeasureCombo``, ``qualityLabel`` and ``regionsTable``.
    nodes : ResultNodes or None
        The result; None where none is chosen.
    measure : str
        Stored name of a measure, or `QUALITY`. Where the result has no such measure, its first is shown.
    on : str
        ``bone``, ``average``, or `REGISTRATION`: the registered average femur with the landmarks; the bone
        where the result has no registration.
    """
    ui.resultSection.enabled = nodes is not None
    ui.qualityLabel.text = ""
    ui.regionsTable.setRowCount(0)
    if nodes is None:
        return
    bone, rows = surface_from_model(nodes.bone), region_rows(nodes.regions)
    offered = _measures_in(bone, rows)
    if not offered:
        ui.qualityLabel.text = _("This result has no measure that can be shown.")
        return
    shown = measure if measure in offered else next(iter(offered))
    _offer(ui.shownMeasureCombo, offered, shown)
    if on != REGISTRATION or not show_registration(nodes):
        hide_registration(nodes)
        show_result(nodes, shown, "bone" if on == REGISTRATION else on)
    points = [status_line(bone)] if QUALITY in bone.arrays else []
    lines = [*points, *notes_of(json.loads(nodes.provenance.GetText()))]
    if shown != measure:
        lines.append(_("This result has no '{measure}'.").format(measure=measure_named(measure).label))
    ui.qualityLabel.text = "\n".join(lines)
    if shown == QUALITY:
        fill(ui.regionsTable, [_("Region"), _("No cortex"), _("Fit failed"), _("Metal")], reason_cells(rows))
    else:
        unit = bone.units.get(shown, measure_named(shown).unit)
        headings = [_("Mean ({unit})").format(unit=unit), _("SD ({unit})").format(unit=unit), _("Measured")]
        fill(ui.regionsTable, [_("Region"), *headings], region_cells(rows, shown))


def status_line(surface: Surface) -> str:
    """Count the points that were measured, and the others by reason, in one line.

    Parameters
    ----------
    surface : Surface
        With the point array ``quality``.

    Returns
    -------
    str
        For example ``9,120 of 10,000 points measured (91%); metal: 880``.
    """
    counts = count_statuses(surface.arrays["quality"])
    measured, total = counts[STATUS_LABELS[VertexStatus.GOOD]], len(surface.points)
    others = [
        f"{label}: {n:,}" for label, n in counts.items() if n and label != STATUS_LABELS[VertexStatus.GOOD]
    ]
    return "; ".join([f"{measured:,} of {total:,} points measured ({measured / total:.0%})", *others])


def region_cells(rows: list[dict[str, Any]], measure: str) -> list[tuple[str, str, str, str]]:
    """Return the cells of the regional table for one measure.

    Parameters
    ----------
    rows : list of dict
        With the keys of `pipeline.regions.REGION_COLUMNS`.
    measure : str
        Name of the measure.

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
    """Return the cells of the regional table for the points without a value.

    Parameters
    ----------
    rows : list of dict
        With the keys of `pipeline.regions.REGION_COLUMNS`.

    Returns
    -------
    list of tuple of str
        Region, and how many points have no cortex (a finding), a failed fit, or metal.
    """
    counts = {row["region"]: (row["n_no_cortex"], row["n_fit_failed"], row["n_metal"]) for row in rows}
    return [(region, *("–" if n != n else f"{n:,}" for n in numbers)) for region, numbers in counts.items()]


def notes_of(record: dict[str, Any]) -> list[str]:
    """Return the verdict on a femur that was found, and the notes of the result's record."""
    verdict = record.get("segmentation", {}).get("verdict", "")
    lines = [_("Femur as found: {verdict}").format(verdict=verdict)] if verdict else []
    return [*lines, *record.get("notes", [])]


def _measures_in(bone: Surface, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return arrays and labels that can be shown: known measures first, then others by stored name."""
    named = [name for name, measure in MEASURES.items() if not measure.is_uncertainty]
    others = [row["measure"] for row in rows if row["measure"] not in MEASURES]
    offered = {name: measure_named(name).label for name in named if name in bone.arrays}
    if QUALITY in bone.arrays:
        offered[QUALITY] = _(QUALITY_TITLE)
    return offered | {name: name for name in others if name in bone.arrays}


def _offer(combo: Any, offered: dict[str, str], shown: str) -> None:
    combo.blockSignals(True)
    combo.clear()
    for name, label in offered.items():
        combo.addItem(_(label), name)
    combo.setCurrentIndex(combo.findData(shown))
    combo.blockSignals(False)


def _number(value: float) -> str:
    """Format with three significant digits, or a dash where nothing was measured."""
    if value != value:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

"""The section of the panel that shows a result: its map in the view, its numbers in a table."""

from __future__ import annotations

from types import SimpleNamespace

from slicer.i18n import tr as _

from ..measures import MEASURES
from ..scene.models import QUALITY, surface_from_model
from ..scene.registration import hide_registration, show_registration
from ..scene.results import ResultNodes, show_result
from ..scene.tables import region_rows
from .summary import quality_line, reason_cells, region_cells
from .table_widget import fill

REGISTRATION = "registration"
"""Where a map may be shown besides on a model of `scene.results.ResultNodes`."""


def show_in_panel(ui: SimpleNamespace, nodes: ResultNodes | None, measure: str, on: str) -> None:
    """Show a measure of a result in the scene and in the panel, or empty the section.

    Parameters
    ----------
    ui : namespace of widgets
        With ``resultSection``, ``qualityLabel`` and ``regionsTable``.
    nodes : ResultNodes or None
        The result; None where there is none.
    measure : str
        One of `MEASURES`, or `QUALITY`.
    on : str
        ``bone``, ``average``, or `REGISTRATION`: the average femur laid on the bone, with the landmarks;
        the bone where the result does not hold it.
    """
    ui.resultSection.enabled = nodes is not None
    ui.qualityLabel.text = ""
    ui.regionsTable.setRowCount(0)
    if nodes is None:
        return
    if on != REGISTRATION or not show_registration(nodes):
        hide_registration(nodes)
        show_result(nodes, measure, "bone" if on == REGISTRATION else on)
    bone = surface_from_model(nodes.bone)
    ui.qualityLabel.text = quality_line(bone)
    rows = region_rows(nodes.regions)
    if measure == QUALITY:
        fill(ui.regionsTable, [_("Region"), _("No cortex"), _("Fit failed"), _("Metal")], reason_cells(rows))
    else:
        unit = bone.units.get(measure, MEASURES[measure].unit)
        headings = [_("Mean ({unit})").format(unit=unit), _("SD ({unit})").format(unit=unit), _("Measured")]
        fill(ui.regionsTable, [_("Region"), *headings], region_cells(rows, measure))

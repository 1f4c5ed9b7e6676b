"""Tables of the panels: rows of texts, and the terms of a model to tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt
from slicer.i18n import tr as _


def fill(table: qt.QTableWidget, headings: list[str], cells: list[tuple[str, ...]]) -> None:
    """Fill a table widget with rows of texts; each tooltip has the whole text of its cell."""
    table.setHorizontalHeaderLabels(headings)
    table.setRowCount(len(cells))
    for row, texts in enumerate(cells):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(row, column, item)
    for column in range(len(headings) - 1):  # the last takes the rest of the width
        table.resizeColumnToContents(column)


class TermsTable:
    """A table of terms to tick; Slicer's parameter node has no connector for one.

    Parameters
    ----------
    table : qt.QTableWidget
        The widget, with one column.
    changed : callable
        Called with the ticked terms when the user has ticked or unticked one.
    """

    def __init__(self, table: qt.QTableWidget, changed: Callable[[tuple[str, ...]], None]) -> None:
        self._table, self._changed = table, changed
        table.connect("itemChanged(QTableWidgetItem*)", self.on_ticked)

    def on_ticked(self, _item: object = None) -> None:
        """Report the ticked terms."""
        self._changed(self._ticked())

    def show(self, terms: Sequence[str], ticked: Sequence[str]) -> None:
        """Show the possible terms, and the ticked ones that are not among them."""
        offered = [*terms, *(term for term in ticked if term not in terms)]
        if offered == [item.text() for item in self._items()] and set(ticked) == set(self._ticked()):
            return  # a table that is filled while one of its items changes would lose that item
        self._table.blockSignals(True)
        fill(self._table, [_("Columns of the table")], [(term,) for term in offered])
        for item in self._items():
            item.setCheckState(qt.Qt.Checked if item.text() in ticked else qt.Qt.Unchecked)
        self._table.blockSignals(False)

    def _items(self) -> list[qt.QTableWidgetItem]:
        return [self._table.item(row, 0) for row in range(self._table.rowCount)]

    def _ticked(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self._items() if item.checkState() == qt.Qt.Checked)

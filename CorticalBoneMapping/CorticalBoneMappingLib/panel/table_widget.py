"""Texts in a table of the panel."""

from __future__ import annotations

import qt


def fill(table: qt.QTableWidget, headings: list[str], cells: list[tuple[str, ...]]) -> None:
    """Fill a table widget with rows of texts; what a narrow column cuts off is in the tooltip."""
    table.setHorizontalHeaderLabels(headings)
    table.setRowCount(len(cells))
    for row, texts in enumerate(cells):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(row, column, item)
    for column in range(len(headings) - 1):  # the last has the room that is left
        table.resizeColumnToContents(column)

"""Read and write tables (CSV, TSV): those that people write with a spreadsheet, and rows of results.

Of a table that a person wrote, every cell is read letter by letter, or the file is refused with the reason.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import TableError
from ..core.wording import counted

_SEPARATORS = (",", ";", "\t")
_MISSING = {"", "na", "n/a", "nan", "."}  # not "none": that may be an arm
_SAVE_AS = "save it as 'CSV UTF-8'"
_BOMS = (  # that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORKBOOKS = (b"PK\x03\x04", bytes.fromhex("d0cf11e0"))  # .xlsx and .ods are archives; .xls is older
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)  # written by Excel, for Excel
_KEPT_TEXT = re.compile(r'="(.*)"', re.DOTALL)  # ="001" is how people keep Excel from making 1 of it
_EXCEL_ERROR = re.compile(r"#(?:[^\W\d_/]+/[^\W\d_]+|[^\W\d_]+/0|[^\W\d_]+)[!?]?|#+")
_UNSEEN = " \t\r\n\f\v\u00a0\u200b\u202f\u2007\ufeff"

# What Windows-1252 makes of other encodings: three letters with accents in a row (Greek, Cyrillic), a capital
# with an accent after a small letter, or a sign right after a letter (Mac Roman).
_NOT_WINDOWS_1252 = re.compile(
    r"[\x80-\x9f]|[À-ÖØ-öø-ÿŠŽšžŒœŸ]{3}|[a-zß-öø-ÿ][À-ÖØ-ÞŠŽŒŸ]|[^\W\d_][‡ˆ„‚‰‹›˜¨¯¸¤¦¬¶¿¡×÷ƒ]"
)


@dataclass(frozen=True)
class WrittenTable:
    """The cells of a table, without the white space around them.

    Attributes
    ----------
    path : Path
    columns : dict of str to list of str
        By the names in the header.
    rows : tuple of int
        Number of each row as a spreadsheet shows it: the header is row 1, empty rows count.
    separator : str
        Between the cells.
    comments : tuple of str
        Lines that are not part of the table.
    warnings : tuple of str
        What is uncertain in how it was read.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: tuple[int, ...]
    separator: str
    comments: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_written_table(path: str | Path, comment: str = "") -> WrittenTable:
    """Read a table of text with a header.

    Parameters
    ----------
    path : str or Path
        In UTF-8, UTF-16 (with a byte order mark, or known by its zeros) or Windows-1252; cells separated by
        commas, semicolons or tabs (``.tsv``: tabs), or as a first line ``sep=;`` says.
    comment : str
        Lines that begin with this are comments; empty: there are none.

    Returns
    -------
    WrittenTable

    Raises
    ------
    TableError
        If the file is missing, is not such a text, has no rows, has a column twice or without a name, or a
        row of another length than the header; names file and row.
    """
    path = Path(path)
    text, warnings = _text_of(path)
    comments, lines = [], []
    for line in io.StringIO(text, newline=""):
        is_comment = bool(comment) and line.lstrip().startswith(comment)
        comments += [line.strip()] if is_comment else []
        lines.append("\n" if is_comment else line)
    separator = "\t" if path.suffix.lower() == ".tsv" else ""
    if lines and (stated := _SEPARATOR_LINE.fullmatch(lines[0])):
        separator, lines = stated[1], lines[1:]
    records, separator = _records(path, "".join(lines), separator)
    columns = _columns(path, records)
    rows = tuple(number for number, _ in records[1:])
    return WrittenTable(path, columns, rows, separator, tuple(comments), warnings)


def is_missing(text: str) -> bool:
    """Whether a cell states that a value is missing: empty, ``NA``, ``n/a``, ``nan`` or a dot."""
    return text.lower() in _MISSING


def is_spreadsheet_error(text: str) -> bool:
    """Whether a cell is an error of a spreadsheet, such as ``#N/A``, ``#VALUE!`` or ``####``."""
    return _EXCEL_ERROR.fullmatch(text) is not None


def unicode_of(data: bytes) -> str | None:
    """Decode UTF-8, or UTF-16 and UTF-32 by their byte order mark or their zeros; None for others."""
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "")
    if not encoding and b"\0" in data:
        even, odd = data[::2].count(0), data[1::2].count(0)
        encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _text_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """Give the text of a table, and a warning where its encoding was taken for the most likely one."""
    if not path.is_file():
        raise TableError(f"{path}: this table does not exist.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path}: reading the table failed ({error.strerror}).") from error
    if data.startswith(_WORKBOOKS):
        raise TableError(f"{path}: this is a workbook of a spreadsheet, not a table of text; {_SAVE_AS}.")
    if (text := unicode_of(data)) is not None:
        return text, ()
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = "\x80"
    if "\0" in text or _NOT_WINDOWS_1252.search(text) is not None:
        raise TableError(f"{path}: the character encoding of this table is unclear; {_SAVE_AS}.")
    example = next(word for word in re.split(r"[\s,;]+", text) if not word.isascii())
    return text, (
        f"The table is not in UTF-8 and was read as Windows-1252, such as '{example}'; if that is "
        f"wrong, {_SAVE_AS}.",
    )


def _records(path: Path, text: str, separator: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Give the rows that are not empty, with their numbers, and the separator that fits them."""
    tried = {one: _parsed(text, one) for one in ([separator] if separator else _SEPARATORS)}
    whole = {one: rows for one, rows in tried.items() if isinstance(rows, list) and rows}
    widths = {one: len(rows[0][1]) for one, rows in whole.items()}
    fits = [one for one in whole if widths[one] > 1 and all(len(r) == widths[one] for _, r in whole[one])]
    best = [one for one in fits if widths[one] == max(map(widths.get, fits))]
    if len(best) > 1:
        raise TableError(
            f"{path}: the cells may be separated by '{best[0]}' or by '{best[1]}'; use one of them only."
        )
    header = next((line for line in text.splitlines() if line.strip(_UNSEEN)), "")
    likely = best[0] if best else max(tried, key=header.count)  # its fault is the one to report
    if not (records := tried[likely]):
        raise TableError(f"{path}: the table is empty.")
    if isinstance(records, str):
        raise TableError(f"{path}: {records}")
    return records, likely


def _parsed(text: str, separator: str) -> list[tuple[int, list[str]]] | str:
    """Give the rows that are not empty, or a sentence why dividing the text into cells failed."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    records, number = [], 0
    try:
        for number, cells in enumerate(reader, start=1):
            cleaned = [_cleaned(cell) for cell in cells]
            if any(cleaned):
                records.append((number, cleaned))
    except csv.Error:
        return f"a quotation mark in row {number + 1} is not closed, or text follows it; fix that row."
    return records


def _cleaned(cell: str) -> str:
    cell = cell.strip(_UNSEEN)
    return kept[1].strip(_UNSEEN) if (kept := _KEPT_TEXT.fullmatch(cell)) else cell


def _columns(path: Path, records: list[tuple[int, list[str]]]) -> dict[str, list[str]]:
    header = [" ".join(name.split()) for name in records[0][1]]
    if len(records) < 2:
        raise TableError(f"{path}: the table has no rows below its header.")
    for number, cells in records[1:]:
        if len(cells) != len(header):
            raise TableError(
                f"{path}: row {number} has {counted(len(cells), 'cell')}, the header has {len(header)}; fix "
                "that row. A cell that holds the separator has to be in quotation marks."
            )
    columns: dict[str, list[str]] = {}
    for place, name in enumerate(header):
        column = [cells[place] for _, cells in records[1:]]
        if not name and not any(column):
            continue  # a spreadsheet saves empty columns beside the table
        if not name:
            row = next(number for number, cells in records[1:] if cells[place])
            raise TableError(f"{path}: column {place + 1} has no name, but a value in row {row}; name it.")
        if name in columns:
            raise TableError(f"{path}: column '{name}' appears twice in the header; rename one.")
        columns[name] = column
    return columns


Columns = dict[str, type]
"""Names of columns in their order, and what they hold: str, float or int."""


def csv_of_rows(columns: Columns, rows: Iterable[dict[str, Any]]) -> str:
    """Give rows as CSV text, numbers to six digits, what is not a number empty."""
    return csv_text(list(columns), ([_cell(row[name]) for name in columns] for row in rows))


def csv_text(header: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """Give a header and cells as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_rows(path: Path, columns: Columns) -> list[dict[str, Any]]:
    """Read what `csv_of_rows` gave.

    Raises
    ------
    OSError, ValueError, KeyError
        If the file is missing or is not such a table.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            {name: _typed(row[name], kind) for name, kind in columns.items()}
            for row in csv.DictReader(stream)
        ]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return str(value)


def _typed(text: str, kind: type) -> Any:
    return float("nan") if kind is float and not text else kind(text)

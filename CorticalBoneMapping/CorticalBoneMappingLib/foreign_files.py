"""Single files that are not this program's: it recognises its own by a mark, and writes over no other.

Folders of results have a record that lists their files; pages, tables and study files stand alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .errors import SettingError
from .files import write_text

PROGRAM = "cortical-bone-mapping"
"""The name by which records and pages say who wrote them."""

_SIGNATURE = "# Written by Cortical Bone Mapping; a file that is changed by hand is not written over."
_BEGINNING = 4096  # bytes in which a page names its generator


def write_signed(path: Path, text: str) -> None:
    """Write a text whose lines may be comments (``#``), signed, so that later changes by hand are noticed.

    Parameters
    ----------
    path : Path
        A file that is there has to be one that was written so, and is as it was written.
    text : str
        The content; the signature becomes its first line.

    Raises
    ------
    SettingError
        If there is another file.
    """
    if path.exists() and not _is_as_signed(path):
        raise SettingError(
            f"{path}: this file was written or changed by hand, and would be lost. Rename it, or choose "
            "another folder."
        )
    write_text(path, f"{_signature(text)}\n{text}")


def refuse_another_page(path: Path) -> None:
    """Refuse to write a page over a file that is none of this program's pages.

    Raises
    ------
    SettingError
        If there is such a file.
    """
    _refuse_unless(path, _names_generator)


def refuse_another_table(path: Path, columns: Sequence[str]) -> None:
    """Refuse to write a table over a file that does not begin with the same columns.

    Raises
    ------
    SettingError
        If there is such a file.
    """
    _refuse_unless(path, lambda path: _first_line(path).split(",")[: len(columns)] == list(columns))


def refuse_another_record(path: Path) -> None:
    """Refuse to write a record (JSON) over a file that is none of this program's records.

    Raises
    ------
    SettingError
        If there is such a file.
    """
    _refuse_unless(path, lambda path: own_record(path) is not None)


def own_record(path: Path) -> dict[str, Any] | None:
    """Read a record of this program; None where there is none, or the file is another."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if record["program"]["name"] == PROGRAM else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def generator_tag() -> str:
    """Give the tag by which a page says who wrote it."""
    return f'<meta name="generator" content="{PROGRAM}">'


def _refuse_unless(path: Path, is_own: Callable[[Path], bool]) -> None:
    if path.exists() and not (path.is_file() and is_own(path)):
        raise SettingError(
            f"{path}: there is a file or folder that this program did not write, or that was changed since; "
            "it would be lost. Move it, or give another name."
        )


def _signature(text: str) -> str:
    return f"{_SIGNATURE} {hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]}"


def _is_as_signed(path: Path) -> bool:
    try:
        first, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return False
    return first == _signature(text)


def _names_generator(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return generator_tag().encode() in stream.read(_BEGINNING)
    except OSError:
        return False


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return stream.readline().strip()
    except (OSError, ValueError):
        return ""

"""Read a file of TOML that a person wrote, with the faults that people make in paths."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from ..core.errors import SettingError
from .tables import unicode_of

_ADVICE = (
    r"a backslash in double quotes begins a special sign; write / for \, or put the path in single quotes"
)
_ANY_BACKSLASH = re.compile(r'"[^"\n]*\\')
_CONTROL = re.compile(r"[\x00-\x1f]")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of TOML in UTF-8 or UTF-16, with or without a byte order mark.

    Raises
    ------
    SettingError
        If it is missing or is not TOML, or a backslash in a path was read as a special sign; names file and
        line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingError(f"{path}: this study file was not found ({error.strerror}).") from error
    text = unicode_of(data)
    if text is None:
        raise SettingError(f"{path}: the character encoding of this file is unclear; save it as UTF-8.")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    try:
        content = tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else len(lines)
        if 0 < line <= len(lines) and _ANY_BACKSLASH.search(lines[line - 1]):
            raise SettingError(f"{path}, line {line}: {_ADVICE}.") from error
        raise SettingError(f"{path}: this is not a TOML file: {error}.") from error
    for key, value in _paths(content):
        if isinstance(value, str) and _CONTROL.search(value):  # \t of C:\temp is a tab
            line = next((n for n, text in enumerate(lines, 1) if re.match(rf"\s*{key}\s*=", text)), 1)
            raise SettingError(f"{path}, line {line}: {_ADVICE}.")
    return content


def _paths(content: dict[str, Any]) -> list[tuple[str, Any]]:
    """Give the values that may be paths, with their keys."""
    tables = [content.get(name) for name in ("study", "scans", "map")]
    return [pair for table in tables if isinstance(table, dict) for pair in table.items()]

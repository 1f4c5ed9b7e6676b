"""Keys and values of a TOML file: check them, convert them, write them."""

from __future__ import annotations

import json
from typing import Any

from ...core.errors import SettingError

_KINDS = {"tuple[str, ...]": "a list of texts", "str": "a text", "int": "a whole number"}


def check_keys(where: str, found: dict[str, Any], known: set[str], needed: set[str] = frozenset()) -> None:
    """Refuse a table with unknown keys, or without the needed ones.

    Parameters
    ----------
    where : str
        Name of the table, for messages.
    found : dict
        As the file has it.
    known, needed : set of str
        Keys.

    Raises
    ------
    SettingError
        Naming table and key.
    """
    if not isinstance(found, dict):
        raise SettingError(f"{where} should be a table of keys and values.")
    if unknown := sorted(set(found) - known):
        raise SettingError(
            f"{where} has an unknown key '{unknown[0]}'; known are {', '.join(sorted(known))}."
        )
    if lacking := sorted(needed - set(found)):
        raise SettingError(f"{where} lacks the key '{lacking[0]}'.")


def typed(what: str, kind: str, value: Any) -> Any:
    """Convert a TOML value to the type of its field.

    Parameters
    ----------
    what : str
        Names the value, for messages.
    kind : str
        The field's annotation; one that ends in ``| None`` is optional.
    value : object
        From the file.

    Raises
    ------
    SettingError
        If the value has another type; says which is wanted.
    """
    kind = kind.removesuffix(" | None")
    if kind == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if kind == "str" and isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)  # a visit may be written as a number
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and kind == "float":
        return float(value)
    if is_number and kind == "int" and value == int(value):
        return int(value)
    raise SettingError(f"{what} = {value!r} should be {_KINDS.get(kind, 'a number')}.")


def quoted(value: Any) -> str:
    """Write a text, number or tuple as TOML: JSON writes them alike."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)

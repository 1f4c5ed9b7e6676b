"""Arrays kept on disk, each under the hash of what it was made from."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from CorticalBoneMappingLib.io.files import whole_file

Arrays = dict[str, np.ndarray]


def kept(folder: Path, key: str, make: Callable[[], Arrays]) -> Arrays:
    """Give arrays from the cache, or make them and keep them.

    Parameters
    ----------
    folder : Path
        Of this kind of arrays; made if it is not there, and can be deleted at any time.
    key : str
        From `digest`.
    make : callable
        Makes the arrays.

    Returns
    -------
    dict of str to ndarray
    """
    stored = looked_up(folder, key)
    if stored is not None:
        return stored
    made = make()
    with whole_file(folder / f"{key}.npz") as temporary:
        np.savez_compressed(temporary, **made)
    return made


def looked_up(folder: Path, key: str) -> Arrays | None:
    """Give arrays that are in the cache, or None."""
    path = folder / f"{key}.npz"
    if not path.is_file():
        return None
    with np.load(path) as stored:
        return dict(stored)


def digest(*parts: Any) -> str:
    """Hash of arrays, bytes and plain values."""
    whole = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            whole.update(np.ascontiguousarray(part).tobytes())
        else:
            whole.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode())
    return whole.hexdigest()[:24]


def sources(start: Path) -> bytes:
    """Text of a module and of all modules that it imports by a relative name, directly or not.

    Parameters
    ----------
    start : Path
        The module's file.

    Returns
    -------
    bytes
        Without comments and docstrings.

    Raises
    ------
    FileNotFoundError
        If the module itself is missing, as after a move: a key without it would keep old results.
    """
    if not start.is_file():
        raise FileNotFoundError(f"{start}: this module is missing. Name its new place.")
    found, waiting = {}, [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        tree = ast.parse(path.read_bytes())
        found[path] = code(tree)
        waiting += neighbours(path)
    return b"".join(found[path] for path in sorted(found))


def code(tree: ast.AST) -> bytes:
    """Text of parsed source without comments and docstrings, whose changes change no result."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body[:1] = [ast.Pass()]
    return ast.unparse(tree).encode()


def neighbours(module: Path) -> list[Path]:
    """Files of the modules that a module imports by a relative name."""
    found = []
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = module.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            parts = [place / f"{alias.name}.py" for alias in node.names]
            found += [place.parent / f"{place.name}.py", *parts, place / "__init__.py"]
    return [path for path in found if path.is_file()]

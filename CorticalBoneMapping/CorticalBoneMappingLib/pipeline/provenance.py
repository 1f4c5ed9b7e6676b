"""Record how a result was made: program, libraries, inputs, and a hash of the source.

The hash covers the modules that a map follows from, found by walking imports, without comments and
docstrings.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import SimpleITK as sitk
import vtk

from .. import __version__
from ..core.measures import STATUS_LABELS, VertexStatus
from ..io.files import PROGRAM
from ..io.input_files import hash_of


class Stopwatch:
    """Seconds by stage, in the order of the stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block."""
        begun = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begun, 3)


def program() -> dict[str, Any]:
    """Name, version and source of this program, and versions of what it computes with."""
    # From the libraries themselves: the package manager does not know those inside Slicer.
    libraries = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "vtk": vtk.vtkVersion.GetVTKVersion(),
        "SimpleITK": sitk.Version.VersionString(),
    }
    return {
        "name": PROGRAM,
        "version": __version__,
        "mapping_source": mapping_source(),
        "libraries": libraries,
    }


def input_record(path: str | Path) -> dict[str, Any]:
    """Name an input by its content: file name (never its folder) and SHA-256.

    Parameters
    ----------
    path : str or Path
        A file, or a folder of DICOM files; see `input_files.files_of` for what is read with it.

    Returns
    -------
    dict
        ``name`` and ``sha256``; and ``covers``, the hashed files, if there is more than one.
    """
    sha256, covers = hash_of(path)
    record = {"name": Path(path).resolve().name if Path(path).is_dir() else Path(path).name}
    return record | {"sha256": sha256} | ({"covers": list(covers)} if covers else {})


def without_folders(text: str) -> str:
    """Keep the last part of a path, so that a record holds nothing of its machine.

    Parameters
    ----------
    text : str
        A path, ``rods:PATH``, or other text, which is kept.

    Returns
    -------
    str
    """
    kind, colon, path = text.partition(":")
    if colon and kind.isalpha() and len(kind) > 1:  # one letter is a drive of Windows
        return f"{kind}:{without_folders(path)}"
    parts = [part for part in text.replace("\\", "/").split("/") if part]
    return parts[-1] if parts else text


def count_statuses(quality: np.ndarray) -> dict[str, int]:
    """Count the points of each quality, by its label.

    Parameters
    ----------
    quality : ndarray of int, shape (n_points,)
        Values of `VertexStatus`.
    """
    return {STATUS_LABELS[kind]: int(np.sum(quality == kind)) for kind in VertexStatus}


def plain(content: Any) -> Any:
    """Convert numpy values to plain ones for JSON; not-a-number becomes null."""
    if isinstance(content, dict):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, np.ndarray | np.generic):
        return plain(content.tolist())
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content


_LIBRARY = Path(__file__).parents[1]
_ROOTS = ("study/mapping/measuring.py", "pipeline/result.py")
"""The modules that map a femur and write the map; they import all others that a map follows from."""

_DATA = "data"
_IGNORED = ("kind", "type_comment", "type_ignores", "ctx")  # fields that change nothing that is computed


@lru_cache(maxsize=1)
def mapping_source() -> str:
    """Hash the source that maps follow from, as it was at the first call in this process.

    It is the same on every machine and in every version of Python that runs the library. It does not depend
    on the place of installation, line endings, comments and docstrings, nor on how pictures are drawn.

    Returns
    -------
    str
        SHA-256; empty where the library is installed without its source (as byte code, in an archive).
    """
    return source_hash(_LIBRARY)


def source_hash(library: Path) -> str:
    """Hash the source that maps follow from in a folder that holds this library; see `mapping_source`."""
    digest = hashlib.sha256()
    modules = modules_of_maps(library)
    for name, tree in modules.items():
        tokens: list[str] = []
        _add_tokens(tree, tokens)
        _add(digest, name, "\n".join(tokens).encode())
    for name in sorted({str(Path(module).parent) for module in modules}):
        for file in sorted((library / name / _DATA).glob("*")):
            content = file.read_bytes().replace(b"\r\n", b"\n")
            _add(digest, file.relative_to(library).as_posix(), content)
    return digest.hexdigest() if modules else ""


def modules_of_maps(library: Path) -> dict[str, ast.Module]:
    """Return the modules that maps follow from, by their paths in the library, in the order of these.

    Imports under ``if TYPE_CHECKING`` are not followed, since they never run.
    """
    found: dict[str, ast.Module] = {}
    waiting = [name for name in _ROOTS if (library / name).is_file()]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = ast.parse((library / name).read_bytes())
        waiting += _imported(library, name, found[name])
        waiting += (f"{folder}/__init__.py".removeprefix("./") for folder in Path(name).parents)
    return dict(sorted(found.items()))


def _imported(library: Path, name: str, tree: ast.Module) -> Iterator[str]:
    """The library's modules that a module imports; by relative names, as everywhere in the library."""
    for node in _executed(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        package = Path(name).parents[node.level - 1]
        target = package.joinpath(*(node.module or "").split(".")) if node.module else package
        for each in (target, *(target / alias.name for alias in node.names)):
            for file in (each.parent / f"{each.name}.py", each / "__init__.py"):
                if (library / file).is_file():
                    yield file.as_posix()


def _executed(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        is_for_types = isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        waiting += node.orelse if is_for_types else ast.iter_child_nodes(node)


def _add_tokens(node: ast.AST | list | object, tokens: list[str]) -> None:
    """Write a syntax tree as tokens that do not depend on the version of Python.

    `ast.dump` and `ast.unparse` depend on it: a version adds fields, or leaves out empty ones.
    """
    if isinstance(node, list):
        for each in node:
            if not _is_only_text(each):
                _add_tokens(each, tokens)
        tokens.append(";")
    elif isinstance(node, ast.AST):
        tokens.append(type(node).__name__)
        for field in node._fields:
            value = getattr(node, field, None)
            if value is not None and value != [] and field not in _IGNORED:
                tokens.append(f".{field}")
                _add_tokens(value, tokens)
    else:
        tokens.append(repr(node))


def _is_only_text(node: object) -> bool:
    """Whether a statement is a docstring or another text without effect."""
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant and isinstance(node.value.value, str)


def _add(digest: hashlib._Hash, name: str, content: bytes) -> None:
    digest.update(f"{name} {len(content)}\n".encode() + content)

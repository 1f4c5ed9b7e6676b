"""The code that a map follows from, as a hash: found by walking imports, without comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_LIBRARY = Path(__file__).parents[1]
_ROOTS = ("study/trial/measuring.py", "study/result_files.py")
"""What maps a femur, and what writes the map: all else that a map follows from is imported from there."""

_DATA = "data"
_NO_MEANING = ("kind", "type_comment", "type_ignores", "ctx")  # fields that change nothing that is computed


@lru_cache(maxsize=1)
def mapping_source() -> str:
    """Hash the source that maps follow from, as it was when this process first asked.

    The same on every machine and in every version of Python that runs the library, wherever it is installed,
    however its lines end, and whatever its comments and docstrings say. The picture of a case is drawn from
    its map; how it is drawn does not count.

    Returns
    -------
    str
        SHA-256; empty where the library is installed without its source (as byte code, in an archive), so
        that only the version tells.
    """
    return source_hash(_LIBRARY)


def source_hash(library: Path) -> str:
    """Hash the source that maps follow from in a folder that holds this library; see `mapping_source`."""
    digest = hashlib.sha256()
    modules = modules_of_maps(library)
    for name, tree in modules.items():
        words: list[str] = []
        _add_words(tree, words)
        _add(digest, name, "\n".join(words).encode())
    for name in sorted({str(Path(module).parent) for module in modules}):
        for file in sorted((library / name / _DATA).glob("*")):
            content = file.read_bytes().replace(b"\r\n", b"\n")
            _add(digest, file.relative_to(library).as_posix(), content)
    return digest.hexdigest() if modules else ""


def modules_of_maps(library: Path) -> dict[str, ast.Module]:
    """Give the modules that maps follow from, by their paths in the library, in the order of these.

    Imports under ``if TYPE_CHECKING`` are never made, so they are not followed.
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
    for node in _run(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        package = Path(name).parents[node.level - 1]
        target = package.joinpath(*(node.module or "").split(".")) if node.module else package
        for each in (target, *(target / alias.name for alias in node.names)):
            for file in (each.parent / f"{each.name}.py", each / "__init__.py"):
                if (library / file).is_file():
                    yield file.as_posix()


def _run(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        is_for_types = isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        waiting += node.orelse if is_for_types else ast.iter_child_nodes(node)


def _add_words(node: ast.AST | list | object, words: list[str]) -> None:
    """Write a syntax tree in words that do not depend on the version of Python.

    Neither `ast.dump` nor `ast.unparse` will do: fields are added, and what is empty is left out, from one
    version to the next.
    """
    if isinstance(node, list):
        for each in node:
            if not _is_only_text(each):
                _add_words(each, words)
        words.append(";")
    elif isinstance(node, ast.AST):
        words.append(type(node).__name__)
        for field in node._fields:
            value = getattr(node, field, None)
            if value is not None and value != [] and field not in _NO_MEANING:
                words.append(f".{field}")
                _add_words(value, words)
    else:
        words.append(repr(node))


def _is_only_text(node: object) -> bool:
    """Whether a statement is a docstring, or another text that nothing reads."""
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant and isinstance(node.value.value, str)


def _add(digest: hashlib._Hash, name: str, content: bytes) -> None:
    digest.update(f"{name} {len(content)}\n".encode() + content)

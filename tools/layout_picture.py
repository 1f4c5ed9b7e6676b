"""Write the map of the library from its imports: ``python -m tools.layout_picture``.

The order of the floors is read from the import contract in ``pyproject.toml``, the sentences from the
docstrings of the folders, the arrows and counts from the import statements. `Docs/layout.md` gets the tables
between its two marker comments; `Docs/layout.svg` is the picture. The same source gives the same bytes.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tools.layout_drawing import draw_layout

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "CorticalBoneMapping" / "CorticalBoneMappingLib"
PAGE, PICTURE = ROOT / "Docs" / "layout.md", ROOT / "Docs" / "layout.svg"
BEGIN = "<!-- Written by python -m tools.layout_picture: do not edit from here -->"
END = "<!-- to here -->"


@dataclass(frozen=True)
class Room:
    """A folder of the library.

    Attributes
    ----------
    name : str
        Path from the library, as ``cortex/methods``.
    sentence : str
        Docstring of its `__init__`.
    modules : int
        Python files in the folder and below it, without `__init__`.
    """

    name: str
    sentence: str
    modules: int


def floors() -> list[list[str]]:
    """Read which rooms are on one floor, top floor first, from the contract that names them all."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = (one for one in contracts if one.get("exhaustive"))
    return [re.split(r"\s*[:|]\s*", layer) for layer in contract["layers"]]


def rooms(names: list[str] | None = None) -> list[Room]:
    """List the folders of the library that hold modules.

    Parameters
    ----------
    names : list of str, optional
        Names of the top rooms in the order wanted; by default those of `floors`.

    Returns
    -------
    list of Room
        Each room followed by the rooms within it, by name.

    Raises
    ------
    ValueError
        A folder is in no floor.
    """
    names = [name for floor in floors() for name in floor] if names is None else names
    folders = sorted({path.parent for path in LIBRARY.rglob("*.py")} - {LIBRARY})
    found: dict[str, list[Room]] = {name: [] for name in names}
    for folder in folders:
        name = folder.relative_to(LIBRARY).as_posix()
        top = name.partition("/")[0]
        if top not in found:
            raise ValueError(
                f"{name}: the floors in pyproject.toml do not name this room. Add it to the contract."
            )
        sentence = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
        found[top].append(Room(name, sentence, len(_modules(folder))))
    return [room for name in names for room in found[name]]


def imports_between_rooms() -> Counter[tuple[str, str]]:
    """Count the modules of one room that import from another, also within functions.

    Returns
    -------
    Counter
        Number of modules by the names of the room that imports and of the room that is imported.
    """
    known = {name for floor in floors() for name in floor}
    count: Counter[tuple[str, str]] = Counter()
    for path in LIBRARY.rglob("*.py"):
        parts = path.relative_to(LIBRARY).parts
        if len(parts) > 1:
            used = {room for name in _imported(path) for room in name.split(".")[:1]}
            count.update((parts[0], room) for room in used & known - {parts[0]})
    return count


def page_with_tables(text: str) -> str:
    """Return the page with its tables as they have to be now.

    Parameters
    ----------
    text : str
        The page, with both marker comments.

    Returns
    -------
    str
        The same page; what is between the markers is written anew.
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    everything = rooms()
    top = [room for room in everything if "/" not in room.name]
    inner = [room for room in everything if "/" in room.name]
    total = sum(room.modules for room in top)
    tables = [
        f"{len(top)} rooms with {total} modules, top floor first:",
        _table("room", top),
        "## Rooms within rooms",
        _table("folder", inner),
    ]
    return "\n\n".join([before + BEGIN, *tables, END]) + after


def picture() -> str:
    """Return the picture of the floors and of the imports between rooms, as SVG."""
    sizes = {room.name: room.modules for room in rooms() if "/" not in room.name}
    return draw_layout(floors(), sizes, imports_between_rooms())


def main() -> None:
    """Write the tables into the page, and the picture."""
    page = page_with_tables(PAGE.read_text("utf-8"))
    PAGE.write_text(page, encoding="utf-8", newline="\n")
    PICTURE.write_text(picture(), encoding="utf-8", newline="\n")


def _modules(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.py") if path.name != "__init__.py"]


def _imported(path: Path) -> set[str]:
    """Names that a module imports from the library, as paths from the library's root."""
    package = (LIBRARY.name, *path.relative_to(LIBRARY).parts[:-1])
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    prefix = LIBRARY.name + "."
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def _table(heading: str, listed: list[Room]) -> str:
    lines = [f"| {heading} | what is in it | modules |", "|---|---|--:|"]
    lines += [f"| `{room.name}/` | {room.sentence} | {room.modules} |" for room in listed]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

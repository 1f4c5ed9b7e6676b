"""Build the reference for Python users from the docstrings: ``python -m tools.reference FOLDER``.

Each room has a page with the names in its ``__all__``, and a page for each of its modules. A warning of the
builder is an error, and so is a module that does not import. The command line has its own help and is left
out, as is what runs only within Slicer.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import sys
import typing
import warnings
from pathlib import Path
from types import ModuleType

import pdoc

import CorticalBoneMappingLib as library
from tools.layout_picture import rooms

LEFT_OUT = ("cli", "slicer")


def build_reference(folder: Path) -> None:
    """Write the pages; an older folder of this name is replaced.

    Parameters
    ----------
    folder : Path
        Where to; ``index.html`` is the first page.

    Raises
    ------
    Warning
        What the builder warns of.
    """
    modules = [library, *_modules_below(library)]
    for module in modules:
        _resolve_named_tuples(module)
        _list_members(module)
    shutil.rmtree(folder, ignore_errors=True)
    library.__doc__ = f"{library.__doc__}\n\n{_list_of_rooms()}"
    pdoc.render.configure(
        docformat="numpy",
        show_source=False,
        template_directory=Path(__file__).parent / "reference_pages",
        footer_text=f"Cortical Bone Mapping {library.__version__}",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(library.__name__, output_directory=folder)


def _modules_below(package: ModuleType) -> list[ModuleType]:
    found = []
    for each in pkgutil.iter_modules(package.__path__):
        if not (package is library and each.name in LEFT_OUT):
            module = importlib.import_module(f"{package.__name__}.{each.name}")
            found += [module, *(_modules_below(module) if each.ispkg else [])]
    return found


def _list_of_rooms() -> str:
    listed = [room for room in reversed(rooms()) if "/" not in room.name and room.name not in LEFT_OUT]
    lines = [f"* `{library.__name__}.{room.name}`: {room.sentence}" for room in listed]
    return "\n".join(["The rooms, ground floor first:\n", *lines])


def _list_members(module: ModuleType) -> None:
    """Make a package's names and modules visible to pdoc.

    It passes over modules that ``__all__`` does not list, and over names that are imported when first used.
    """
    if hasattr(module, "__path__"):
        names = list(getattr(module, "__all__", []))
        for name in names:
            setattr(module, name, getattr(module, name))
        below = [each.name for each in pkgutil.iter_modules(module.__path__)]
        module.__all__ = names + [name for name in below if name not in (*names, *LEFT_OUT)]


def _resolve_named_tuples(module: ModuleType) -> None:
    """Put types in place of their names in named tuples, whose ``__new__`` does not know its module."""
    for each in list(vars(module).values()):
        if isinstance(each, type) and issubclass(each, tuple) and hasattr(each, "_fields"):
            each.__new__.__annotations__ = typing.get_type_hints(each)


if __name__ == "__main__":
    build_reference(Path(sys.argv[1]))

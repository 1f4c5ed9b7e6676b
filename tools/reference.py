"""Build the reference for Python users from the docstrings: ``python -m tools.reference FOLDER``.

Each room has a page with the names in its ``__all__``, followed by its modules. A warning of the builder is an
error, and so is a module that does not import. Left out: the command line, which has its own help, and what runs
within Slicer alone.
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
    for package in modules:
        _list_modules(package)
    shutil.rmtree(folder, ignore_errors=True)
    pdoc.render.configure(
        docformat="numpy", show_source=False, footer_text=f"Cortical Bone Mapping {library.__version__}"
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


def _list_modules(package: ModuleType) -> None:
    """Add a package's modules to its ``__all__``: pdoc passes over what is not listed there."""
    if hasattr(package, "__path__"):
        below = [each.name for each in pkgutil.iter_modules(package.__path__)]
        listed = list(getattr(package, "__all__", []))
        package.__all__ = listed + [name for name in below if name not in (*listed, *LEFT_OUT)]


def _resolve_named_tuples(module: ModuleType) -> None:
    """Put types in place of their names in named tuples, whose ``__new__`` does not know its module."""
    for each in list(vars(module).values()):
        if isinstance(each, type) and issubclass(each, tuple) and hasattr(each, "_fields"):
            each.__new__.__annotations__ = typing.get_type_hints(each)


if __name__ == "__main__":
    build_reference(Path(sys.argv[1]))

"""The examples in the docstrings of the library run, and show what they return."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import CorticalBoneMappingLib

LIBRARY = Path(CorticalBoneMappingLib.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join([LIBRARY.name, *path.relative_to(LIBRARY).with_suffix("").parts])
    for path in LIBRARY.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_return_what_they_show(name):
    failed, tried = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried > 0
    assert failed == 0


def test_there_are_examples_in_most_rooms():
    rooms = {name.split(".")[1] for name in WITH_EXAMPLES}
    assert {"anatomy", "atlas", "calibration", "core", "mesh", "statistics"} <= rooms


def test_every_name_that_the_library_offers_exists_and_has_a_docstring():
    for name in CorticalBoneMappingLib.__all__:
        offered = getattr(CorticalBoneMappingLib, name)
        assert name == "__version__" or offered.__doc__, name
    assert set(CorticalBoneMappingLib.__all__) <= set(dir(CorticalBoneMappingLib))
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        CorticalBoneMappingLib.no_such_name  # noqa: B018

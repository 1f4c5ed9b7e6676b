"""What messages and pages advise people to type exists."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path

import pytest

from CorticalBoneMappingLib.cli.__main__ import _parser

ROOT = Path(__file__).parents[3]
LIBRARY = ROOT / "CorticalBoneMapping" / "CorticalBoneMappingLib"
PAGES = [ROOT / "README.md", *sorted((ROOT / "Docs").rglob("*.md"))]
# Of dask and helm, which Docs/trial.md shows how to start a cluster with.
OF_OTHERS = {
    "--create-namespace",
    "--generate-name",
    "--hostfile",
    "--lifetime",
    "--lifetime-stagger",
    "--memory-limit",
    "--nthreads",
    "--nworkers",
    "--repo",
    "--scheduler-port",
}
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
# In running text 'cbm map' or `cbm map`, and at the start of an indented line of an example.
_COMMAND = re.compile(r"(?:[`']|^\s+|^)cbm ([a-z][a-z-]+)", re.MULTILINE)


def _commands() -> dict[str, set[str]]:
    """Every command with all its options, also those of its parts."""

    def options(parser: argparse.ArgumentParser) -> set[str]:
        found = {name for action in parser._actions for name in action.option_strings}
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found = found.union(*(options(each) for each in action.choices.values()))
        return found

    (commands,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {name: options(parser) for name, parser in commands.choices.items()}


def _texts(folder: Path) -> dict[str, str]:
    """The texts of every module: what is written in quotes, docstrings included."""
    texts = {}
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        texts[str(path.relative_to(ROOT))] = "\n".join(part for part in parts if isinstance(part, str))
    return texts


TEXTS = _texts(LIBRARY) | {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
OF_BENCHMARKS = set(_OPTION.findall("\n".join(_texts(ROOT / "validation").values())))


@pytest.mark.parametrize("where", TEXTS)
def test_every_option_and_command_that_is_named_exists(where):
    commands = _commands()
    known = set().union(*commands.values()) | {"--version"}
    if where.endswith(".md"):
        known |= OF_OTHERS | OF_BENCHMARKS
    assert set(_OPTION.findall(TEXTS[where])) <= known
    assert set(_COMMAND.findall(TEXTS[where])) <= set(commands)


@pytest.mark.parametrize("where", TEXTS)
def test_an_example_gives_a_command_its_own_options(where):
    commands = _commands()
    text = re.sub(r"\\\n\s*", " ", TEXTS[where])  # an example may go on in the next line
    for line in re.findall(r"^\s+(cbm [a-z].*)$", text, re.MULTILINE):
        name = line.split()[1]
        assert set(_OPTION.findall(line)) <= commands.get(name, set()), line


def test_every_command_and_every_part_of_one_runs_something():
    def leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
        parts = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        return [leaf for part in parts for each in part.choices.values() for leaf in leaves(each)] or [parser]

    idle = [leaf.prog for leaf in leaves(_parser()) if not callable(leaf.get_default("run"))]
    assert not idle

"""Commands that README, Docs and the helps show can be copied: they parse, and they name what exists."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from CorticalBoneMappingLib.cli import demo, demo_hip
from CorticalBoneMappingLib.cli.__main__ import _parser

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "Docs").rglob("*.md")])
README = ROOT / "README.md"
PLACEHOLDERS = {"DIR": "folder", "N": "2", "ADDRESS": "tcp://host:8786", "STUDY.toml": "study.toml"}
OUTPUTS = ("--out", "--picture")


def commands_in(text: str) -> list[str]:
    """Lines that begin with ``cbm``, without comments and explanations, continued lines in one."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = re.findall(r"^ +(cbm [^\n]+)", joined, flags=re.MULTILINE)
    return [re.split(r"\s+#|\s{2,}(?![-\"'])", line)[0] for line in lines]


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: one for action in actions for name, one in action.choices.items()}


def every_parser(parser: argparse.ArgumentParser, name: str = "cbm") -> dict[str, argparse.ArgumentParser]:
    found = {name: parser}
    for word, one in subcommands(parser).items():
        found |= every_parser(one, f"{name} {word}")
    return found


PARSERS = every_parser(_parser())
SHOWN = [
    (page.relative_to(ROOT).as_posix(), line)
    for page in PAGES
    for line in commands_in(page.read_text("utf-8"))
]
SHOWN += [(f"{name} --help", line) for name, one in PARSERS.items() for line in commands_in(one.epilog or "")]


@pytest.mark.parametrize(("where", "line"), [pytest.param(*one, id=": ".join(one)) for one in SHOWN])
def test_a_command_that_is_shown_parses(where, line, capsys):
    words = shlex.split(line.replace("[", "").replace("]", ""))[1:]
    try:
        _parser().parse_args([PLACEHOLDERS.get(word, word) for word in words])
    except SystemExit:
        pytest.fail(f"{where}: {line}\n{capsys.readouterr().err}")


def test_the_pages_show_commands():
    assert sum(where == "README.md" for where, _ in SHOWN) >= 10
    assert len(SHOWN) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_within_a_sentence_belong_to_their_command(page):
    for code in re.findall(r"`(cbm [^`]+)`", page.read_text("utf-8")):
        words = code.split()
        name = next(
            (" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in PARSERS),
            None,
        )
        assert name or words[1].startswith("-"), code
        options = set(re.findall(r"(?<!\S)\[?(--[a-z][a-z-]+)", code))
        assert options <= set(PARSERS[name or "cbm"]._option_string_actions), code


@pytest.mark.parametrize("name", [name for name in PARSERS if not subcommands(PARSERS[name])])
def test_every_command_takes_the_same_options_for_what_it_says(name):
    assert {"--progress", "--quiet"} <= set(PARSERS[name]._option_string_actions)


def test_the_commands_of_the_readme_can_be_run_in_their_order():
    """Every file that a command reads is one that a command before it wrote."""
    there: set[str] = set()
    for line in commands_in(README.read_text("utf-8")):
        words = shlex.split(line)
        written = {Path(words[n + 1]) for n, word in enumerate(words) if word in OUTPUTS}
        read = {Path(word) for word in words if "/" in word or "." in word} - written
        assert {path.parts[0] for path in read} <= there, line
        there |= {path.parts[0] for path in written}


def test_pages_of_the_demos_are_those_that_they_write():
    written = {f"demo/{demo._REPORT_FILE}", f"demo/{demo._QUALITY_FILE}", "demo_hip/index.html"}
    assert "index.html" in Path(demo_hip.__file__).read_text("utf-8")
    texts = [*(page.read_text("utf-8") for page in PAGES), *(one.format_help() for one in PARSERS.values())]
    texts.append((ROOT / "Makefile").read_text("utf-8"))
    named = {name for text in texts for name in re.findall(r"\bdemo(?:_hip)?/\w+\.html", text)}
    assert named == written


def test_what_is_installed_by_name_is_an_extra_and_what_is_made_is_a_target():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    for page in PAGES:
        text = page.read_text("utf-8")
        extras = re.findall(r"pip install \"?\.\[([\w,]+)\]", text)
        assert {name for names in extras for name in names.split(",")} <= set(
            project["optional-dependencies"]
        )
        assert set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets, page
    assert 'pip install ".[report]"' in README.read_text("utf-8")  # or its reports have no femur to turn

"""The page on the layout says what the source is, and the layout keeps its measures."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tools import layout_drawing, layout_picture
from tools.layout_picture import LIBRARY, PAGE, PICTURE, ROOT

MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path.name != "__init__.py")
FOLDERS = sorted({path.parent for path in LIBRARY.rglob("*.py")})
MOST_MODULES, FEWEST_LINES, MOST_LINES = 13, 30, 400


def shown(path: Path) -> str:
    return path.relative_to(LIBRARY.parent).as_posix()


def test_the_tables_of_the_page_are_those_that_the_source_gives_now():
    page = PAGE.read_text("utf-8")
    assert page == layout_picture.page_with_tables(page), "run python -m tools.layout_picture"


def test_the_picture_is_the_one_that_the_source_gives_now():
    picture = layout_picture.picture()
    assert PICTURE.read_text("utf-8") == picture, "run python -m tools.layout_picture"
    assert len(picture.encode()) < 60_000


def test_every_file_and_folder_that_the_page_names_exists():
    page = PAGE.read_text("utf-8")
    names = set(re.findall(r"`([\w/]+(?:/|\.py))`", page))
    assert sum(name.endswith(".py") for name in names) >= 24
    for name in names:
        places = [ROOT / name, LIBRARY / name, ROOT / "Testing" / name]
        assert any(place.exists() for place in places), name


def test_each_question_has_an_answer():
    page = PAGE.read_text("utf-8")
    questions = re.findall(r"^(\d+)\. \w", page, flags=re.MULTILINE)
    answers = re.findall(r"^\| (\d+) \| `[\w/]+\.py`", page, flags=re.MULTILINE)
    assert questions == answers == [str(n) for n in range(1, 25)]


@pytest.mark.parametrize("folder", FOLDERS, ids=shown)
def test_a_folder_has_few_modules_and_one_sentence_that_says_what_is_in_it(folder):
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES
    sentence = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
    assert sentence
    assert re.fullmatch(r"[^\n]+\.", sentence), "one line that ends with a full stop"
    assert not re.search(r"\.\s+[A-Z]", sentence), "one sentence"


@pytest.mark.parametrize("module", MODULES, ids=shown)
def test_a_module_is_neither_a_fragment_nor_too_long_to_read(module):
    lines = module.read_text("utf-8").count("\n")
    assert FEWEST_LINES <= lines <= MOST_LINES


def test_imports_are_counted_by_module_also_within_functions_and_by_either_form(tmp_path, monkeypatch):
    library = tmp_path / "Lib"
    for name, text in {
        "upper/a.py": "from ..lower.x import y\nfrom ..lower import z\n",
        "upper/inner/b.py": "def f():\n    from ...lower import x\n    from .. import a\n",
        "upper/c.py": "import Lib.lower.x\nimport os\nfrom Lib import lower\n",
        "upper/d.py": "from numpy import lower\nfrom .. import __version__\n",
        "lower/x.py": "",
    }.items():
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(text, "utf-8")
    monkeypatch.setattr(layout_picture, "LIBRARY", library)
    monkeypatch.setattr(layout_picture, "floors", lambda: [["upper"], ["lower"]])
    assert layout_picture.imports_between_rooms() == {("upper", "lower"): 3}


def test_a_room_that_no_floor_names_is_an_error(monkeypatch):
    monkeypatch.setattr(layout_picture, "floors", lambda: [["core"]])
    with pytest.raises(ValueError, match="do not name this room"):
        layout_picture.rooms()


def test_an_arrow_that_a_chain_implies_is_left_out():
    assert layout_drawing.arrows([("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")]) == [
        ("a", "b"),
        ("a", "d"),
        ("b", "c"),
    ]


def test_no_two_boxes_of_a_floor_overlap_and_no_arrow_runs_behind_a_box():
    floors, edges = layout_picture.floors(), layout_drawing.arrows(layout_picture.imports_between_rooms())
    place = layout_drawing.places(floors, edges)
    for floor in floors:
        columns = sorted(place[name][0] for name in floor)
        assert all(b - a >= 1 for a, b in pairwise(columns))
    assert not layout_drawing.hidden_arrows(place, edges)

"""The page 'Use it from Python' is one script that runs from its first block to its last."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import CorticalBoneMappingLib as cbm

PAGE = Path(__file__).parents[3] / "Docs" / "python.md"


def blocks() -> list[str]:
    """Return the blocks of Python in their order, each at its own lines of the page for a traceback."""
    text = PAGE.read_text("utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return ["\n" * text.count("\n", 0, block.start(1)) + block[1] for block in found]


def test_every_block_runs_in_order_and_finds_what_was_put_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "python_page"}
    for block in blocks():
        exec(compile(block, str(PAGE), "exec"), names)
    assert {"provenance.json", "average_femur.vtp"} <= {
        path.name for path in (tmp_path / "P01_left").iterdir()
    }
    assert all((tmp_path / picture).stat().st_size > 10_000 for picture in ("thickness.png", "effect.png"))
    thickness = names["bone"].arrays["cortical_thickness"]
    assert 1.0 < np.nanmedian(thickness) < 5.0
    inside = names["average"].region == 7
    assert names["test"].significant[inside].mean() > 0.5
    assert names["test"].significant[~inside].mean() < 0.05


def test_the_page_names_all_that_the_library_offers_and_nothing_else():
    text = PAGE.read_text("utf-8")
    table = text[text.index("| step") : text.index("`help(")]
    assert set(re.findall(r"`(\w+)`", table)) == set(cbm.__all__) - {"__version__"}
    assert set(re.findall(r"\bcbm\.(\w+)", text)) <= set(cbm.__all__)

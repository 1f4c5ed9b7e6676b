"""Labels of Slicer's panels that README and Docs name exist, letter by letter; read without Slicer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from CorticalBoneMappingLib.core.measures import MEASURES
from CorticalBoneMappingLib.pipeline.find.verdict import FAILED, GOOD, LOOK
from CorticalBoneMappingLib.study.analysis.shown import VIEWS

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "Docs").rglob("*.md"))]
MODULES = ("CorticalBoneMapping", "CorticalBoneStatistics")
UI_FILES = [ROOT / name / "Resources" / "UI" / f"{name}.ui" for name in MODULES]
SOURCES = [
    *(ROOT / name / f"{name}.py" for name in MODULES),
    *(ROOT / "CorticalBoneMapping" / "CorticalBoneMappingLib" / "slicer").rglob("*.py"),
]
OF_SLICER = {
    "File › Download Sample Data",
    "File › Download Sample Data › SimulatedHip",
    "Extensions Manager",
    "Edit › Application Settings › Modules",
    "Additional module paths",
    "Quantification",
    "Segment Editor",
    "Paint",
    "Erase",
    "Islands › Keep largest island",
    "Smoothing",
}
"""Labels of Slicer itself."""

EMPHASISED = {"From source"}
"""Marked words that are not labels."""

_TITLED = re.compile(r"^#+ .*\bSlicer\b|\*\*Cortical Bone (Mapping|Statistics)\*\*", re.MULTILINE)
_WITHOUT = re.compile(r"^#+ .*\bwithout Slicer\b", re.IGNORECASE)
_MARKED = re.compile(r"(?<![*\w])(\*{1,2})(?![\s*])(.+?)(?<![\s*])\1(?![*\w])", re.DOTALL)


def labels_in_ui() -> Iterator[str]:
    """Texts of the widgets, without the colon of a form's label."""
    for path in UI_FILES:
        for tag in ElementTree.parse(path).iter("property"):
            if tag.get("name") in ("text", "specialValueText"):
                yield (tag.findtext("string") or "").removesuffix(":")


def labels_in_sources() -> Iterator[str]:
    """Translated texts, labels of choices, and names that Slicer shows."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_":
                yield from texts_in(node.args)
            elif isinstance(node, ast.keyword) and node.arg == "sampleName":
                yield from texts_in([node.value])
            elif isinstance(node, ast.ClassDef):
                values = (one.value for one in node.body if isinstance(one, ast.Assign))
                yield from texts_in([value.elts[1] for value in values if isinstance(value, ast.Tuple)])
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").endswith("_TITLE"):
                yield from texts_in([node.value])
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SEGMENT_NAMES":
                yield from texts_in(node.value.values)


def texts_in(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def labels_named_in(page: Path) -> Iterator[str]:
    """Words in italics or bold, in the sections about Slicer; sentences in bold are not labels."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^ {4}.*$|`[^`\n]*`", "", text, flags=re.MULTILINE)
    for section in re.split(r"^(?=#)", text, flags=re.MULTILINE):
        if _TITLED.search(section) and not _WITHOUT.search(section):
            for _stars, marked in _MARKED.findall(section):
                if not marked.endswith((".", ":", "!", "?")):
                    yield " ".join(marked.split())


LABELS = {
    *labels_in_ui(),
    *labels_in_sources(),
    *(measure.label for measure in MEASURES.values()),
    *VIEWS.values(),
    *(GOOD, LOOK, FAILED),
}
NAMED = [(page.relative_to(ROOT).as_posix(), label) for page in PAGES for label in labels_named_in(page)]


@pytest.mark.parametrize(("page", "label"), sorted(set(NAMED)))
def test_a_label_that_a_page_names_exists(page, label):
    assert label in LABELS | OF_SLICER | EMPHASISED, f"{page}: no panel has '{label}'"


def test_pages_name_labels_of_both_panels():
    """If no page were found, or no section, the test above would pass without a check."""
    assert {"Apply", "Find the femurs", "Map all femurs", "Cases of the study"} <= {
        label for _, label in NAMED
    }


def test_labels_are_compared_letter_by_letter():
    assert {"Result", "Femur", "Vertex status", "Registered average femur", "Right femur"} <= LABELS
    assert not {"Results", "femur", "rods", "none"} & LABELS

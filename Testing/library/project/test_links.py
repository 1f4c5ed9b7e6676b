"""Every relative link of the pages leads to a file, and every anchor to a heading, that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "Docs").rglob("*.md")])

_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]*`")
# [text](target), ![text](target), also with the target in <> or a title; the text may have several lines.
_INLINE = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
_HTML = re.compile(r"(?:href|src)=[\"']([^\"']+)[\"']")
_ANOTHER_PLACE = re.compile(r"[a-z][a-z+.-]*:|//", re.IGNORECASE)


def links_in(text: str) -> Iterator[str]:
    """Targets of the links and pictures of a page, without those in code and those on the network."""
    text = _INLINE_CODE.sub("`code`", _FENCED.sub("", text))
    for pattern in (_INLINE, _REFERENCE, _HTML):
        for target in pattern.findall(text):
            if not _ANOTHER_PLACE.match(target):
                yield target


def anchors_in(text: str) -> set[str]:
    """Anchors that GitHub gives to the headings of a page: lower case, hyphens for spaces, few signs."""
    anchors: set[str] = set()
    for heading in re.findall(r"^ {0,3}#{1,6}\s+(.+?)\s*#*$", _FENCED.sub("", text), re.MULTILINE):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        count = sum(re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in anchors)
        anchors.add(f"{name}-{count}" if name in anchors else name)
    return anchors | set(re.findall(r"<a (?:id|name)=[\"']([^\"']+)[\"']", text))


def dead_links(page: Path, root: Path = ROOT) -> list[str]:
    """Links of a page that lead nowhere, each with the reason."""
    dead = []
    for link in links_in(page.read_text("utf-8")):
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_relative_to(root):
            dead.append(f"{link}: outside the repository")
        elif not target.exists():
            dead.append(f"{link}: no such file")
        elif anchor and (target.suffix != ".md" or anchor not in anchors_in(target.read_text("utf-8"))):
            dead.append(f"{link}: no such heading")
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page):
    assert dead_links(page) == []


def test_every_page_of_the_docs_is_reached_from_the_readme():
    reached, next_pages = set(), [ROOT / "README.md"]
    while next_pages:
        page = next_pages.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in links_in(page.read_text("utf-8")):
            target = (page.parent / unquote(link).partition("#")[0]).resolve()
            if target.is_dir():  # a link to a folder shows all its pages
                next_pages += target.glob("*.md")
            elif target.suffix == ".md" and target.exists():
                next_pages.append(target)
    assert set(PAGES) - reached == set()


def test_anchors_are_those_of_github():
    text = (
        "# A (b), `c`!\n\n## Finding the femur: the first edge\n\n## Use it\n\n## Use it\n\n```\n# no\n```\n"
    )
    assert anchors_in(text) == {
        "a-b-c",
        "finding-the-femur-the-first-edge",
        "use-it",
        "use-it-1",
    }


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# Here\n", "utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n\n[a](other.md#here) [b](#top) [c](https://x.org/y) `[d](code.md)`\n\n"
        '[e](gone.md)\n[a text over\ntwo lines](other.md#there "title")\n[f](../above.md)\n\n'
        '[g]: also_gone.md\n<img src="picture.png">\n',
        "utf-8",
    )
    assert dead_links(page, tmp_path) == [
        "gone.md: no such file",
        "other.md#there: no such heading",
        "../above.md: outside the repository",
        "also_gone.md: no such file",
        "picture.png: no such file",
    ]

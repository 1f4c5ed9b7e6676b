"""A page of text, pictures and tables as one HTML file that needs nothing but its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ...io.files import generator_tag, refuse_another_page, write_text

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #212124; max-width: 1100px; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; }
figcaption, caption { color: #55555a; font-size: 0.9rem; text-align: left; padding: 0.4rem 0; }
table { border-collapse: collapse; margin: 1.5rem 0; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; }
th, td { padding: 0.25rem 0.9rem; text-align: right; border-bottom: 1px solid #dcdce0; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #88888e; }
"""


@dataclass(frozen=True)
class Heading:
    """A heading within the page."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Figure:
    """A picture, by its name relative to the page; the caption also serves who cannot see it."""

    file: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Cells as text, row by row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str


Part = Heading | Paragraph | Figure | Table


def write_page(path: str | Path, title: str, parts: Sequence[Part]) -> None:
    """Write a page, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Ends in ``.html``; figures stand beside it.
    title : str
        Title and first heading.
    parts : sequence of Heading, Paragraph, Figure or Table
        What stands on the page, from above. All text is escaped.
    """
    refuse_another_page(Path(path))
    body = "\n".join(_html(part) for part in parts)
    write_text(
        path,
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{generator_tag()}\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n",
    )


def _html(part: Part) -> str:
    match part:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Figure(file, caption):
            image = f'<img src="{escape(file)}" alt="{escape(caption)}">'
            return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"
        case Table(header, rows, caption):
            head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
            body = "\n".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
            return (
                f"<table><caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
                f"<tbody>\n{body}\n</tbody></table>"
            )

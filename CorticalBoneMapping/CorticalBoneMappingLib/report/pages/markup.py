"""HTML that is safe by the way it is made: every string is text and is escaped, unless it was made here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...io.files import generator_tag, refuse_another_page, write_text

_EMPTY = frozenset({"img", "br", "meta", "input", "hr"})
# Characters that could end a script, and the line ends that JSON allows and JavaScript once did not.
_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class Html(str):
    """Markup. Any other string is text, and is escaped where it is put into markup."""

    __slots__ = ()


def element(name: str, /, *content: str | None, **attributes: str | int | bool | None) -> Html:
    """Make an element.

    Parameters
    ----------
    name : str
        Of the tag.
    *content : str
        Its content; text is escaped, `Html` is not, None is left out.
    **attributes : str, int or bool
        ``class_`` is ``class``, and ``data_x`` is ``data-x``. True gives the name alone; False and None are
        left out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def join(parts: Iterable[str | None], between: str = "") -> Html:
    """Put texts and markup one after the other."""
    return Html(between.join(_markup(part) for part in parts if part is not None))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str, **attributes: str) -> Html:
    """Make a table; the first column names the row."""
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:]))
        for row in rows
    ]
    made = element("table", element("thead", head), element("tbody", join(body, "\n")), **attributes)
    return element("figure", element("div", made, class_="wide"), element("figcaption", caption))


def picture(png: bytes, caption: str, kind: str = "png") -> Html:
    """Make a figure that holds its picture; the caption also serves who cannot see it."""
    image = element("img", src=data_address(png, f"image/{kind}"), alt=caption)
    return element("figure", image, element("figcaption", caption))


def data_address(content: bytes, kind: str) -> str:
    """Write bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def json_block(identifier: str, content: Any) -> Html:
    """Put data into a page for its scripts to read; no text in it can end the block."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, written in _IN_SCRIPT.items():
        text = text.replace(character, written)
    return Html(f'<script type="application/json" id="{escape(identifier)}">{text}</script>')


def shipped(name: str) -> str:
    """Read a style or script that ships with the library."""
    return files(__package__).joinpath("data", name).read_text(encoding="utf-8")


def write_document(
    path: str | Path,
    title: str,
    body: Html,
    *,
    style: str,
    scripts: Sequence[str] = (),
    held: Mapping[str, str] | None = None,
) -> None:
    """Write a page that needs no other file and can ask for none, whole or not at all.

    A content security policy forbids every request, and every script but those given, so that even a text
    that was not escaped could not run.

    Parameters
    ----------
    path : str or Path
        Ends in ``.html``.
    title : str
        Of the window.
    body : Html
        The content of the page.
    style : str
        CSS.
    scripts : sequence of str
        JavaScript; runs in this order when the page is there.
    held : mapping of str to str, optional
        JavaScript by the name of its element, kept as text until a script of the page runs it.
    """
    refuse_another_page(Path(path))
    # A browser reads every line end as a line feed before it compares hashes.
    scripts = [_with_line_feeds(script) for script in scripts]
    held = {name: _with_line_feeds(script) for name, script in (held or {}).items()}
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in [*scripts, *held.values()]) or "'none'"
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "form-action 'none'; base-uri 'none'"
    )
    head = join(
        [
            element("meta", charset="utf-8"),
            Html(generator_tag()),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", title),
            element("style", Html(style)),
        ],
        "\n",
    )
    kept = [
        Html(f'<script type="text/plain" id="{escape(name)}">{script}</script>')
        for name, script in held.items()
    ]
    running = join([*kept, *(Html(f"<script>{script}</script>") for script in scripts)], "\n")
    page = f"<head>\n{head}\n</head>\n<body>\n{body}\n{running}\n</body>"
    write_text(path, f'<!doctype html>\n<html lang="en">\n{page}\n</html>\n')


def _markup(part: str) -> str:
    return part if isinstance(part, Html) else escape(part)


def _attribute(key: str, value: str | int | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _with_line_feeds(script: str) -> str:
    return script.replace("\r\n", "\n").replace("\r", "\n")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")

"""Draw rooms in floors with arrows that no others imply, and the table of who imports from whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise, permutations, product

WIDTH = 860
_MARGIN, _FLOOR_LEFT = 24, 64
_BOX_WIDTH, _BOX_HEIGHT, _FLOOR_HEIGHT = 122, 40, 70
_CELL_WIDTH, _CELL_HEIGHT, _NAMES_WIDTH, _HEADER = 42, 23, 132, 92
_FLOORS_TOP, _TITLE = 64, 74

_INK, _SOFT, _BAND, _BLUE, _ARROW = "#1a1a1a", "#555555", "#f3f4f6", "#08519c", "#4d6a86"
_SHADES = (
    "#deebf7",
    "#9ecae1",
    "#4292c6",
    "#08519c",
)  # ColorBrewer's blues: one hue, which differ in lightness
_STEPS = (1, 4, 10, 25)
_STYLE = f"text{{font-family:Helvetica,Arial,'Liberation Sans',sans-serif;font-size:14px;fill:{_INK}}}"

# The arrows' shape, as fractions of the way across and down: cubic, leaving and arriving straight down.
_CURVE = tuple((3 * t * t - 2 * t**3, 1.5 * t - 1.5 * t * t + t**3) for t in (n / 24 for n in range(25)))
_NEAR_X, _NEAR_Y = 0.5, 0.4

Edges = Sequence[tuple[str, str]]


def draw_layout(
    floors: Sequence[Sequence[str]],
    modules: Mapping[str, int],
    imports: Mapping[tuple[str, str], int],
) -> str:
    """Draw the library's rooms.

    Parameters
    ----------
    floors : sequence of sequence of str
        Names of the rooms on each floor, top floor first.
    modules : mapping of str to int
        Number of modules in each room.
    imports : mapping of (str, str) to int
        Number of modules of the first room that import from the second.

    Returns
    -------
    str
        An SVG document.
    """
    edges = arrows(imports)
    bottom = _FLOORS_TOP + _FLOOR_HEIGHT * len(floors)
    names = [name for floor in floors for name in floor]
    height = bottom + _TITLE + _HEADER + _CELL_HEIGHT * len(names) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title">',
        '<title id="title">Rooms of the library in floors, and the imports between them</title>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        f'orient="auto"><path d="M0 1L10 5L0 9z" fill="{_ARROW}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _heading(
            32,
            "The rooms, floor by floor",
            "An arrow means: imports from. An arrow that a chain of others implies is left out.",
        ),
        *_house(floors, modules, edges),
        _heading(
            bottom + 44,
            "Who imports from whom",
            "Number of modules in the room at the left that import from the room above.",
        ),
        *_matrix(floors, imports, bottom + _TITLE),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def arrows(imports: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out each import that a chain of others implies (transitive reduction of a graph without circles).

    Parameters
    ----------
    imports : iterable of (str, str)
        Who imports from whom.

    Returns
    -------
    list of (str, str)
        Sorted.
    """
    below: dict[str, set[str]] = {}
    for upper, lower in imports:
        below.setdefault(upper, set()).add(lower)

    def reach(name: str) -> set[str]:
        return {name}.union(*(reach(one) for one in below.get(name, ())))

    reached = {name: reach(name) for name in {name for edge in imports for name in edge}}
    return sorted(
        (upper, lower)
        for upper, lowers in below.items()
        for lower in lowers
        if not any(lower in reached[other] for other in lowers - {lower})
    )


def places(floors: Sequence[Sequence[str]], edges: Edges) -> dict[str, tuple[float, int]]:
    """Place the rooms so that arrows are short, cross seldom, and run behind no box.

    Parameters
    ----------
    floors : sequence of sequence of str
        Names of the rooms on each floor, top floor first.
    edges : sequence of (str, str)
        Arrows, from an upper room to a lower one.

    Returns
    -------
    dict of str to (float, int)
        Column (in widths of a box) and floor of each room. Floors are placed two by two, each pair at its
        best place with the others kept, until nothing changes.
    """
    columns = max(len(floor) for floor in floors)
    spots = [n / 2 for n in range(2 * columns - 1)]
    return _settled(floors, edges, spots)


def _settled(
    floors: Sequence[Sequence[str]], edges: Edges, spots: Sequence[float]
) -> dict[str, tuple[float, int]]:
    """Places found from the start with every floor in the middle."""
    columns = (len(spots) + 1) // 2
    place = {
        name: (n + (columns - len(floor)) / 2, row)
        for row, floor in enumerate(floors)
        for n, name in enumerate(floor)
    }
    best, changed = _cost(place, edges), True
    while changed:
        changed = False
        for row in range(len(floors) - 1):
            pair = [(name, row + k) for k in (0, 1) for name in floors[row + k]]
            spreads = [_spreads(len(floor), spots) for floor in floors[row : row + 2]]
            for upper, lower in product(*spreads):
                tried = place | {name: (x, y) for (name, y), x in zip(pair, (*upper, *lower))}
                if (cost := _cost(tried, edges)) < best:
                    place, best, changed = tried, cost, True
    return place


def hidden_arrows(place: Mapping[str, tuple[float, int]], edges: Edges) -> list[tuple[str, str, str]]:
    """List where an arrow runs behind a box: its upper room, its lower room, and the room that hides it.

    Parameters
    ----------
    place : mapping of str to (float, int)
        Column and floor of each room.
    edges : sequence of (str, str)
        Arrows.

    Returns
    -------
    list of (str, str, str)
    """
    hidden = []
    for upper, lower in edges:
        (x1, y1), (x2, y2) = place[upper], place[lower]
        between = [(name, x, y) for name, (x, y) in place.items() if y1 < y < y2] if y2 - y1 > 1 else []
        curve = [(x1 + (x2 - x1) * across, y1 + (y2 - y1) * down) for across, down in _CURVE]
        hidden += [
            (upper, lower, name)
            for name, x, y in between
            if any(abs(x - a) < _NEAR_X and abs(y - b) < _NEAR_Y for a, b in curve)
        ]
    return hidden


def _spreads(number: int, spots: Sequence[float]) -> Iterable[tuple[float, ...]]:
    if 2 * number > len(spots):
        return permutations(range(number))
    return (one for one in product(spots, repeat=number) if _apart(one))


def _apart(xs: tuple[float, ...]) -> bool:
    ordered = sorted(xs)
    return all(b - a >= 1.0 for a, b in pairwise(ordered))


def _cost(place: Mapping[str, tuple[float, int]], edges: Edges) -> float:
    """Length of the arrows, with a price for each crossing and a higher one for each box that is crossed."""
    lines = [(*place[upper], *place[lower], {upper, lower}) for upper, lower in edges]
    cost = 20.0 * len(hidden_arrows(place, edges))
    for n, (x1, y1, x2, y2, ends) in enumerate(lines):
        cost += abs(x2 - x1) + (x2 - x1) ** 2 / (y2 - y1)
        for a1, b1, a2, b2, others in lines[:n]:
            top, end = max(y1, b1), min(y2, b2)
            if top < end and not ends & others:
                gaps = [
                    x1 + (x2 - x1) * (y - y1) / (y2 - y1) - a1 - (a2 - a1) * (y - b1) / (b2 - b1)
                    for y in (top, end)
                ]
                cost += 4.0 * (gaps[0] * gaps[1] <= 0)
    return cost


def _house(floors: Sequence[Sequence[str]], modules: Mapping[str, int], edges: Edges) -> list[str]:
    place = places(floors, edges)
    columns = max(len(floor) for floor in floors)
    pitch = (WIDTH - _MARGIN - _FLOOR_LEFT - _BOX_WIDTH - 12) / (columns - 1) if columns > 1 else 0.0
    bands, lines, boxes = [], [], []
    for row in range(len(floors)):
        y = _FLOORS_TOP + row * _FLOOR_HEIGHT
        bands.append(
            f'<rect x="{_MARGIN}" y="{y}" width="{WIDTH - 2 * _MARGIN}" '
            f'height="{_BOX_HEIGHT + 10}" rx="4" fill="{_BAND}"/>'
            + _text(_MARGIN + 16, y + 31, str(len(floors) - 1 - row), anchor="middle", fill=_SOFT)
        )
    centre = {}
    for name, (x, row) in place.items():
        left, y = _FLOOR_LEFT + x * pitch, _FLOORS_TOP + row * _FLOOR_HEIGHT + 5
        centre[name] = (left + _BOX_WIDTH / 2, y)
        boxes.append(
            f'<rect x="{left:.1f}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="5" fill="#ffffff" '
            f'stroke="{_BLUE}" stroke-width="1.6"/>'
            + _text(left + _BOX_WIDTH / 2, y + 19, name, anchor="middle", weight="bold")
            + _text(
                left + _BOX_WIDTH / 2,
                y + 35,
                f"{modules[name]} modules",
                anchor="middle",
                fill=_SOFT,
                size=12,
            )
        )
    for upper, lower in edges:
        (x1, y1), (x2, y2) = _ends(centre, edges, upper, lower)
        middle = (y1 + y2 - 9) / 2
        lines.append(
            f'<path d="M{x1:.1f} {y1}C{x1:.1f} {middle:g} {x2:.1f} {middle:g} {x2:.1f} {y2 - 9}V{y2}" '
            f'fill="none" stroke="{_ARROW}" stroke-width="1.6" marker-end="url(#head)"/>'
        )
    return bands + lines + boxes


def _ends(
    centre: Mapping[str, tuple[float, int]], edges: Edges, upper: str, lower: str
) -> tuple[tuple[float, int], tuple[float, int]]:
    """Ends of an arrow: those on one side of a box are spread along it, in the order of their other ends."""

    def spread(own: str, others: list[str], other: str) -> float:
        ordered = sorted(others, key=lambda one: (centre[one][0], one))
        step = min(18.0, (_BOX_WIDTH - 30) / max(len(ordered) - 1, 1))
        return centre[own][0] + (ordered.index(other) - (len(ordered) - 1) / 2) * step

    x1 = spread(upper, [low for up, low in edges if up == upper], lower)
    x2 = spread(lower, [up for up, low in edges if low == lower], upper)
    return (x1, centre[upper][1] + _BOX_HEIGHT), (x2, centre[lower][1])


def _matrix(floors: Sequence[Sequence[str]], imports: Mapping[tuple[str, str], int], top: int) -> list[str]:
    names = [name for floor in floors for name in floor]
    left, first = _MARGIN + _NAMES_WIDTH, top + _HEADER
    parts = []
    for n, name in enumerate(names):
        x, y = left + n * _CELL_WIDTH, first + n * _CELL_HEIGHT
        if n % 2 == 0:
            parts.append(
                f'<rect x="{_MARGIN}" y="{y}" width="{_NAMES_WIDTH + _CELL_WIDTH * len(names)}" '
                f'height="{_CELL_HEIGHT}" fill="{_BAND}"/>'
            )
        parts.append(_text(left - 10, y + 17, name, anchor="end"))
        parts.append(_text(0, 0, name, move=f"translate({x + 24} {first - 8}) rotate(-50)"))
        parts.append(f'<rect x="{x + 16}" y="{y + 7}" width="10" height="10" fill="#c4c9cf"/>')
        for m, lower in enumerate(names):
            if count := imports.get((name, lower), 0):
                shade = sum(count >= step for step in _STEPS) - 1
                cell_x = left + m * _CELL_WIDTH
                parts.append(
                    f'<rect x="{cell_x + 2}" y="{y + 2}" width="{_CELL_WIDTH - 4}" '
                    f'height="{_CELL_HEIGHT - 4}" rx="3" fill="{_SHADES[shade]}"/>'
                    + _text(
                        cell_x + _CELL_WIDTH / 2,
                        y + 17,
                        str(count),
                        anchor="middle",
                        fill="#ffffff" if shade == 3 else _INK,
                    )
                )
    return parts


def _heading(y: int, title: str, explanation: str) -> str:
    return _text(_MARGIN, y, title, weight="bold", size=17) + _text(
        _MARGIN, y + 20, explanation, fill=_SOFT, size=13
    )


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "start",
    weight: str = "",
    fill: str = "",
    size: int = 0,
    move: str = "",
) -> str:
    attributes = f' text-anchor="{anchor}"' if anchor != "start" else ""
    attributes += f' transform="{move}"' if move else f' x="{x:g}" y="{y:g}"'
    style = ";".join(
        f"{key}:{value}"
        for key, value in (
            ("font-weight", weight),
            ("fill", fill),
            ("font-size", f"{size}px" if size else ""),
        )
        if value
    )
    attributes += f' style="{style}"' if style else ""
    return f"<text{attributes}>{escape(text)}</text>"

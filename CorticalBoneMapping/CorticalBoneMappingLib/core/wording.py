"""Words and numbers as people read them: counts with their nouns, lists, decimals, units."""

from __future__ import annotations

import math


def noun(count: int, one: str, many: str | None = None) -> str:
    """Give a noun in the number that goes with a count."""
    return one if count == 1 else many or one + "s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: ``1 femur``, ``2 femurs``.

    Examples
    --------
    >>> counted(1, "femur"), counted(2, "femur"), counted(3, "body", "bodies")
    ('1 femur', '2 femurs', '3 bodies')
    """
    return f"{number(count, 0)} {noun(count, one, many)}"


MISSING = "–"
_HUGE = 1e9


def number(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Write a number; a dash where there is none.

    Parameters
    ----------
    value : float or None
        What to write.
    decimals : int
        After the point.
    signed : bool
        Write a plus sign as well.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= _HUGE:  # a fault upstream: to be seen, not to burst the table
        return f"{value:.1e}".replace("-", "\u2212")
    value = round(value, decimals) + 0.0  # adding 0 turns −0.0 into 0.0
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    return text.replace("-", "\u2212").replace(",", "\u202f")


def bounds_text(low: float, high: float, decimals: int = 2) -> str:
    """Write two bounds; where only one is there, the interval is open to the other side."""
    known = math.isfinite(low), math.isfinite(high)
    if known == (True, True):
        return f"{number(low, decimals)} to {number(high, decimals)}"
    if known == (False, False):
        return MISSING
    return f"from {number(low, decimals)}" if known[0] else f"up to {number(high, decimals)}"


def p_value_text(p: float | None) -> str:
    """Write a p-value: two digits or three that count, never 0.

    Examples
    --------
    >>> p_value_text(0.0312), p_value_text(2e-7), p_value_text(None)
    ('0.031', '< 0.0001', '–')
    """
    if p is None or not math.isfinite(p):
        return MISSING
    if p < 1e-4:
        return "< 0.0001"
    return f"{p:.{4 if p < 0.001 else 3 if p < 0.1 else 2}f}"


def decimals_of(values: list[float]) -> int:
    """Choose decimals so that the median of the values has three digits."""
    sizes = sorted(abs(value) for value in values if math.isfinite(value) and value != 0)
    if not sizes:
        return 2
    return min(6, max(0, 2 - math.floor(math.log10(sizes[len(sizes) // 2]))))


def sentence_list(items: list[str]) -> str:
    """Write a list as a sentence has it: ``a, b and c``.

    Examples
    --------
    >>> sentence_list(["thickness", "density", "mass"])
    'thickness, density and mass'
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""

"""Words that depend on numbers."""

from __future__ import annotations


def noun(count: int, one: str, many: str | None = None) -> str:
    """Give a noun in the number that goes with a count."""
    return one if count == 1 else many or one + "s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: ``1 femur``, ``2 femurs``."""
    return f"{count} {noun(count, one, many)}"

"""The side of the body: left or right, checked in one place."""

from __future__ import annotations

from typing import Literal, get_args

from .errors import SettingError

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = get_args(Side)


def check_side(side: str) -> None:
    """Refuse anything but left and right.

    Parameters
    ----------
    side : str
        As a user or a table gave it.

    Raises
    ------
    SettingError
        Names the value.

    Examples
    --------
    >>> check_side("left")
    >>> check_side("both")
    Traceback (most recent call last):
    CorticalBoneMappingLib.core.errors.SettingError: The side is 'left' or 'right', not 'both'.
    """
    if side not in SIDES:
        raise SettingError(f"The side is 'left' or 'right', not '{side}'.")

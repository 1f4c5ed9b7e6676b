"""A subject's surface as people bring it, made fit for registration; what was wrong with it is reported."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import RegistrationError, SurfaceError
from ..surface import Surface
from ..surface_repair import Repaired, repaired
from .cut_ends import CUT_END, cut_end_of

_LEAST_POINTS = 500


@dataclass(frozen=True)
class Prepared:
    """A surface made fit for registration.

    Attributes
    ----------
    given : Surface
        The subject's vertices and arrays as they came, its triangles looking outward.
    closed : Surface
        One closed piece, holes filled, with ``cut_end`` on cut ends, on fillings and at their borders.
    remarks : tuple of str
        What was repaired.
    """

    given: Surface
    closed: Surface
    remarks: tuple[str, ...]


def prepare(surface: Surface) -> Prepared:
    """Repair what can be repaired, and refuse the rest in words.

    Parameters
    ----------
    surface : Surface
        Of the subject, RAS mm.

    Returns
    -------
    Prepared

    Raises
    ------
    RegistrationError
        If it has too few points, points that are not finite, or is too open or too tangled.
    """
    if len(surface.points) < _LEAST_POINTS:
        raise RegistrationError(
            f"The surface has only {len(surface.points)} points; a femur needs at least {_LEAST_POINTS}."
        )
    try:
        found = repaired(surface)
    except SurfaceError as error:
        raise RegistrationError(str(error)) from error
    holes = "a hole" if found.n_holes == 1 else f"{found.n_holes} holes"
    told = [f"The surface has {holes}; the average femur has no counterpart there."] if found.n_holes else []
    return Prepared(found.given, _marked(surface, found), (*found.remarks, *told))


def _marked(surface: Surface, found: Repaired) -> Surface:
    """The closed surface without unused vertices, its cut ends and fillings marked."""
    n, bare = len(surface.points), found.closed
    used = np.unique(found.filled.triangles)
    if CUT_END in surface.arrays:
        given = np.asarray(surface.arrays[CUT_END]) == 1
        cut = np.concatenate([given, np.ones(len(found.borders), dtype=bool)])[used]
    else:
        cut = cut_end_of(bare)
    cut |= used >= n
    for edges in found.borders:
        cut |= np.isin(used, edges)
    return replace(bare, arrays={CUT_END: cut.astype(np.uint8)})

"""The average femur with all that depends on it alone, worked out once for many femurs.

A subject's surface as people bring it, made fit for registration; what was wrong with it is reported.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from ..core.errors import RegistrationError, SurfaceError
from ..core.surface import Surface
from ..mesh.shape_model import ShapeModel
from ..mesh.surface_repair import Repaired, repaired
from .cut_ends import CUT_END, cut_end_of, thinned, with_cut_ends
from .deformation import N_SAMPLES, Bendable
from .pairs import Sample
from .pose import Clouds
from .prior import prior_of

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
    warnings : tuple of str
        What was repaired.
    """

    given: Surface
    closed: Surface
    warnings: tuple[str, ...]


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
    return Prepared(found.given, _marked(surface, found), (*found.warnings, *told))


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


_N_JUDGED = 700  # vertices whose error is foretold; the others' lies between those of their neighbours
_WIDE = 2  # of the widths of bumps: finer ones would make a bone of its mirror image


@dataclass(frozen=True)
class Template:
    """The average, ready to be laid on femurs.

    Attributes
    ----------
    surface : Surface
        The bare average with ``cut_end``; n vertices.
    bendable : Bendable
        What it may become.
    widely_bendable : Bendable
        The same by wide bumps only, without a shape model.
    clouds : Clouds
        For the search of the pose.
    judged : ndarray of shape (m,)
        Evenly spread vertices.
    near, share : ndarray of shape (n, 3)
        For each vertex three of `judged` near it, and weights that sum to 1.
    """

    surface: Surface
    bendable: Bendable
    widely_bendable: Bendable
    clouds: Clouds
    judged: np.ndarray
    near: np.ndarray
    share: np.ndarray

    def between_judged(self, values: np.ndarray) -> np.ndarray:
        """Give every vertex the weighted mean of values at `judged`, shape (n,)."""
        return (values[self.near] * self.share).sum(axis=1)


def template_of(average: Surface, shape_model: ShapeModel | None, flexibility: float) -> Template:
    """Make the template, or give the one that was made from the same average before.

    Parameters
    ----------
    average : Surface
        The average femur, a right one.
    shape_model : ShapeModel, optional
        On its mesh.
    flexibility : float
        Multiplies the bumps.

    Returns
    -------
    Template
    """
    parts = [
        average.points,
        average.triangles,
        average.arrays.get(CUT_END, np.empty(0)),
        np.array(flexibility),
    ]
    if shape_model is not None:
        parts += [shape_model.modes, np.array(shape_model.people)]
    content = hashlib.blake2b()
    for part in parts:
        content.update(f"{part.shape}{part.dtype}".encode() + np.ascontiguousarray(part).tobytes())
    return _made(_Ingredients(content.digest(), average, shape_model, flexibility))


@dataclass(frozen=True)
class _Ingredients:
    """Two are equal if their content is."""

    content: bytes
    average: Surface = field(compare=False)
    shape_model: ShapeModel | None = field(compare=False)
    flexibility: float = field(compare=False)


@lru_cache(maxsize=4)
def _made(given: _Ingredients) -> Template:
    surface = with_cut_ends(given.average)
    sample = Sample.of(surface, N_SAMPLES)
    judged = thinned(surface.points, np.sqrt(surface.point_areas.sum() / _N_JUDGED))
    distance, near = cKDTree(surface.points[judged]).query(surface.points, k=3)
    closeness = 1.0 / (distance + 1.0)
    return Template(
        surface,
        Bendable(surface, prior_of(surface.points, given.shape_model, given.flexibility), sample),
        Bendable(surface, prior_of(surface.points, None, 1.0).with_widths(_WIDE), sample),
        Clouds.of(surface),
        judged,
        near,
        closeness / closeness.sum(axis=1, keepdims=True),
    )

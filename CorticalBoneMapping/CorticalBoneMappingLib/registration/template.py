"""What registration starts from: the template, worked out once for many femurs, and the repaired subject."""

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
from .cut_ends import CUT_END_ARRAY, cut_end_of, thinned, with_cut_ends
from .deformation import N_SAMPLES, DeformableTemplate
from .pairs import Sample
from .pose import Clouds
from .prior import prior_of

_LEAST_POINTS = 500  # chosen by hand; not tuned
_N_ERROR_VERTICES = (
    700  # where the expected error is computed; the others are interpolated. By hand; not tuned
)
_WIDE = 2  # of the widths of the local basis: finer ones would make a bone of its mirror image


@dataclass(frozen=True)
class Template:
    """The average femur, ready to be registered to subjects.

    Attributes
    ----------
    surface : Surface
        The bare average with ``cut_end``; n vertices.
    deformable : DeformableTemplate
        With the prior of its deformation.
    coarsely_deformable : DeformableTemplate
        The same with the wide functions of the local basis only, without a shape model.
    clouds : Clouds
        For the search of the pose.
    error_vertices : ndarray of shape (m,)
        Evenly spread vertices where the expected error is computed.
    near, share : ndarray of shape (n, 3)
        For each vertex three of `error_vertices` near it, and weights that sum to 1.
    """

    surface: Surface
    deformable: DeformableTemplate
    coarsely_deformable: DeformableTemplate
    clouds: Clouds
    error_vertices: np.ndarray
    near: np.ndarray
    share: np.ndarray

    def interpolate_errors(self, values: np.ndarray) -> np.ndarray:
        """Interpolate values at `error_vertices` to every vertex, shape (n,)."""
        return (values[self.near] * self.share).sum(axis=1)


def template_of(average: Surface, shape_model: ShapeModel | None, flexibility: float) -> Template:
    """Make the template, or return the one made from the same average before.

    Parameters
    ----------
    average : Surface
        The average femur, a right one.
    shape_model : ShapeModel, optional
        On its mesh.
    flexibility : float
        Multiplies the local basis.

    Returns
    -------
    Template
    """
    parts = [
        average.points,
        average.triangles,
        average.arrays.get(CUT_END_ARRAY, np.empty(0)),
        np.array(flexibility),
    ]
    if shape_model is not None:
        parts += [shape_model.modes, np.array(shape_model.people)]
    content = hashlib.blake2b()
    for part in parts:
        content.update(f"{part.shape}{part.dtype}".encode() + np.ascontiguousarray(part).tobytes())
    return _cached_template(_TemplateKey(content.digest(), average, shape_model, flexibility))


@dataclass(frozen=True)
class _TemplateKey:
    """Key of the cache: two are equal if their content is."""

    content: bytes
    average: Surface = field(compare=False)
    shape_model: ShapeModel | None = field(compare=False)
    flexibility: float = field(compare=False)


@lru_cache(maxsize=4)
def _cached_template(given: _TemplateKey) -> Template:
    surface = with_cut_ends(given.average)
    sample = Sample.of(surface, N_SAMPLES)
    error_vertices = thinned(surface.points, np.sqrt(surface.point_areas.sum() / _N_ERROR_VERTICES))
    distance, near = cKDTree(surface.points[error_vertices]).query(surface.points, k=3)
    closeness = 1.0 / (distance + 1.0)
    return Template(
        surface,
        DeformableTemplate(surface, prior_of(surface.points, given.shape_model, given.flexibility), sample),
        DeformableTemplate(surface, prior_of(surface.points, None, 1.0).with_widths(_WIDE), sample),
        Clouds.of(surface),
        error_vertices,
        near,
        closeness / closeness.sum(axis=1, keepdims=True),
    )


@dataclass(frozen=True)
class PreparedSurface:
    """A surface ready for registration.

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


def prepare(surface: Surface) -> PreparedSurface:
    """Repair a subject's surface, or say why that failed.

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
    open_at = (
        [f"The surface has {holes}; the average femur has no counterpart there."] if found.n_holes else []
    )
    return PreparedSurface(found.given, _marked(surface, found), (*found.warnings, *open_at))


def _marked(surface: Surface, found: Repaired) -> Surface:
    """The closed surface without unused vertices, its cut ends and fillings marked."""
    n, bare = len(surface.points), found.closed
    used = np.unique(found.filled.triangles)
    if CUT_END_ARRAY in surface.arrays:
        given = np.asarray(surface.arrays[CUT_END_ARRAY]) == 1
        cut = np.concatenate([given, np.ones(len(found.borders), dtype=bool)])[used]
    else:
        cut = cut_end_of(bare)
    cut |= used >= n
    for edges in found.borders:
        cut |= np.isin(used, edges)
    return replace(bare, arrays={CUT_END_ARRAY: cut.astype(np.uint8)})

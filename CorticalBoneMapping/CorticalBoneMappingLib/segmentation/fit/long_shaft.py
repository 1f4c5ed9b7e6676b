"""Lengthen the shaft of a shape model: its end section is continued along the shaft's axis.

The numbers are chosen by hand; not tuned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...core.errors import SurfaceError
from ...core.surface import Surface
from ...mesh.shape_model import ShapeModel

_FLAT_MM = 0.5  # what lies this near the lowest plane belongs to the flat end
_ROUNDED_MM, _SECTION_MM = 2.0, 8.0  # the rim is rounded so far up; the section is fitted to so much above
_HARMONICS = 4  # of the section's outline
_EVEN_AFTER = 4  # rings after which the vertices lie evenly around the section
_TREND_MM = 25.0  # of shaft above the end, which gives its direction


class LongShaft(NamedTuple):
    """A shape model with a lengthened shaft.

    Attributes
    ----------
    model : ShapeModel
        The first n vertices are those of the model it was made from (those of the flat end moved down).
    cut_end : ndarray of bool, shape (m,)
        The flat end, rim included: no bone surface.
    """

    model: ShapeModel
    cut_end: np.ndarray


def lengthened(model: ShapeModel, length_mm: float) -> LongShaft:
    """Lengthen the shaft of a shape model straight on.

    The section at the end is repeated along the line of the last sections' centres, in rings as far apart as
    the mesh is wide. Each mode goes on as it ends: the displacement of the rim, and the trend of the sections
    above it, so that a shaft that turns in a mode turns as a whole.

    Parameters
    ----------
    model : ShapeModel
        Of a femur with a flat end of the shaft at its lowest, n points.
    length_mm : float
        Added length; 0 or less leaves the shaft as it is.

    Returns
    -------
    LongShaft
        Closed; triangles look outward.

    Raises
    ------
    SurfaceError
        If the shaft has no flat end.
    """
    surface = model.surface
    cut = cut_plane_of(surface)
    spacing = surface.mean_spacing_mm
    n_rings = int(np.ceil(length_mm / spacing))
    if n_rings < 1:
        return LongShaft(model, cut)
    rim = _rim(surface, cut)
    inner = np.setdiff1d(np.flatnonzero(cut), rim)
    axis, slopes = _trends(model, cut)
    depth = np.linspace(0.0, length_mm, n_rings + 1)
    points = model.mean.copy()
    rings = _rings(points, cut, rim, axis, depth)
    points[rim] = rings[0]
    points[inner] += depth[-1] / -axis[2] * axis
    points = np.concatenate([points, rings[1:].reshape(-1, 3)])
    modes = np.concatenate([model.modes, _continued(model.modes[:, rim], slopes, depth[1:])], axis=1)
    modes[:, inner] -= length_mm * slopes[:, None]
    triangles, end = _with_rings(surface, cut, rim, n_rings)
    # What is left of people left out is not known on the added shaft.
    longer = replace(model, surface=Surface(points, triangles), modes=modes, left_out=None)
    cut_end = np.zeros(len(points), dtype=bool)
    cut_end[inner] = cut_end[end] = True
    return LongShaft(longer, cut_end)


def cut_plane_of(surface: Surface) -> np.ndarray:
    """Mark the vertices on the flat lower end of an upright femur, shape (n,)."""
    looking_down = surface.normals[:, 2] < -0.9
    lowest = surface.points[:, 2] < surface.points[:, 2].min() + 4.0
    if (looking_down & lowest).sum() < 10:
        raise SurfaceError("The shape model's femur has no flat end of the shaft at its lowest points.")
    x, y, z = surface.points[looking_down & lowest].T
    plane = np.linalg.lstsq(np.stack([x, y, np.ones_like(x)], axis=1), z, rcond=None)[0]
    height = surface.points[:, 2] - (surface.points[:, :2] @ plane[:2] + plane[2])
    return np.abs(height) < _FLAT_MM


def _rim(surface: Surface, cut: np.ndarray) -> np.ndarray:
    """Vertices around the flat end in order, each next one along the border of its triangles, shape (r,)."""
    of_end = surface.triangles[cut[surface.triangles].all(axis=1)]
    sides = of_end[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    key, back = sides @ [len(cut), 1], sides[:, ::-1] @ [len(cut), 1]
    border = sides[~np.isin(key, back)]
    following = dict(border.tolist())
    rim = [int(border[0, 0])]
    while following[rim[-1]] != rim[0]:
        rim.append(following[rim[-1]])
    if len(rim) != len(border):
        raise SurfaceError("The flat end of the shape model's shaft is not one disc.")
    return np.array(rim)


def _rings(
    points: np.ndarray, cut: np.ndarray, rim: np.ndarray, axis: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """Places of the rings, the rim first, shape (rings, r, 3).

    The rim is where the mesh happens to end, ragged and rounded. So the section is a smooth one, fitted to
    the shaft above, with the vertices evenly around it.
    """
    height = points[:, 2] - points[rim, 2].mean()
    wall = ~cut & (height > _ROUNDED_MM) & (height < _ROUNDED_MM + _SECTION_MM)
    centre = _on_axis(points[wall].mean(axis=0), axis, points[rim, 2].mean())
    turn, radius = _polar(points[wall] - _on_axis(centre, axis, points[wall, 2]))
    design = np.column_stack([_harmonics(turn), height[wall]])
    section = np.linalg.lstsq(design, radius, rcond=None)[0][:-1]
    turn = np.unwrap(_polar(points[rim] - _on_axis(centre, axis, points[rim, 2]))[0])
    even = np.sign(turn[-1] - turn[0]) * 2.0 * np.pi / len(rim) * np.arange(len(rim))
    even += (turn - even).mean()
    part = np.minimum(np.arange(len(depth)) / _EVEN_AFTER, 1.0)[:, None]
    turns = (1.0 - part) * turn + part * even
    radii = (_harmonics(turns.ravel()) @ section).reshape(turns.shape)
    around = np.stack([radii * np.cos(turns), radii * np.sin(turns), np.zeros_like(radii)], axis=-1)
    return around + _on_axis(centre, axis, centre[2] - depth)[:, None]


def _on_axis(point: np.ndarray, axis: np.ndarray, height: np.ndarray | float) -> np.ndarray:
    """Where the axis through a point has some heights, shape (..., 3)."""
    return point + ((np.asarray(height) - point[2]) / axis[2])[..., None] * axis


def _polar(offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angle and distance in the transverse plane."""
    return np.arctan2(offset[:, 1], offset[:, 0]), np.hypot(offset[:, 0], offset[:, 1])


def _harmonics(turn: np.ndarray) -> np.ndarray:
    """Waves around the section, shape (n, 2 m + 1)."""
    order = np.arange(1, _HARMONICS + 1) * turn[:, None]
    return np.column_stack([np.ones_like(turn), np.cos(order), np.sin(order)])


def _trends(model: ShapeModel, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vector down the shaft, and the modes' change per mm of height, shape (k, 3)."""
    z = model.mean[:, 2]
    last = ~cut & (z < z[cut].mean() + _TREND_MM)
    design = np.stack([np.ones(last.sum()), z[last]], axis=1)
    values = np.concatenate([model.mean[None, last], model.modes[:, last]]).transpose(1, 0, 2)
    slope = np.linalg.lstsq(design, values.reshape(len(values), -1), rcond=None)[0][1].reshape(-1, 3)
    axis = -slope[0]  # the slope of z itself is 1
    return axis / np.linalg.norm(axis), slope[1:]


def _continued(at_rim: np.ndarray, slopes: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Modes at the rings, ring by ring, shape (k, rings * r, 3)."""
    going_on = at_rim[:, None] - depth[None, :, None, None] * slopes[:, None, None]
    return going_on.reshape(len(at_rim), -1, 3)


def _with_rings(
    surface: Surface, cut: np.ndarray, rim: np.ndarray, n_rings: int
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles with the rings between the old rim and the flat end, and the vertices of the new rim."""
    n, r = len(surface.points), len(rim)
    levels = np.concatenate([rim[None], n + np.arange(n_rings * r).reshape(n_rings, r)])
    upper, lower = levels[:-1], levels[1:]
    # The rim runs with the end's triangles on its left, as seen from below; the wall is on its right.
    a, b = upper, np.roll(upper, -1, axis=1)
    c, d = lower, np.roll(lower, -1, axis=1)
    wall = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, d), (a, d, c))])
    moved = np.arange(n)
    moved[rim] = levels[-1]
    on_end = cut[surface.triangles].all(axis=1)
    return np.concatenate([surface.triangles[~on_end], moved[surface.triangles[on_end]], wall]), levels[-1]

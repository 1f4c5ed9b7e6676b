"""Divide a proximal femur into regions, by its own anatomy.

Every border follows from the landmarks and the surface of the femur itself, so that any femur can be
divided, left or right, in any pose; lengths are in radii of its head. The neck in quadrants follows Poole et
al. 2010, J Bone Miner Res 25:482; the lateral face of the greater trochanter, on which a person falls, is a
region of its own. ``Docs/anatomy.md`` shows and defines them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..core.surface import Surface
from ..mesh.topology import connected
from .outline import NeckOutline
from .result import Anatomy
from .shaft import FLAT_MM, flat_end

CUT_END = 0
"""The region of what was cut, in every atlas."""

REGION_NAMES: dict[int, str] = {
    CUT_END: "cut end",
    1: "femoral head",
    2: "neck superior",
    3: "neck inferior",
    4: "neck anterior",
    5: "neck posterior",
    6: "greater trochanter",
    7: "lateral trochanter",
    8: "lesser trochanter",
    9: "intertrochanteric",
    10: "subtrochanteric shaft",
}
"""The regions of `regions_of` and of the shipped atlas; another atlas may have its own."""

# Docs/anatomy.md; sizes chosen by hand. Heights are shares of the way from the tip of the lesser to the tip
# of the greater trochanter.
_GREATER_FROM = 0.30
_LATERAL_FROM, _LATERAL_TO = 0.03, 0.68
_LATERAL_SECTOR_DEG = (-35.0, 50.0)  # about the shaft, from lateral towards anterior
_SHAFT_BELOW = 0.6  # radii of the head below the tip of the lesser trochanter
_LESSER_WIDTH, _LESSER_ROOT = 0.72, 0.2  # radii of the head; share of its height that is its root
_NEAR_NECK = 1.1  # radii of the head from the neck's axis: farther out is the greater trochanter's tip
_NEAR_HEAD = 1.4  # radii of the head from its centre


_TEXT = "region_names"  # of a surface: a sentence per region, its number and its name


def with_region_names(surface: Surface, names: Mapping[int, str]) -> Surface:
    """Add the names of its regions to a surface, so that they are kept and written with it.

    Parameters
    ----------
    surface : Surface
        With the array ``region``.
    names : mapping of int to str
        By the values of ``region``.

    Returns
    -------
    Surface
    """
    sentences = tuple(f"{number} {name}" for number, name in sorted(names.items()))
    return replace(surface, texts=surface.texts | {_TEXT: sentences})


def region_names_of(surface: Surface) -> dict[int, str]:
    """Return the names of a surface's regions by number: its own, or else `REGION_NAMES`."""
    numbered = [sentence.split(" ", 1) for sentence in surface.texts.get(_TEXT, ())]
    return {int(number): name for number, name in numbered} or dict(REGION_NAMES)


def regions_of(surface: Surface, anatomy: Anatomy) -> np.ndarray:
    """Return the region of each point of a femur.

    Parameters
    ----------
    surface : Surface
        Closed, RAS mm. Its array ``cut_end`` (1 where the bone was cut) is used if it has one; otherwise the
        flat lower end of the shaft is looked for.
    anatomy : Anatomy
        Of this femur, in the same place.

    Returns
    -------
    ndarray of shape (n_points,)
        Keys of `REGION_NAMES`, int8. Every region is one piece.
    """
    if anatomy.side == "left":
        surface, anatomy = surface.mirrored(), anatomy.mirrored()
    radius, marks = anatomy.head_radius_mm, anatomy.landmarks
    lateral, anterior, height = anatomy.frame.coordinates(surface.points).T
    greater, lesser = anatomy.greater_height_mm, anatomy.frame.coordinates(marks["lesser_trochanter"])[2]
    share = (height - lesser) / (greater - lesser)
    region = np.full(len(surface.points), 9, dtype=np.int8)
    region[height < lesser - _SHAFT_BELOW * radius] = 10
    region[share > _GREATER_FROM] = 6
    around = np.degrees(np.arctan2(anterior, lateral))
    faces_laterally = (around > _LATERAL_SECTOR_DEG[0]) & (around < _LATERAL_SECTOR_DEG[1])
    region[faces_laterally & (share > _LATERAL_FROM) & (share < _LATERAL_TO)] = 7
    outline = NeckOutline.of(surface, anatomy)
    along, angle, out = outline.coordinates(surface.points)
    quadrant = np.array([2, 4, 3, 5], dtype=np.int8)[((angle + 45.0) // 90.0).astype(int) % 4]
    on_neck = (along < outline.end_of_neck(angle)) & (out < _NEAR_NECK * radius)
    region[on_neck] = quadrant[on_neck]
    region[_on_lesser_trochanter(surface.points, anatomy)] = 8
    from_head = np.linalg.norm(surface.points - marks["head_centre"], axis=1)
    region[(along < outline.end_of_head(angle)) & (from_head < _NEAR_HEAD * radius)] = 1
    region[_on_cut_end(surface, anatomy)] = CUT_END
    return _in_one_piece(surface, region)


def _on_lesser_trochanter(points: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Which points protrude from the shaft's cylinder around the tip; the border has no corners."""
    tip, axis = anatomy.landmarks["lesser_trochanter"], anatomy.shaft_axis
    top = np.linalg.norm(axis.across(tip))
    root = anatomy.shaft_radius_mm + _LESSER_ROOT * (top - anatomy.shaft_radius_mm)
    sunk = (top - np.linalg.norm(axis.across(points), axis=1)) / (top - root)
    apart = np.linalg.norm(points - tip, axis=1) / (_LESSER_WIDTH * anatomy.head_radius_mm)
    return np.maximum(sunk, 0.0) ** 2 + apart**2 < 1.0


def _on_cut_end(surface: Surface, anatomy: Anatomy) -> np.ndarray:
    """The flat lower end of the shaft, by its plane."""
    if "cut_end" in surface.arrays:
        return np.asarray(surface.arrays["cut_end"]) == 1
    radius = anatomy.shaft_radius_mm
    end = flat_end(surface, anatomy.shaft_axis, radius)
    if end is None:
        return np.zeros(len(surface.points), dtype=bool)
    flat = np.abs((surface.points - end.middle) @ end.normal) < FLAT_MM
    return flat & (np.linalg.norm(surface.points - end.middle, axis=1) < 3.0 * radius)


def _in_one_piece(surface: Surface, region: np.ndarray) -> np.ndarray:
    """Assign islands of a region to the region around them."""
    region = region.copy()
    for _ in range(len(REGION_NAMES)):
        island = _islands(surface, region)
        if not island.any():
            break
        one, other = surface.edges.T
        for inside, outside in ((one, other), (other, one)):
            beside = island[inside] & ~island[outside]
            region[inside[beside]] = region[outside[beside]]
            island[inside[beside]] = False
    return region


def _islands(surface: Surface, region: np.ndarray) -> np.ndarray:
    """Points of every piece of a region but its largest, shape (n_points,)."""
    n = len(region)
    same = surface.edges[region[surface.edges[:, 0]] == region[surface.edges[:, 1]]]
    piece = connected(same[:, 0], same[:, 1], n)
    area = np.bincount(piece, weights=surface.point_areas)
    island = np.zeros(n, dtype=bool)
    for number in np.unique(region):
        members = region == number
        island |= members & (piece != piece[members][area[piece[members]].argmax()])
    return island

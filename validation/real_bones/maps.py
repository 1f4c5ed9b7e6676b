"""Where real bones differ from the average, source by source."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.atlas.average import AverageFemur
from CorticalBoneMappingLib.core.measures import Measure
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.shape_model import similarity
from CorticalBoneMappingLib.report.pictures.render import render_views

RANGE_MM = 5.0
SHAFT_END_MM = 15.0
"""From the flat end of the average, which sources cut differently."""
_LEAST_SHARE = 0.5  # of a source's bones that must reach a place


@dataclass(frozen=True)
class SourceMap:
    """Signed difference of a source's bones from the average.

    Attributes
    ----------
    source : str
        Its folder's name.
    bones : int
        How many.
    mean_mm : ndarray of shape (n,)
        Mean over the bones, on the average's vertices; not-a-number where too few bones reach.
    own_mm : ndarray of shape (n,)
        Of the bones' own average: the mean of the registered shapes.
    """

    source: str
    bones: int
    mean_mm: np.ndarray
    own_mm: np.ndarray


def source_map(
    source: str, differences: list[np.ndarray], shapes: list[np.ndarray], average: AverageFemur
) -> SourceMap:
    """Average the maps of a source's bones, and compare their own average."""
    own = _mean(np.array(shapes))
    known = np.isfinite(own).all(axis=1) & (average.surface.arrays["cut_end"] == 0)
    size, rotation, shift = similarity(own[known], average.surface.points[known])
    points = np.where(known[:, None], size * own @ rotation.T + shift, average.surface.points)
    surface = Surface(points, average.surface.triangles)
    place = closest_points(surface, average.surface.points)
    outward = ((place.points(surface) - average.surface.points) * average.surface.normals).sum(axis=1)
    signed = np.where(known, np.sign(outward) * place.distance, np.nan)
    return SourceMap(source, len(differences), _mean(np.array(differences)), signed)


def _mean(stack: np.ndarray) -> np.ndarray:
    """Mean over bones where enough of them reach."""
    enough = np.isfinite(stack).mean(axis=0) >= _LEAST_SHARE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
        mean = np.nanmean(stack, axis=0)
    return np.where(enough, mean, np.nan)


def compared(average: AverageFemur) -> np.ndarray:
    """Which vertices are not near the flat end of the shaft."""
    points, axis = average.surface.points, average.landmarks
    up = axis["shaft_proximal"] - axis["shaft_distal"]
    along = points @ up / np.linalg.norm(up)
    return along > along.min() + SHAFT_END_MM


def greatest(difference: np.ndarray, average: AverageFemur) -> list[tuple[float, str]]:
    """The greatest and the least difference of a map, mm, and where they lie."""
    values = np.where(compared(average), difference, np.nan)
    return [
        (float(values[vertex]), place_name(average, int(vertex)))
        for vertex in (np.nanargmax(values), np.nanargmin(values))
    ]


def place_name(average: AverageFemur, vertex: int) -> str:
    """Name a vertex by its region, the way it looks and its height."""
    normal = average.surface.normals[vertex]
    ways = (("lateral", "medial"), ("anterior", "posterior"), ("superior", "inferior"))
    strongest = np.argsort(-np.abs(normal))
    names = [ways[axis][0 if normal[axis] > 0 else 1] for axis in strongest if abs(normal[axis]) > 0.5]
    region = average.region_names[int(average.region[vertex])]
    below = average.landmarks["head_centre"][2] - average.surface.points[vertex, 2]
    return f"{region}, {'-'.join(names)}, {abs(below):.0f} mm {'below' if below > 0 else 'above'} head centre"


def correlation(one: SourceMap, other: SourceMap, average: AverageFemur) -> float:
    """Correlation of two sources' maps over the area that both have."""
    both = np.isfinite(one.mean_mm) & np.isfinite(other.mean_mm) & compared(average)
    weights = average.surface.point_areas[both]
    return float(_correlation(one.mean_mm[both], other.mean_mm[both], weights))


def _correlation(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    weights = weights / weights.sum()
    one, other = one - weights @ one, other - weights @ other
    return weights @ (one * other) / np.sqrt((weights @ one**2) * (weights @ other**2))


def draw(one: SourceMap, average: AverageFemur, path: Path) -> None:
    """Draw a source's map on the average, from five sides."""
    measure = Measure("difference", "Real minus average", "mm", "mm", (-RANGE_MM, RANGE_MM))
    render_views(
        average.surface.with_arrays(difference=one.mean_mm),
        "difference",
        path,
        measure=measure,
        side="right",
        title=f"{one.source}: mean of {one.bones} bones",
        is_difference=True,
        superior=True,
        grey_means="not compared",
        width_px=1800,
    )

"""Move a surface that is within about two millimetres of a bone to the edge of the bone in the CT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial import cKDTree

from ...core.errors import SurfaceError
from ...core.progress import Progress
from ...core.surface import Surface
from ...core.volume import Volume
from ...mesh.meshing import remesh
from ...mesh.topology import adjacency
from ..mask.cut_planes import at_planes
from .displacement import FieldPrior, OffsetField, offset_field
from .shaft_end import Plane, cut_at, shaft_end

OuterEdges = Callable[[Surface, Volume, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""From surface, CT and points to skip (n,) to depth of the bone's edge below each point (n,) in mm,
its standard deviation (n,) in mm, and where an edge was found (n,)."""


# Of the offsets that a fitted shape leaves, and that the first pass leaves, by hand. The first was 1.2 mm; it
# is chosen on the real CT of 3 mm voxels, where the head leaked into its socket, and does nothing in fine
# scans.
_FIRST_PRIOR, _SECOND_PRIOR = FieldPrior(0.8, 12.0), FieldPrior(0.4, 8.0)


@dataclass(frozen=True)
class SurfaceSettings:
    """Numbers of the exact surface; chosen by hand, not tuned, unless a line says more."""

    farthest_mm: float = 3.5  # an edge farther away belongs to another bone
    first_share: int = 3  # one point in so many is measured in the first pass, which the second corrects
    first_rounds: int = 3
    far_quantile: float = 0.98  # if this quantile of the offsets is ...
    far_mm: float = 1.5  # ... more than this, some lines began in the acetabulum
    sharpest: float = 0.3  # cosine between the normals of a triangle and of its corners
    unfoldings: int = 20
    model_sd_mm: float = 0.05  # of an edge, by what the model of the cortex leaves out
    noise_factor: float = 2.0  # errors of neighbours are correlated; measured on simulated scans
    shared_sd_mm: float = 0.05
    near_mm: float = 3.0  # without an edge this near, of at least ...
    least_weight: float = 0.1  # ... this weight, the image shows nothing
    least_noted: float = 0.01  # share of the surface


SURFACE = SurfaceSettings()


@dataclass(frozen=True)
class ExactSurface:
    """A bone's outer surface as the CT shows it.

    Attributes
    ----------
    surface : Surface
        Closed, outward, near-uniform. Point arrays: ``expected_error`` (mm), the standard deviation of the
        distance from the true surface; ``completed`` (uint8), 1 where the image showed nothing and the shape
        given was kept; ``cut_end`` (uint8), 1 where the bone is cut off, by the scan or as given.
    notes : list of str
        Messages for the user.
    """

    surface: Surface
    notes: list[str] = field(default_factory=list)


def exact_surface(
    start: Surface,
    volume: Volume,
    outer_edges: OuterEdges,
    spacing_mm: float = 1.2,
    progress: Progress | None = None,
) -> ExactSurface:
    """Move a surface to the bone's edge in the CT.

    The edge is measured along every normal. A smooth random field estimates from these offsets how far to
    move where edges disagree or are missing, and how certain that is. The shape is first moved so with few
    lines, then meshed evenly and moved with all.

    Parameters
    ----------
    start : Surface
        Closed, of one piece, within about 2 mm of the bone. Its array ``cut_end``, if it has one, is 1 on the
        flat end of the shaft; the part of the shaft that leaves the scan with that end is cut off. All else
        that leaves the scan is kept.
    volume : Volume
        CT in HU.
    outer_edges : callable
        Measures the edge, see `OuterEdges`.
    spacing_mm : float
        Mean distance between neighbouring vertices in mm.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    ExactSurface

    Raises
    ------
    SurfaceError
        If the surface is not one closed piece, no part of it is in the scan, or no edge is found.
    """
    progress = progress or Progress()
    progress.report(0.0, "Finding the bone's edge")
    planes, by_scan = shaft_end(start, volume)
    moved = _nearer(start, volume, outer_edges, planes, 0.5 * spacing_mm)
    progress.report(0.3, "Making even triangles")
    mesh = remesh(cut_at(moved, planes) if by_scan else moved, spacing_mm)
    progress.report(0.6, "Moving the surface to the bone's edge")
    cut = at_planes(mesh.points, planes, within_mm=spacing_mm)
    looked_at = _in_scan(mesh.points, volume) & ~cut
    second = _measured_field(mesh, volume, outer_edges, looked_at, _SECOND_PRIOR)
    surface = _moved(mesh, second.offset, planes, cut)
    completed = ~cut & ~(_shown(mesh.points, second.weight) & _in_scan(mesh.points, volume))
    progress.report(1.0, "Surface found")
    arrays = {
        "expected_error": np.hypot(second.sd, SURFACE.shared_sd_mm).astype(np.float32),
        "completed": completed.astype(np.uint8),
        "cut_end": cut.astype(np.uint8),
    }
    return ExactSurface(surface.with_arrays({"expected_error": "mm"}, **arrays), _notes(surface, completed))


def _notes(surface: Surface, completed: np.ndarray) -> list[str]:
    share = float(surface.point_areas[completed].sum() / surface.point_areas.sum())
    if share < SURFACE.least_noted:
        return []
    return [f"The scan does not show where {share:.0%} of the bone's surface is; it is completed there."]


def _nearer(
    start: Surface, volume: Volume, outer_edges: OuterEdges, planes: list[Plane], flat_mm: float
) -> Surface:
    """Move the surface with few lines; repeat while it moves far, since lines from far out miss the edge."""
    ended = at_planes(start.points, planes, flat_mm)
    chosen = ~ended & (np.arange(len(ended)) % SURFACE.first_share == 0)
    surface = start
    for _ in range(SURFACE.first_rounds):
        looked_at = _in_scan(surface.points, volume) & chosen
        field = _measured_field(surface, volume, outer_edges, looked_at, _FIRST_PRIOR)
        surface = _moved(surface, field.offset, planes, ended)
        if np.quantile(np.abs(field.offset[looked_at]), SURFACE.far_quantile) < SURFACE.far_mm:
            break
    return surface


def _shown(points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Whether an edge of enough weight is near, (n,)."""
    accepted = points[weight > SURFACE.least_weight]
    if not len(accepted):
        return np.zeros(len(points), dtype=bool)
    return cKDTree(accepted).query(points, distance_upper_bound=SURFACE.near_mm)[0] <= SURFACE.near_mm


def _in_scan(points: np.ndarray, volume: Volume) -> np.ndarray:
    """Whether points (n, 3) lie between the centres of the scan's outermost voxels."""
    index = volume.index_of(points)
    return np.all((index >= 0.0) & (index <= np.array(volume.array.shape[::-1]) - 1.0), axis=1)


def _measured_field(
    surface: Surface, volume: Volume, outer_edges: OuterEdges, looked_at: np.ndarray, prior: FieldPrior
) -> OffsetField:
    if not looked_at.any():
        raise SurfaceError(f"{volume.source}: no part of the bone's surface lies in the scan.")
    depth, sd, found = outer_edges(surface, volume, ~looked_at)
    with np.errstate(invalid="ignore"):
        found = found & (np.abs(depth) < SURFACE.farthest_mm) & np.isfinite(sd)
    if not found.any():
        raise SurfaceError(f"{volume.source}: no edge of a bone was found where the bone should be.")
    measured = np.where(found, depth, np.nan)
    return offset_field(surface, measured, np.hypot(SURFACE.noise_factor * sd, SURFACE.model_sd_mm), prior)


def _moved(surface: Surface, depth: np.ndarray, planes: list[Plane], ended: np.ndarray) -> Surface:
    """Move the points inward by `depth`; those of a flat end stay in their plane."""
    step = -depth[:, None] * surface.normals
    for _, normal in planes:
        step[ended] -= (step[ended] @ normal)[:, None] * normal
    return _unfolded(replace(surface, points=surface.points + step, arrays={}, units={}))


def _unfolded(surface: Surface) -> Surface:
    """Smooth a surface where a triangle is folded: its normal differs from those of its corners."""
    neighbours = adjacency(surface.edges, len(surface.points))
    for _ in range(SURFACE.unfoldings):
        folded = _folded(surface)
        if not folded.any():
            break
        near = folded | (neighbours @ folded > 0)
        mean = (neighbours @ surface.points) / neighbours.sum(axis=1)[:, None]
        surface = replace(surface, points=np.where(near[:, None], mean, surface.points))
    return surface


def _folded(surface: Surface) -> np.ndarray:
    corners = surface.points[surface.triangles]
    looks = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    looks /= np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-12)
    agrees = np.einsum("tcx,tx->tc", surface.normals[surface.triangles], looks)
    folded = np.zeros(len(surface.points), dtype=bool)
    folded[surface.triangles[(agrees < SURFACE.sharpest).any(axis=1)]] = True
    return folded

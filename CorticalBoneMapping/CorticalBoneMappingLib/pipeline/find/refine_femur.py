"""Move a surface near a femur to the edge of the bone, and make its label map.

The edge comes from the measurement of the cortex, which the room `segmentation` does not import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...calibration import Calibration
from ...core.measures import VertexStatus
from ...core.metal import WithoutMetal, without_metal
from ...core.progress import Progress
from ...core.surface import Surface
from ...core.volume import Volume
from ...cortex import measure_cortex
from ...mesh.closest import closest_points
from ...segmentation.mask.voxelised import labelled
from ...segmentation.refine.exact_surface import exact_surface
from ..provenance import Stopwatch
from .found_femur import with_confidence
from .known_labels import FEMUR_LABELS
from .verdict import shares

_MARGIN_MM = 25.0  # of CT around the bone: the longest line and a voxel


@dataclass(frozen=True)
class OuterEdgeSettings:
    """What an edge must fulfil; chosen by hand, not tuned."""

    shared: float = 2.5  # neighbours lie in one slice and err together, so their number does not help
    most_hidden_mm: float = 1.0  # beyond it, a fit gives the start surface or the socket
    # Rings of neighbours, the thinnest of which counts: with the socket in its slice, cortex looks thicker.
    rings: int = 3
    # First, beyond the last, step: with metal at such a depth below it, an edge is not the bone's.
    no_metal_mm: tuple[float, float, float] = (-3.0, 2.1, 1.0)
    # Greatest residual, in medians and as a share of cortical density: other bone does not fit three layers,
    # but an uneven thick cortex leaves more than noise, too.
    worst_misfit: float = 3.5
    worst_share: float = 0.05


OUTER = OuterEdgeSettings()


class ExactFemur(NamedTuple):
    """A femur whose surface lies on the edge of the bone.

    Attributes
    ----------
    surface : Surface
        With the arrays of `FoundFemur.surface`.
    labelmap : Volume
        On the grid of the CT, `known_labels.FEMUR_LABELS` inside.
    notes : list of str
        Messages for the user.
    evidence : dict of str to float
        The part of the evidence that surface and CT give, by the names of `Evidence`.
    """

    surface: Surface
    labelmap: Volume
    notes: list[str]
    evidence: dict[str, float]


def exact_femur(
    start: Surface, volume: Volume, side: str, spacing_mm: float, watch: Stopwatch, progress: Progress
) -> ExactFemur:
    """Move a surface to the edge of the bone.

    Parameters
    ----------
    start : Surface
        Within a few millimetres of it.
    volume : Volume
        CT in HU.
    side : {"left", "right"}
        Side of the body.
    spacing_mm : float
        Mean distance between neighbouring vertices in mm.
    watch : Stopwatch
        Records the seconds of each stage.
    progress : Progress
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    ExactFemur
    """
    with watch.time("exact surface"):
        near = volume.crop(start.points, _MARGIN_MM)
        exact = exact_surface(start, near, outer_edges, spacing_mm, progress)
    surface, metal_cm3 = with_confidence(exact.surface, volume)
    with watch.time("label map"):
        labelmap = labelled(surface, volume, FEMUR_LABELS[side])
    moved = closest_points(start, surface.points[surface.arrays["cut_end"] == 0]).distance
    moved_mm = float(np.percentile(moved, 95))
    evidence = {"moved_mm": moved_mm, "metal_cm3": metal_cm3} | shares(surface, volume)
    return ExactFemur(surface, labelmap, exact.notes, evidence)


def outer_edges(
    surface: Surface, volume: Volume, excluded: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the periosteal edge under every point by the model of the blurred cortex.

    Where cortex is thin, blur moves the half maximum outward by tenths of a millimetre, but not the fit of a
    blurred cortex of the bone's own density (method ``constant-density``). If no cortex is thick enough to
    show its density, the middle between the two is taken.

    Parameters
    ----------
    surface : Surface
        n points within about 2 mm of the periosteal surface.
    volume : Volume
        CT in HU.
    excluded : ndarray of bool of shape (n,)
        Points to skip.

    Returns
    -------
    offset : ndarray of shape (n,)
        Depth of the edge below the surface in mm, negative outside it.
    sd : ndarray of shape (n,)
        Standard deviation of that by the noise of the CT, mm.
    found : ndarray of bool of shape (n,)
        Where the CT shows the place of the edge; elsewhere `offset` and `sd` are not-a-number.

    Raises
    ------
    MeasurementError
        If the surface lies outside the scan, or every point is excluded.
    """
    clean = without_metal(volume)
    volume = clean.volume
    measured = measure_cortex(
        surface, volume, Calibration.none(), method="constant-density", excluded=excluded
    )
    found = (measured.quality == VertexStatus.GOOD) & ~_at_metal(surface, clean, measured.periosteal_offset)
    if found.any():
        worst = OUTER.worst_misfit * np.median(measured.residual[found])
        with np.errstate(invalid="ignore"):
            found &= measured.residual < np.maximum(worst, OUTER.worst_share * measured.density)
    hidden = _hidden_mm(surface, volume, measured.thickness)
    found &= hidden < OUTER.most_hidden_mm
    sd = np.hypot(measured.periosteal_offset_sd, OUTER.shared * hidden / np.sqrt(12.0))
    offset = measured.periosteal_offset
    if measured.used["cortical_density_from"].startswith("assumed"):
        half_way = _half_way_to_half_maximum(surface, volume, excluded, offset)
        offset, sd = offset + half_way, np.hypot(sd, half_way)
    offset, sd = (np.where(found, values, np.nan) for values in (offset, sd))
    return offset, sd, found


def _at_metal(surface: Surface, clean: WithoutMetal, offset: np.ndarray) -> np.ndarray:
    """Whether metal was near the edges (n,) below the points of a surface; false without an edge."""
    depth = np.nan_to_num(offset)[:, None] + np.arange(*OUTER.no_metal_mm)
    places = surface.points[:, None] - depth[..., None] * surface.normals[:, None]
    return clean.at(places).any(axis=1)


def _half_way_to_half_maximum(
    surface: Surface, volume: Volume, excluded: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Half the distance (n,) from the edge to the half maximum, mm; 0 where one of them is missing."""
    other = measure_cortex(surface, volume, Calibration.none(), method="half-maximum", excluded=excluded)
    return np.nan_to_num(0.5 * (other.periosteal_offset - offset))


def _hidden_mm(surface: Surface, volume: Volume, thickness: np.ndarray) -> np.ndarray:
    """Length (n,) in mm over which the place of an edge is unknown, since the whole cortex lies in one slice.

    A slice that holds both edges shows the mass and not the place, which is not in the noise. At the
    angle θ to the slices' normal, a slice of spacing Δ is seen over Δ sin²θ / cos θ of its depth Δ cos θ.
    """
    across = np.maximum(np.abs(surface.normals @ volume.slice_normal), 0.5)
    unseen = volume.spacing_mm[2] * (across - (1.0 - across**2) / across)
    thinnest, (first, second) = np.where(np.isfinite(thickness), thickness, np.inf), surface.edges.T
    for _ in range(OUTER.rings):
        before = thinnest.copy()
        np.minimum.at(thinnest, first, before[second])
        np.minimum.at(thinnest, second, before[first])
    return np.maximum(unseen - thinnest, 0.0)

"""From a surface near the bone to the exact one and its label map: the last steps to a found femur.

The outer edge of the cortex for the segmentation, which does not know how the cortex is measured.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...calibration import Calibration
from ...core.measures import Quality
from ...core.metal import WithoutMetal, without_metal
from ...core.progress import Progress
from ...core.surface import Surface
from ...core.volume import Volume
from ...cortex import measure_cortex
from ...mesh.closest import closest_points
from ...segmentation.mask.voxelised import labelled
from ...segmentation.refine.exact_surface import exact_surface
from ..provenance import Stopwatch
from .found_femur import described
from .known_labels import FEMUR_LABELS
from .verdict import shares

_MARGIN_MM = 25.0


class ExactFemur(NamedTuple):
    """A femur whose surface lies on the edge of the bone.

    Attributes
    ----------
    surface : Surface
        With the arrays of `FoundFemur.surface`.
    labelmap : Volume
        On the grid of the CT, `known_labels.FEMUR_LABELS` inside.
    notes : list of str
        What a user must know.
    evidence : dict of str to float
        What surface and CT say of the verdict, by the names of `Evidence`.
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
        Told of the stages.
    progress : Progress
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    ExactFemur
    """
    with watch.time("exact surface"):
        near = volume.crop(start.points, _MARGIN_MM)
        exact = exact_surface(start, near, outer_edges, spacing_mm, progress)
    surface, metal_cm3 = described(exact.surface, volume)
    with watch.time("label map"):
        labelmap = labelled(surface, volume, FEMUR_LABELS[side])
    moved = closest_points(start, surface.points[surface.arrays["cut_end"] == 0]).distance
    moved_mm = float(np.percentile(moved, 95))
    evidence = {"moved_mm": moved_mm, "metal_cm3": metal_cm3} | shares(surface, volume)
    return ExactFemur(surface, labelmap, exact.notes, evidence)


_SHARED = 2.5  # neighbours lie in one slice and err together, so their number does not help
_MOST_HIDDEN_MM = 1.0  # beyond it, a fit says where the surface was or where the socket is
_RINGS = 3  # of neighbours, the thinnest of which counts: with the socket in its slice, cortex looks thicker
_NO_METAL_MM = np.arange(-3.0, 2.1, 1.0)  # with metal at such a depth below it, an edge is not the bone's
# Of the residual, in medians and as a share of cortical density: three layers are no model of another bone's
# inside, but an uneven thick cortex, too, leaves more than noise.
_WORST_MISFIT, _WORST_SHARE = 3.5, 0.05


def outer_edges(
    surface: Surface, volume: Volume, excluded: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the periosteal edge under every point by the model of the blurred cortex.

    Where cortex is thin, blur moves the half maximum outward by tenths of a millimetre; the fit of a blurred
    cortex of the bone's own density does not move (method ``constant-density``). A scan in which no cortex is
    thick enough to show its density leaves it open where between the two the edge is: the middle is taken.

    Parameters
    ----------
    surface : Surface
        n points within about 2 mm of the periosteal surface.
    volume : Volume
        CT in HU.
    excluded : ndarray of bool of shape (n,)
        Points not to look at.

    Returns
    -------
    offset : ndarray of shape (n,)
        Depth of the edge below the surface in mm, negative outside it.
    sd : ndarray of shape (n,)
        Standard deviation of that by the noise of the CT, mm.
    found : ndarray of bool of shape (n,)
        Where there is an edge that the CT shows the place of; elsewhere `offset` and `sd` are not-a-number.

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
    found = (measured.quality == Quality.GOOD) & ~_at_metal(surface, clean, measured.periosteal_offset)
    if found.any():
        worst = _WORST_MISFIT * np.median(measured.residual[found])
        with np.errstate(invalid="ignore"):
            found &= measured.residual < np.maximum(worst, _WORST_SHARE * measured.density)
    hidden = _hidden_mm(surface, volume, measured.thickness)
    found &= hidden < _MOST_HIDDEN_MM
    sd = np.hypot(measured.periosteal_offset_sd, _SHARED * hidden / np.sqrt(12.0))
    offset = measured.periosteal_offset
    if measured.used["cortical_density_from"].startswith("assumed"):
        doubt = _half_of_way_to_half_maximum(surface, volume, excluded, offset)
        offset, sd = offset + doubt, np.hypot(sd, doubt)
    offset, sd = (np.where(found, values, np.nan) for values in (offset, sd))
    return offset, sd, found


def _at_metal(surface: Surface, clean: WithoutMetal, offset: np.ndarray) -> np.ndarray:
    """Whether metal was near the edges (n,) below the points of a surface; false where there is no edge."""
    depth = np.nan_to_num(offset)[:, None] + _NO_METAL_MM
    places = surface.points[:, None] - depth[..., None] * surface.normals[:, None]
    return clean.at(places).any(axis=1)


def _half_of_way_to_half_maximum(
    surface: Surface, volume: Volume, excluded: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """How far (n,) in mm the middle of edge and half maximum is from the edge; 0 where there is only one."""
    other = measure_cortex(surface, volume, Calibration.none(), method="half-maximum", excluded=excluded)
    return np.nan_to_num(0.5 * (other.periosteal_offset - offset))


def _hidden_mm(surface: Surface, volume: Volume, thickness: np.ndarray) -> np.ndarray:
    """Length (n,) in mm over which an edge may be anywhere, as the whole cortex lies in one slice.

    A slice that swallows both edges tells the mass and not the place; the noise does not show that. At the
    angle θ to the slices' normal, a slice of spacing Δ is seen over Δ sin²θ / cos θ of its depth Δ cos θ.
    """
    across = np.maximum(np.abs(surface.normals @ volume.slice_normal), 0.5)
    unseen = volume.spacing_mm[2] * (across - (1.0 - across**2) / across)
    thinnest, (first, second) = np.where(np.isfinite(thickness), thickness, np.inf), surface.edges.T
    for _ in range(_RINGS):
        before = thinnest.copy()
        np.minimum.at(thinnest, first, before[second])
        np.minimum.at(thinnest, second, before[first])
    return np.maximum(unseen - thinnest, 0.0)

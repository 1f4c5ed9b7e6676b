"""From a surface near the bone to the exact one and its label map: the last steps to a found femur."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..closest import closest_points
from ..progress import Progress
from ..segmentation.exact import exact_surface
from ..segmentation.voxelised import labelled
from ..surface import Surface
from ..volume import Volume
from .found_femur import described
from .found_verdict import shares
from .known_labels import FEMUR_LABELS
from .outer_edge import outer_edges
from .provenance import Stopwatch

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
        Of the exact surface.

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

"""Repair the femur that another tool labelled, and move its surface to the edge of the bone in the CT."""

from __future__ import annotations

from ...core.progress import Progress
from ...core.side import check_side
from ...core.volume import Volume
from ...io.volume_checks import check_overlap
from ...io.volume_warnings import thickness_warnings
from ...segmentation import periosteal_surface
from ...segmentation.mask.bone_mask import repair
from ..provenance import Stopwatch
from .found_femur import FoundFemur
from .known_labels import label_of_femur
from .refine_femur import exact_femur
from .verdict import Evidence, judge


def repaired_femur(
    volume: Volume,
    labelmap: Volume,
    side: str,
    label: int | None = None,
    spacing_mm: float = 1.2,
    progress: Progress | None = None,
) -> FoundFemur:
    """Repair a femur's label, and refine it by the CT.

    Holes are closed; islands and parts on a thin bridge are dropped; then the surface is moved to the edge of
    the bone, by up to a few millimetres. Bone that the tool gave to another label, deeper than
    that, stays lost; `find_femurs` finds it.

    Parameters
    ----------
    volume : Volume
        CT in HU.
    labelmap : Volume
        Its grid may differ from the CT's.
    side : {"left", "right"}
        Side of the body.
    label : int, optional
        Which label is the femur; by default the only one, or that of the side in the map of a known tool.
    spacing_mm : float
        Mean distance between neighbouring vertices in mm.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    FoundFemur
        Without head and shape; its notes list the repairs.

    Raises
    ------
    CorticalBoneMappingError
        If the label does not exist, is not a single bone, or lies elsewhere than the CT.
    """
    progress = progress or Progress()
    check_side(side)
    watch, notes = Stopwatch(), []
    if label is None:
        label, notes = label_of_femur(labelmap, side)
    check_overlap(volume, labelmap, label)
    progress.report(0.0, "Repairing the label")
    with watch.time("repair"):
        repaired, done = repair(labelmap, label)
        start = periosteal_surface(repaired, 1, spacing_mm, progress.part(0.1, 0.3))
    exact = exact_femur(start.surface, volume, side, spacing_mm, watch, progress.part(0.3, 0.9))
    evidence = Evidence(**exact.evidence)
    verdict, reasons = judge(evidence)
    progress.report(1.0, f"The {side} femur: {verdict}")
    return FoundFemur(
        side=side,
        verdict=verdict,
        reasons=reasons,
        surface=exact.surface,
        labelmap=exact.labelmap,
        notes=[*volume.warnings, *thickness_warnings(volume), *notes, *done, *start.notes, *exact.notes],
        evidence=evidence,
        seconds=watch.seconds,
    )

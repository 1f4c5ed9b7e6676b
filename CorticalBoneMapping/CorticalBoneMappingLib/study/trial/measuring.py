"""From the scan of a case to its result: all that the result's numbers follow from is imported here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...progress import Progress
from ...volume import Volume
from ..femur import map_femur
from ..femur_in_scan import femur_in
from ..result import FemurResult
from .shared_scan import scan_of

if TYPE_CHECKING:
    from .scans import Case

Draw = Callable[[Volume, FemurResult], bytes]


def measure_case(case: Case, progress: Progress, draw: Draw | None = None) -> FemurResult:
    """Read the scan of a case and map its femur; `draw` makes the thumbnail of the result."""
    scan = scan_of(case, progress.part(0.0, 0.1))
    volume = scan.volume
    part = progress.part(0.1, 0.35)
    femur, origin = femur_in(volume, case.mask, case.side, case.settings, part, scan.find_heads)
    searched = origin.pop("timings_s", {})  # a record that tells times would be another every time
    result = map_femur(volume, femur, case.side, case.settings, progress.part(0.35, 1.0))
    result.provenance["timings_s"] |= {f"search: {stage}": time for stage, time in searched.items()}
    result = result.with_provenance(segmentation=origin)
    return result if draw is None else replace(result, thumbnail=draw(volume, result))

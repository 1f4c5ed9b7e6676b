"""From the scan of a case to its result: all that the result's numbers follow from is imported here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import CorticalBoneMappingError
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
    return result if draw is None else _with_thumbnail(result, volume, draw)


def _with_thumbnail(result: FemurResult, volume: Volume, draw: Draw) -> FemurResult:
    """Add the thumbnail; a result whose picture fails is a result, and says so."""
    try:
        return replace(result, thumbnail=draw(volume, result))
    except Exception as error:  # whatever it fails of, the measurement is not harmed
        is_said = isinstance(error, CorticalBoneMappingError)
        why = str(error) if is_said else f"{type(error).__name__}: {error}"
        notes = [*result.provenance.get("notes", ()), f"The picture of this case could not be drawn ({why})."]
        return result.with_provenance(notes=notes)

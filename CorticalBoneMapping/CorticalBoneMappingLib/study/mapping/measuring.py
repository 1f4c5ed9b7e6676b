"""Measure a case: from its scan to its result. All that the result's numbers follow from is imported here.

A process keeps the scan that it has read last, so that the other hip needs no second reading or search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import CorticalBoneMappingError
from ...core.progress import Progress
from ...core.surface import Surface
from ...core.volume import Volume
from ...io.input_files import stamp_of
from ...io.volume_files import read_volume
from ...pipeline.find.femur_in_scan import femur_in
from ...pipeline.map_femur import map_femur
from ...pipeline.result import FemurResult
from ...segmentation.detect.hips import HeadDetection, chosen_hips, find_heads

if TYPE_CHECKING:
    from ..study_file.scans import Case


Draw = Callable[[Volume, FemurResult], bytes]


def measure_case(case: Case, progress: Progress, draw: Draw | None = None) -> FemurResult:
    """Read the scan of a case and map its femur; `draw` makes the thumbnail of the result."""
    scan = scan_of(case, progress.part(0.0, 0.1))
    volume = scan.volume
    part = progress.part(0.1, 0.35)
    femur, origin = femur_in(volume, case.mask, case.side, case.settings, part, scan.find_heads)
    searched = origin.pop("timings_s", {})  # with times, every run would give another record
    result = map_femur(volume, femur, case.side, case.settings, progress.part(0.35, 1.0))
    result.provenance["timings_s"] |= {f"search: {stage}": time for stage, time in searched.items()}
    result = result.with_provenance(segmentation=origin)
    return result if draw is None else _with_thumbnail(result, volume, draw)


def _with_thumbnail(result: FemurResult, volume: Volume, draw: Draw) -> FemurResult:
    """Add the thumbnail; if drawing fails, the result has a note instead."""
    try:
        return replace(result, thumbnail=draw(volume, result))
    except Exception as error:  # whatever fails here, the measurement is valid
        is_said = isinstance(error, CorticalBoneMappingError)
        why = str(error) if is_said else f"{type(error).__name__}: {error}"
        notes = [*result.provenance.get("notes", ()), f"The picture of this case could not be drawn ({why})."]
        return result.with_provenance(notes=notes)


class SharedScan:
    """A CT, and the femoral heads in it once they were looked for.

    Parameters
    ----------
    volume : Volume
        In HU.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._heads: list[HeadDetection] | None = None

    def find_heads(
        self,
        volume: Volume,
        femur: Surface,
        side: str | None = None,
        seed: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> list[HeadDetection]:
        """Find as `segmentation.detect.hips.find_heads` does, but search only once for both sides."""
        if self._heads is None:
            self._heads = find_heads(volume, femur, progress=progress)
        return chosen_hips(self._heads, side, seed, volume.source)


_last: dict[tuple[Path, str | None, str, Path | None], SharedScan] = {}


def scan_of(case: Case, progress: Progress | None = None) -> SharedScan:
    """Return the scan of a case, read now unless this process has read it last.

    Raises
    ------
    VolumeError
        If reading fails.
    """
    # The heads follow from the atlas, too.
    key = case.ct, case.series, stamp_of(case.ct), case.settings.atlas
    if key not in _last:
        _last.clear()  # before the next one is read: two would need twice the memory
        _last[key] = SharedScan(read_volume(case.ct, case.series, progress))
    return _last[key]

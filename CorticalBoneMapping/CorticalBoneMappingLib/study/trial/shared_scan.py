"""The scan that a process has read last: its other hip is measured without reading or searching it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...input_files import stamp_of
from ...progress import Progress
from ...segmentation.heads import HeadSighting, asked_for, find_heads
from ...surface import Surface
from ...volume import Volume
from ...volume_files import read_volume

if TYPE_CHECKING:
    from .scans import Case


class SharedScan:
    """A CT, and the femoral heads in it once they were looked for.

    Parameters
    ----------
    volume : Volume
        In HU.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._heads: list[HeadSighting] | None = None

    def find_heads(
        self,
        volume: Volume,
        femur: Surface,
        side: str | None = None,
        seed: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> list[HeadSighting]:
        """Do as `segmentation.heads.find_heads`, whose search is the same whatever side is asked for."""
        if self._heads is None:
            self._heads = find_heads(volume, femur, progress=progress)
        return asked_for(self._heads, side, seed, volume.source)


_last: dict[tuple[Path, str | None, str, Path | None], SharedScan] = {}


def scan_of(case: Case, progress: Progress | None = None) -> SharedScan:
    """Give the scan of a case, read now unless this process has read it last.

    Raises
    ------
    VolumeError
        If it cannot be read.
    """
    # The heads follow from the atlas, too.
    identity = case.ct, case.series, stamp_of(case.ct), case.settings.atlas
    if identity not in _last:
        _last.clear()  # before the next one is read: two would need twice the memory
        _last[identity] = SharedScan(read_volume(case.ct, case.series, progress))
    return _last[identity]

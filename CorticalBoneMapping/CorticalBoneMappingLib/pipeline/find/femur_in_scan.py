"""Get the femur of a CT: from a label map, from a surface, or by a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.progress import Progress
from ...core.volume import Volume
from ...segmentation import PeriostealSurface
from ..settings import MapSettings, with_slice_thickness
from .find_femur import HeadSearch, find_femurs
from .found_files import read_found_labelmap, read_ready_surface, usable, verdict_of

SURFACE_SUFFIX = ".vtp"


def femur_in(
    volume: Volume,
    mask: Path | None,
    side: str,
    settings: MapSettings,
    progress: Progress | None = None,
    search: HeadSearch | None = None,
) -> tuple[Volume | PeriostealSurface, dict[str, Any]]:
    """Return the femur as `map_femur` takes it, with a record of its origin.

    Parameters
    ----------
    volume : Volume
        The CT in HU.
    mask : Path or None
        A label map, or a surface of ``cbm segment``; None to search for the femur.
    side : {"left", "right"}
    settings : MapSettings
        Give atlas, spacing and slice thickness of the search.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    search : callable, optional
        See `find_femurs`.

    Returns
    -------
    femur : Volume or PeriostealSurface
    record : dict
        ``by``, and the verdict and reasons of a femur that was found, now or by ``cbm segment``.

    Raises
    ------
    CorticalBoneMappingError
        If reading the file failed, or no usable femur is found.
    """
    if mask is not None and mask.suffix.lower() == SURFACE_SUFFIX:
        ready = read_ready_surface(mask)
        return ready, {"by": "surface"} | verdict_of(ready.surface)
    if mask is not None:
        labelmap, verdict = read_found_labelmap(mask, side, settings.label)
        return labelmap, {"by": "label map"} | verdict
    volume = with_slice_thickness(volume, settings)
    found = find_femurs(volume, side, None, settings.atlas, settings.spacing_mm, progress, search)
    (femur,) = usable(found, volume.source)
    return femur.ready(), {"by": "found in the CT"} | femur.record()

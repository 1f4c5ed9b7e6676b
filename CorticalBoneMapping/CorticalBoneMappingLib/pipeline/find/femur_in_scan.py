"""Where the femur is in a CT: told by a label map or a surface, or found."""

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
    """Return where the femur is, as `map_femur` takes it, and how that is known.

    Parameters
    ----------
    volume : Volume
        The CT in HU.
    mask : Path or None
        A label map, or a surface of ``cbm segment``; None where the femur has to be found.
    side : {"left", "right"}
    settings : MapSettings
        Whose atlas, spacing and slice thickness the search takes.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    search : callable, optional
        See `find_femurs`.

    Returns
    -------
    femur : Volume or PeriostealSurface
    record : dict
        ``by``, and of a femur that was found, now or by ``cbm segment``, its verdict and reasons.

    Raises
    ------
    CorticalBoneMappingError
        If the file cannot be read, or no femur is found well enough to be used.
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

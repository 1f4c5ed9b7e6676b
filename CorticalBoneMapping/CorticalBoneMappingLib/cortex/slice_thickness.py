"""Which slice thickness a scan is measured with: what is stated of it, or what its image shows."""

from __future__ import annotations

from dataclasses import dataclass

from ..volume import GIVEN, Volume
from .scan import Scan
from .slice_profile import SliceWidth, measure_slice_width

ASSUMED, HEADER, MEASURED = "assumed: the spacing", "the scan's header", "measured in the image"


@dataclass(frozen=True)
class SliceThickness:
    """The slice thickness of a scan, and where it comes from.

    Attributes
    ----------
    used_mm : float
        The one to measure with.
    used_from : str
        `GIVEN`, `MEASURED`, `ASSUMED`, or where the scan states it: `HEADER`, or the name of a file.
    stated_mm : float
        What was given or stated, else the spacing.
    stated_from : str
        Where that comes from.
    spacing_mm : float
        From slice to slice.
    seen : SliceWidth or None
        What the image shows; None where it does not show it.
    """

    used_mm: float
    used_from: str
    stated_mm: float
    stated_from: str
    spacing_mm: float
    seen: SliceWidth | None

    @property
    def record(self) -> dict[str, float | str | None]:
        """All of it, for the record."""
        return {
            "slice_thickness_mm": self.used_mm,
            "slice_thickness_from": self.used_from,
            "slice_thickness_seen_mm": self.seen and round(self.seen.width_mm, 3),
            "slice_thickness_seen_sd_mm": self.seen and round(self.seen.sd_mm, 3),
        }

    @property
    def warning(self) -> str | None:
        """Say where the image shows another thickness than is stated; None where it does not."""
        if self.used_from == MEASURED and self.stated_from == ASSUMED:
            return (
                f"The slice thickness is not known. The slices are {self.spacing_mm:.3g} mm apart, but the "
                f"image shows a thickness of {self._seen}, which was used. If you know it, give it."
            )
        if self.used_from == MEASURED:
            return (
                f"The slice thickness is {self.stated_mm:.3g} mm by {self.stated_from}, but the image shows "
                f"{self._seen}, which was used. If {self.stated_mm:.3g} mm is right, give it."
            )
        if self.seen is not None and self.seen.contradicts:
            return (
                f"The slice thickness was given as {self.stated_mm:.3g} mm, but the image shows "
                f"{self._seen}. Thickness and density depend on it; check it."
            )
        return None

    @property
    def _seen(self) -> str:
        return f"{self.seen.width_mm:.2f} ± {self.seen.sd_mm:.2f} mm"


def choose_slice_thickness(scan: Scan, volume: Volume) -> SliceThickness:
    """Compare the stated slice thickness with the image, and choose.

    What a user gave is used in any case. What a header or another program states gives way to the image where
    no slice profile of that thickness explains it; the mere spacing, where it differs clearly.

    Parameters
    ----------
    scan : Scan
        Sampled from `volume`.
    volume : Volume

    Returns
    -------
    SliceThickness
    """
    stated, spacing = scan.sampled.slice_thickness_mm, float(volume.spacing_mm[2])
    origin = ASSUMED if volume.slice_thickness_mm is None else volume.slice_thickness_from or HEADER
    seen = measure_slice_width(scan)
    is_other = seen is not None and (seen.differs if origin == ASSUMED else seen.contradicts)
    if is_other and origin != GIVEN:
        return SliceThickness(seen.width_mm, MEASURED, stated, origin, spacing, seen)
    return SliceThickness(stated, origin, stated, origin, spacing, seen)

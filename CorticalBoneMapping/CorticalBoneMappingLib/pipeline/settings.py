"""Settings of the map of one femur; the command line, the panel and the record read the same ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import SettingError
from ..core.volume import GIVEN, Volume
from ..cortex import METHODS

# Bounds, chosen by hand.
_SPACING_MM = (0.4, 5.0)
_FWHM_MM = (0.0, 40.0)
_KVP = (70.0, 150.0)
_SLICE_THICKNESS_MM = (0.2, 10.0)
HARDENING = ("auto", "on", "off")


@dataclass(frozen=True)
class MapSettings:
    """Settings for one femur.

    Attributes
    ----------
    label : int or None
        Value of the femur in the label map; None where the label map holds only one.
    method : str
        One of `cortex.METHODS`.
    cortical_density : float or None
        Density of the cortex in the calibrated unit (HU without calibration): of every point for
        ``constant-density``, of thick cortex for ``surface-map``; None estimates it from the scan.
    calibration : str
        ``none``, ``linear:SLOPE,INTERCEPT``, ``rods:FILE`` or ``internal``; see `parse_calibration`.
    spacing_mm : float
        Distance between neighbouring points of the surface, 0.4 to 5 mm.
    smoothing_fwhm_mm : float
        Smoothing of the maps on the average femur, full width at half maximum, 0 (none) to 40 mm.
    hardening : {"auto", "on", "off"}
        Whether beam hardening by bone is corrected before a CT with rods or a given line is measured;
        "auto" where the CT shows that it is needed. See `correct_hardening`.
    kvp : float or None
        Voltage of the X-ray tube, 70 to 150 kV; None for that of the CT, else 120.
    slice_thickness_mm : float or None
        Width of the slice profile, 0.2 to 10 mm; None for what the scan states or, without that, what
        its image shows. See `choose_slice_thickness`.
    atlas : Path or None
        Folder of the average femur to map to, as ``cbm atlas build`` wrote it; None for the one that is
        shipped.

    Raises
    ------
    SettingError
        If a value is outside its bounds.
    """

    label: int | None = None
    method: str = "surface-map"
    cortical_density: float | None = None
    calibration: str = "none"
    spacing_mm: float = 1.2
    smoothing_fwhm_mm: float = 0.0
    hardening: str = "auto"
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    atlas: Path | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SettingError(
                f"The method '{self.method}' is not known; choose one of {', '.join(METHODS)}."
            )
        check_spacing(self.spacing_mm)
        _check_range("smoothing", self.smoothing_fwhm_mm, _FWHM_MM, "mm")
        if self.hardening not in HARDENING:
            raise SettingError(
                f"The correction of beam hardening is {', '.join(HARDENING)}, not '{self.hardening}'."
            )
        if self.kvp is not None:
            _check_range("tube voltage", self.kvp, _KVP, "kV")
        if self.slice_thickness_mm is not None:
            _check_range("slice thickness", self.slice_thickness_mm, _SLICE_THICKNESS_MM, "mm")
        if self.label is not None and self.label < 1:
            raise SettingError(f"The label of the femur is a number from 1 up, not {self.label}.")
        if self.cortical_density is not None and not math.isfinite(self.cortical_density):
            raise SettingError(f"The cortical density has to be a number, not {self.cortical_density}.")


def check_spacing(spacing_mm: float) -> None:
    """Refuse a distance between points of the surface that is out of bounds.

    Raises
    ------
    SettingError
        If `spacing_mm` is not between 0.4 and 5 mm.
    """
    _check_range("distance between points", spacing_mm, _SPACING_MM, "mm")


def with_slice_thickness(volume: Volume, settings: MapSettings) -> Volume:
    """Return a CT with the slice thickness of the settings, if they give one, in place of its own."""
    if settings.slice_thickness_mm is None:
        return volume
    return replace(volume, slice_thickness_mm=settings.slice_thickness_mm, slice_thickness_from=GIVEN)


def _check_range(name: str, value: float, limits: tuple[float, float], unit: str) -> None:
    if not limits[0] <= value <= limits[1]:
        raise SettingError(
            f"The {name} has to be {limits[0]:g} to {limits[1]:g} {unit}, not {value:g} {unit}."
        )

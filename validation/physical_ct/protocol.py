"""What can be chosen about a physical scan, and the protocols of the accuracy table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CorticalBoneMappingLib.core.errors import SettingError

from .reconstruction import KERNELS

PROFILES = ("rectangle", "trapezoid", "triangle")
_TRAPEZOID_FLANK = 0.4  # of the thickness, each

# name -> (lowest, highest, unit)
_BOUNDS = {
    "pixel_mm": (0.2, 1.5, "mm"),
    "slice_spacing_mm": (0.2, 6.0, "mm"),
    "slice_thickness_mm": (0.2, 6.0, "mm"),
    "noise_hu": (0.0, 100.0, "HU"),
    "kvp": (70.0, 150.0, "kV"),
    "length_mm": (2.0, 240.0, "mm"),
    "thickness_factor": (0.3, 2.0, ""),
    "joint_space_mm": (1.0, 6.0, "mm"),
}


@dataclass(frozen=True)
class Protocol:
    """A scan, and the kind of patient it is made of.

    Attributes
    ----------
    pixel_mm, slice_spacing_mm, slice_thickness_mm : float
        Voxels, and the full width at half maximum of the slice profile.
    profile : {"rectangle", "trapezoid", "triangle"}
        Shape of the slice profile; the last two overlap their neighbours.
    kernel : {"soft", "standard", "bone"}
        Of the reconstruction; "bone" overshoots at edges.
    noise_hu : float
        Standard deviation at the centre of the femoral head; 0 for none.
    beam_hardening : bool
        Whether the beam is polychromatic, or of the one energy that gives the same HU per density.
    kvp : float
        Voltage of the tube.
    length_mm : float
        Length of the scan from 12 mm above the head down.
    thickness_factor : float or None
        Cortical thickness of the patient relative to the average; None leaves the patient as drawn.
    joint_space_mm : float
        Between femoral head and acetabulum.

    Raises
    ------
    SettingError
        If a value is outside its bounds.
    """

    pixel_mm: float = 0.6
    slice_spacing_mm: float = 1.0
    slice_thickness_mm: float = 1.0
    profile: str = "rectangle"
    kernel: str = "standard"
    noise_hu: float = 14.0
    beam_hardening: bool = True
    kvp: float = 120.0
    length_mm: float = 120.0
    thickness_factor: float | None = None
    joint_space_mm: float = 4.0

    def __post_init__(self) -> None:
        for name, (low, high, unit) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:  # also refuses not-a-number
                label = name.replace("_", " ")
                raise SettingError(
                    f"The {label} is {value:g}: choose a value from {low:g} to {high:g} {unit}".strip() + "."
                )
        for label, value, known in (("kernel", self.kernel, KERNELS), ("profile", self.profile, PROFILES)):
            if value not in known:
                raise SettingError(f"The {label} '{value}' is not known: choose {', '.join(known)}.")

    @property
    def row_mm(self) -> float:
        """Width of a detector row at the axis: a slice consists of whole rows of at most 0.5 mm."""
        return self.slice_spacing_mm / np.ceil(self.slice_spacing_mm / 0.5 - 1e-9)

    def row_weights(self, offset_mm: np.ndarray) -> np.ndarray:
        """Give the share of rows in a slice.

        Parameters
        ----------
        offset_mm : ndarray of shape (n,)
            From the middle of the slice to that of each row; they cover the profile, one row apart.

        Returns
        -------
        ndarray of shape (n,)
            Sum 1.
        """
        part = (np.arange(32) + 0.5) / 32 - 0.5
        place = np.abs(offset_mm[:, None] + part * self.row_mm) / self.slice_thickness_mm
        flank = {"rectangle": 1e-6, "trapezoid": _TRAPEZOID_FLANK, "triangle": 1.0}[self.profile]
        weight = np.clip(0.5 + (0.5 - place) / flank, 0.0, 1.0).mean(axis=1)
        return weight / weight.sum()

    @property
    def reach_mm(self) -> float:
        """Half the full width of the slice profile."""
        flank = {"rectangle": 0.0, "trapezoid": _TRAPEZOID_FLANK, "triangle": 1.0}[self.profile]
        return 0.5 * self.slice_thickness_mm * (1.0 + flank)


PROTOCOLS: dict[str, Protocol] = {
    "finest": Protocol(0.4, 0.6, 0.6, noise_hu=20.0, beam_hardening=False),
    "fine": Protocol(0.6, 1.0, 1.0, noise_hu=14.0, beam_hardening=False),
    "coarse": Protocol(0.8, 2.5, 2.5, "trapezoid", noise_hu=24.0, thickness_factor=0.7, joint_space_mm=2.0),
    "mid": Protocol(0.7, 3.0, 3.0, noise_hu=20.0),
    "thick": Protocol(0.9, 3.0, 3.0, "trapezoid", "soft", noise_hu=16.0, thickness_factor=0.8),
    "bone": Protocol(0.6, 1.0, 1.0, "triangle", "bone", noise_hu=35.0),
}

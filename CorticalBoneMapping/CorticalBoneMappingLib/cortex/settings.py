"""Settings of the measurement of the cortex."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import SettingError
from ..core.metal import METAL_HU

# name -> (lowest, highest, unit); densities may be HU or mg/cm³, so their bounds are wide.
# Defaults and bounds are chosen by hand.
_BOUNDS = {
    "cortical_density": (100.0, 5000.0, "mg/cm³ (HU without calibration)"),
    "in_plane_sigma_mm": (0.1, 3.0, "mm"),
    "outside_mm": (3.0, 15.0, "mm"),
    "inside_mm": (5.0, 30.0, "mm"),
    "step_mm": (0.1, 1.0, "mm"),
    "highest_density": (500.0, 10000.0, "mg/cm³ (HU without calibration)"),
    "metal_hu": (1500.0, 30000.0, "HU"),
}


@dataclass(frozen=True)
class CortexSettings:
    """Settings of every method; the command line and the panel show the same ones.

    Attributes
    ----------
    cortical_density : float or None
        Density of the cortex for `constant-density`, in the calibrated unit (HU without calibration);
        None estimates it from the bone's own thick cortex.
    in_plane_sigma_mm : float or None
        Gaussian blur of the scan in its plane; None estimates it from the bone's own thick cortex.
    outside_mm, inside_mm : float
        Reach of the sampled line from the surface.
    step_mm : float or None
        Distance between samples; None takes half a pixel (between 0.2 and 0.5 mm).
    highest_density : float
        A point with a denser cortex is rejected.
    metal_hu : float
        What is above it is metal.

    Raises
    ------
    SettingError
        If a value is outside its bounds.
    """

    cortical_density: float | None = None
    in_plane_sigma_mm: float | None = None
    outside_mm: float = 7.0
    inside_mm: float = 13.0
    step_mm: float | None = None
    highest_density: float = 3000.0
    metal_hu: float = METAL_HU

    def __post_init__(self) -> None:
        for name, (lowest, highest, unit) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:  # also refuses not-a-number
                label = name.replace("_", " ")
                raise SettingError(
                    f"The {label} is {value:g}: choose a value from {lowest:g} to {highest:g} {unit}."
                )

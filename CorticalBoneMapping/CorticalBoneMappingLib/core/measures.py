"""The measures of a cortical map: name, label, unit and the range in which everyone shows them.

One table serves files, pictures, Slicer and reports, so that two maps are always seen on one scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


@dataclass(frozen=True)
class Measure:
    """One quantity at every point of the surface.

    Attributes
    ----------
    name : str
        Name of the point array in files.
    label : str
        What a person reads.
    unit : str
        Unit when the CT is calibrated.
    uncalibrated_unit : str
        Unit when it is not.
    range : tuple of float
        Fixed range of the colour scale, in `unit`.
    is_uncertainty : bool
        Whether it is the standard deviation of another measure; not every method gives it.
    """

    name: str
    label: str
    unit: str
    uncalibrated_unit: str
    range: tuple[float, float]
    is_uncertainty: bool = False

    def unit_for(self, calibrated: bool) -> str:
        """Unit of the values, by whether the CT was calibrated."""
        return self.unit if calibrated else self.uncalibrated_unit


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("cortical_thickness", "Cortical thickness", "mm", "mm", (0.0, 6.0)),
        Measure("cortical_density", "Cortical density", "mg/cm³", "HU", (400.0, 1400.0)),
        Measure(
            "cortical_mass_surface_density", "Cortical mass surface density", "mg/cm²", "HU·cm", (0.0, 600.0)
        ),
        Measure("trabecular_density", "Trabecular density", "mg/cm³", "HU", (-100.0, 500.0)),
        Measure("local_cortical_thickness", "Local cortical thickness", "mm", "mm", (0.0, 6.0)),
        Measure("fit_residual", "Fit residual", "mg/cm³", "HU", (0.0, 100.0)),
        Measure("cortical_thickness_sd", "SD of cortical thickness", "mm", "mm", (0.0, 0.3), True),
        Measure("cortical_density_sd", "SD of cortical density", "mg/cm³", "HU", (0.0, 100.0), True),
        Measure(
            "cortical_mass_surface_density_sd",
            "SD of cortical mass surface density",
            "mg/cm²",
            "HU·cm",
            (0.0, 20.0),
            True,
        ),
    )
}


DENSITY_KNOWN_SHARE = 0.04
"""A cortical density whose standard deviation is a larger share of it is not known from the scan: thin cortex
shows its mass, and the density given there is that of the bone's thick cortex. Chosen by hand: a treatment
changes density by 2 to 4 %."""


def density_is_known(density: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return where the scan shows the cortical density.

    Parameters
    ----------
    density, sd : ndarray of shape (n,)
        Of the cortex, and its standard deviation, in one unit; not-a-number where nothing was measured.

    Returns
    -------
    ndarray of bool, shape (n,)
        False also where nothing was measured.
    """
    with np.errstate(invalid="ignore"):
        return sd <= DENSITY_KNOWN_SHARE * np.abs(density)


def measure_named(name: str, unit: str = "", shown: tuple[float, float] = (0.0, 1.0)) -> Measure:
    """Give a measure by the name under which a file or scene stores it.

    Parameters
    ----------
    name : str
        One of `MEASURES`; any other is that of a measure that is not known any more, or not yet.
    unit : str
        Unit of the stored values, for a measure that is not known.
    shown : tuple of float
        Range in which such a measure is shown.

    Returns
    -------
    Measure
        Its label is the stored name where the measure is not known.

    Examples
    --------
    >>> measure_named("cortical_thickness").unit
    'mm'
    """
    return MEASURES.get(name) or Measure(name, name, unit, unit, shown)


class VertexStatus(IntEnum):
    """Why a point carries a value or none; the point array ``quality`` in files.

    Values other than `GOOD` have not-a-number in every measure, and are counted, never filled.
    """

    GOOD = 0
    NOT_MEASURED = 1  # a cap at a truncation, without cortex to measure
    OUTSIDE_SCAN = 2  # the sampling line leaves the CT
    NO_CORTEX = 3  # no step of density that could be a cortex: a finding, not a failure
    FIT_FAILED = 4  # the fit did not converge or broke its bounds
    METAL = 5  # an implant is on the line


STATUS_LABELS: dict[VertexStatus, str] = {
    VertexStatus.GOOD: "measured",
    VertexStatus.NOT_MEASURED: "not measured (cut end of the bone)",
    VertexStatus.OUTSIDE_SCAN: "outside the scan",
    VertexStatus.NO_CORTEX: "no measurable cortex",
    VertexStatus.FIT_FAILED: "fit failed",
    VertexStatus.METAL: "metal",
}

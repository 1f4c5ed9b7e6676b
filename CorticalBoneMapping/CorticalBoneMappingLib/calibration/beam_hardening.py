"""Check a calibration by rods against the patient's own tissues.

Rods lie under the patient, where the beam is softer than amid the body: the same density is brighter there.
Bone calibrated by them therefore reads low, by up to a tenth where much bone or a large body surrounds it.
The HU of tissues do not show that share, since the true density of some bone would be needed. So a
calibration states it and counts it as uncertainty, and does not correct it. Fat and muscle do show an
*offset* between patient and rods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.volume import Volume
from .attenuation import REFERENCE_TISSUES, WATER_IN_SOLUTION, effective_energy, hu_per_density
from .tissues import TissueSample, find_tissues

HARDENING_RELATIVE_SD = 0.06
"""Uncertainty of bone density by beam hardening, the root mean square of 0 to -10 % (calibration.md)."""

HARDENING_STATEMENT = (
    "Rods under the patient are brighter than the same density amid the body: bone calibrated by them may "
    "read up to 10 % low. The calibration does not correct this; it is part of calibration_sd."
)

# 80 to 140 kVp are 55 to 80 keV behind a hip (Docs/validation/calibration.md); the margin is chosen by hand.
_ENERGY_RANGE_KEV = (50.0, 95.0)
_CORTEX_RANGE = (0.75, 1.25)  # relative to the reference cortex; chosen by hand, not tuned
_SUSPECT = 2.0  # standard deviations; chosen by hand


@dataclass(frozen=True)
class PatientCheck:
    """The patient's tissues by a calibration from rods.

    Attributes
    ----------
    tissues : tuple of TissueSample
        What was found in the patient.
    energy_kev : float
        Effective energy at which K2HPO4 is as bright as in the rods.
    soft_tissue_offset_hu, soft_tissue_offset_sd_hu : float or None
        Fat and muscle above their reference at that energy, and its uncertainty (people differ); None where
        neither was found.
    cortex_relative, cortex_relative_sd : float or None
        Density of dense cortex relative to ICRU 44 cortical bone, and its standard deviation
        between people; None where the CT has no thick cortex.
    """

    tissues: tuple[TissueSample, ...]
    energy_kev: float
    soft_tissue_offset_hu: float | None
    soft_tissue_offset_sd_hu: float | None
    cortex_relative: float | None
    cortex_relative_sd: float | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the densities should know, in sentences."""
        warnings = []
        low, high = _ENERGY_RANGE_KEV
        if not low <= self.energy_kev <= high:
            warnings.append(
                f"The rods are as bright as in a beam of {self.energy_kev:.0f} keV, but CT has {low:.0f} to "
                f"{high:.0f} keV: is this the certificate of this phantom?"
            )
        offset, sd = self.soft_tissue_offset_hu, self.soft_tissue_offset_sd_hu
        if offset is not None and abs(offset) > _SUSPECT * sd:
            warnings.append(
                f"Fat and muscle are {offset:+.0f} ± {sd:.0f} HU off the value expected from the rods: "
                "patient and rods are not on one scale, and densities are off by about as many HU."
            )
        relative = self.cortex_relative
        if relative is not None and not _CORTEX_RANGE[0] <= relative <= _CORTEX_RANGE[1]:
            warnings.append(
                f"Thick cortex has {relative:.0%} of a reference adult's density: check the calibration."
            )
        return tuple(warnings)


def compare_with_patient(volume: Volume, slope: float, intercept: float) -> PatientCheck:
    """Compare a calibration to K2HPO4 with the patient's own tissues.

    Parameters
    ----------
    volume : Volume
        The CT in HU.
    slope, intercept : float
        mg/cm³ of K2HPO4 per HU, and mg/cm³ at 0 HU.

    Returns
    -------
    PatientCheck
    """
    found = find_tissues(volume)
    energy = effective_energy(1.0 / slope)
    soft = [found[name] for name in ("adipose", "muscle") if name in found]
    offset = offset_sd = None
    if soft:
        above = np.array([tissue.hu - REFERENCE_TISSUES[tissue.name].hu(energy) for tissue in soft])
        sd = np.array([_spread_hu(tissue.name, energy) for tissue in soft])
        weight = sd**-2 / np.sum(sd**-2)
        offset, offset_sd = float(weight @ above), float(np.sum(sd**-2) ** -0.5)
    relative = None
    if "cortical bone" in found:
        density = slope * found["cortical bone"].hu + intercept
        relative = density / _reference_cortex(energy)
    sd = REFERENCE_TISSUES["cortical bone"].relative_sd if relative is not None else None
    return PatientCheck(tuple(found.values()), energy, offset, offset_sd, relative, sd)


def _spread_hu(name: str, energy: float) -> float:
    reference = REFERENCE_TISSUES[name]
    return 1000.0 * reference.relative_attenuation(energy) * reference.relative_sd


def _reference_cortex(energy: float) -> float:
    """Return the K2HPO4-equivalent density (mg/cm³) of ICRU 44 cortical bone."""
    attenuation = REFERENCE_TISSUES["cortical bone"].relative_attenuation(energy)
    return 1000.0 * (attenuation - WATER_IN_SOLUTION[0]) / hu_per_density(energy)

"""Calibrate without a phantom: the patient's own air, fat, muscle and dense cortex show the beam's energy.

After Michalski, Besler, Michalak and Boyd 2020, Med Eng Phys 78:55: the effective energy is the one at which
the reference attenuations of the tissues fit their HU best. Here the fit also includes how much tissues
differ between people and how far scanners are off, so it gives the uncertainty of the density.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from ..core.errors import CalibrationError
from ..core.volume import Volume
from .attenuation import REFERENCE_TISSUES, WATER_IN_SOLUTION, hu_per_density
from .tissues import TissueSample, find_tissues

# Priors: 80 to 140 kVp behind a hip are about 55 to 80 keV (Docs/validation/calibration.md). A scanner in
# order shows water within 4 HU and air within 3 HU (one standard deviation each, by hand); the gain is their
# difference, √(4² + 3²) = 5 HU.
_ENERGY_KEV, _ENERGY_SD_KEV, _ENERGY_BOUNDS_KEV = 70.0, 9.0, (40.0, 120.0)
_GAIN_SD_HU, _OFFSET_SD_HU = 5.0, 3.0
_MOST_DEVIATION = 4.0  # standard deviations of a tissue from its reference; chosen by hand
_STEP_KEV = 0.1  # of the derivative; numerical


@dataclass(frozen=True)
class InternalFit:
    """The calibration line fitted to the patient's tissues.

    Attributes
    ----------
    tissues : tuple of TissueSample
        The tissues used.
    reference_hu, reference_sd_hu : tuple of float
        Expected HU of each at the energy found, and its standard deviation.
    energy_kev, energy_sd_kev : float
        Effective energy of the beam.
    cortex_pull : float
        Share of this patient's own deviation from the reference cortex that the calibration attributes to the
        scanner, and so removes from cortical density; 0 without the cortex.
    slope, intercept : float
        Of the density, mg/cm³ per HU and mg/cm³ at 0 HU.
    covariance : tuple of tuple of float
        Of slope and intercept.
    """

    tissues: tuple[TissueSample, ...]
    reference_hu: tuple[float, ...]
    reference_sd_hu: tuple[float, ...]
    energy_kev: float
    energy_sd_kev: float
    cortex_pull: float
    slope: float
    intercept: float
    covariance: tuple[tuple[float, float], tuple[float, float]]


def internal_calibration(volume: Volume, with_cortex: bool = True) -> InternalFit:
    """Calibrate by the patient's own tissues.

    Unknown are the effective energy E, the scanner's gain g and its offset c; a tissue of linear
    attenuation μ(E) relative to water's shows ``(1000 + g) μ(E) - 1000 + c`` HU. They are fitted by least
    squares, each tissue weighted by how much it differs between people, with priors on all three.
    The HU of K2HPO4 in water at that energy are then the calibration; its covariance is the fit's.

    Parameters
    ----------
    volume : Volume
        The CT in HU. Fat and muscle are needed; air and thick cortex are used where the CT has them.
    with_cortex : bool
        Whether dense cortex is one of the references. It halves the uncertainty, but takes part of each
        person's own density for the scanner's (`InternalFit.cortex_pull`).

    Returns
    -------
    InternalFit

    Raises
    ------
    CalibrationError
        If fat or muscle is not found, or a tissue is further from its reference than tissues are.
    """
    found = find_tissues(volume)
    for name, where in (("adipose", "subcutaneous fat"), ("muscle", "muscle")):
        if name not in found:
            raise CalibrationError(
                f"{volume.source}: not enough {where} was found to calibrate by the patient's own tissues. "
                "Use a less cropped CT, the rods of a phantom, or a known line (linear:SLOPE,INTERCEPT)."
            )
    if not with_cortex:
        found.pop("cortical bone", None)
    fit = fit_tissues(tuple(found.values()))
    _check(fit, volume.source)
    return fit


def fit_tissues(tissues: tuple[TissueSample, ...]) -> InternalFit:
    """Fit the energy to tissues that are measured already; see `internal_calibration`."""
    references = [REFERENCE_TISSUES[tissue.name] for tissue in tissues]
    measured = np.array([tissue.hu for tissue in tissues])

    def expected(unknown: np.ndarray) -> np.ndarray:
        energy, gain, offset = unknown
        attenuation = np.array([reference.relative_attenuation(energy) for reference in references])
        return (1000.0 + gain) * attenuation - 1000.0 + offset

    start = np.array([_ENERGY_KEV, 0.0, 0.0])
    attenuation = (expected(start) + 1000.0) / 1000.0
    sd = np.hypot(1000.0 * attenuation * [reference.relative_sd for reference in references], 1.0)
    prior_sd = np.array([_ENERGY_SD_KEV, _GAIN_SD_HU, _OFFSET_SD_HU])

    def deviations(unknown: np.ndarray) -> np.ndarray:
        return np.concatenate([(measured - expected(unknown)) / sd, (unknown - start) / prior_sd])

    limits = np.array([_ENERGY_BOUNDS_KEV, (-50.0, 50.0), (-50.0, 50.0)]).T
    solved = least_squares(deviations, start, bounds=limits, x_scale=prior_sd, diff_step=1e-4)
    covariance = np.linalg.inv(solved.jac.T @ solved.jac)
    line, by_unknown = _line(solved.x)
    pull = 0.0
    for n, tissue in enumerate(tissues):
        if tissue.name == "cortical bone":
            by_hu = -by_unknown[0] @ covariance @ solved.jac[n] / sd[n]
            pull = float(-by_hu * tissue.hu / line[0])
    of_line = by_unknown @ covariance @ by_unknown.T
    return InternalFit(
        tissues,
        tuple(expected(solved.x).tolist()),
        tuple(sd.tolist()),
        float(solved.x[0]),
        float(np.sqrt(covariance[0, 0])),
        pull,
        float(line[0]),
        float(line[1]),
        tuple(map(tuple, of_line.tolist())),
    )


def _line(unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of the density, shape (2,), and their derivatives by (E, g, c), shape (2, 3)."""

    def line(energy: float, gain: float, offset: float) -> np.ndarray:
        sigma = (1.0 + gain / 1000.0) * hu_per_density(energy)
        beta = (1000.0 + gain) * WATER_IN_SOLUTION[0] - 1000.0 + offset
        return np.array([1.0 / sigma, -beta / sigma])

    steps = np.diag([_STEP_KEV, 0.1, 0.1])
    slopes = [(line(*(unknown + step)) - line(*(unknown - step))) / (2 * step.sum()) for step in steps]
    return line(*unknown), np.array(slopes).T


def _check(fit: InternalFit, source: str) -> None:
    """Refuse tissues that are too far from their reference."""
    for tissue, reference, sd in zip(fit.tissues, fit.reference_hu, fit.reference_sd_hu):
        most = _MOST_DEVIATION * max(sd, _GAIN_SD_HU)
        if abs(tissue.hu - reference) > most:
            raise CalibrationError(
                f"{source}: the tissue found as {tissue.name} has {tissue.hu:.0f} HU, but {reference:.0f} "
                f"± {most:.0f} HU would fit the other tissues, so they do not give a calibration. Are the "
                "CT's values HU? Else use the rods of a phantom or a known line (linear:SLOPE,INTERCEPT)."
            )

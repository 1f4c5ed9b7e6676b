"""The calibration line through the rods of a phantom, and how well they fit it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..core.errors import CalibrationError
from .attenuation import MINDWAYS_OFFSET_HU, MINDWAYS_SLOPE
from .rods import Rods, checked_equivalent

_LEAST_CORRELATION = 0.99  # of HU with density; chosen by hand, not tuned


@dataclass(frozen=True)
class RodFit:
    """How well the rods agree with one line.

    Attributes
    ----------
    rods : Rods
        What was fitted.
    residuals_hu : tuple of float
        Measured minus fitted HU of each rod.
    rms_hu : float
        Root mean square of the residuals.
    correlation : float
        Pearson's, of HU (less the water term) with density.
    slope_se, intercept_se : float or None
        Standard errors of the calibration's slope and intercept by this fit alone; None with two rods,
        which fit exactly.
    """

    rods: Rods
    residuals_hu: tuple[float, ...]
    rms_hu: float
    correlation: float
    slope_se: float | None
    intercept_se: float | None


class RodLine(NamedTuple):
    """Density as ``slope * HU + intercept``, by rods.

    Attributes
    ----------
    slope, intercept : float
        mg/cm³ per HU, and mg/cm³ at 0 HU.
    equivalent : str or None
        "K2HPO4" or "HA", where it is stated.
    covariance : ndarray of shape (2, 2), or None
        Of slope and intercept by the scatter of the rods; None with two rods.
    fit : RodFit
        How well the rods agree.
    """

    slope: float
    intercept: float
    equivalent: str | None
    covariance: np.ndarray | None
    fit: RodFit


def fit_rods(rods: Rods) -> RodLine:
    """Fit the rods of a phantom: Mindways' solid K2HPO4 if they have a water term, else any table.

    HU less the water term is regressed on density, ``HU - water = sigma * density + beta``; the
    line is then inverted, ``density = (HU - beta) / sigma``. For Mindways
    ``sigma_CT = sigma_ref - 0.2174`` and ``beta_CT = beta_ref + 999.6`` (Mindways QCT phantom
    certificate). For a QRM phantom (0, 100, 200 mg/cm³ HA) or any other table the line is used as
    it is. Standard errors follow from the regression by the delta method.

    Parameters
    ----------
    rods : Rods
        At least two different densities.

    Returns
    -------
    RodLine

    Raises
    ------
    CalibrationError
        If there are fewer than two different densities, the rods do not lie on one line
        (correlation below 0.99), or density falls with HU.
    """
    density, value = _density_and_value(rods)
    if len(np.unique(density)) < 2:
        raise CalibrationError("Rods of at least two different densities are needed.")
    equivalent = checked_equivalent(rods.equivalent)
    if rods.water is not None and equivalent == "HA":
        raise CalibrationError("A water term belongs to a Mindways phantom, whose rods are K2HPO4, not HA.")
    _check_consistent(density, value)
    (sigma, beta), covariance, residuals = _regress(density, value)
    if rods.water is not None:
        equivalent = "K2HPO4"
        sigma, beta = sigma + MINDWAYS_SLOPE, beta + MINDWAYS_OFFSET_HU
    if sigma <= 0:
        raise CalibrationError(
            f"The rods give {sigma:.3g} HU per mg/cm³, which must be above 0. Are the columns swapped?"
        )
    slope, intercept = float(1.0 / sigma), float(-beta / sigma)
    of_line = None if covariance is None else _inverted_covariance(covariance, slope, beta)
    fit = _rod_fit(rods, _correlation(density, value), residuals, of_line)
    return RodLine(slope, intercept, equivalent, of_line, fit)


def _density_and_value(rods: Rods) -> tuple[np.ndarray, np.ndarray]:
    """Return density and HU less the water term, each of shape (n_rods,), all finite."""
    density, hu = np.array(rods.density, float), np.array(rods.hu, float)
    water = np.zeros_like(hu) if rods.water is None else np.array(rods.water, float)
    if not density.shape == hu.shape == water.shape:
        raise CalibrationError("Every rod needs one density, one HU and, for Mindways, one water term.")
    if not np.all(np.isfinite([density, hu, water])):
        raise CalibrationError("Densities, HU and water terms of rods must be finite numbers.")
    return density, hu - water


def _check_consistent(density: np.ndarray, value: np.ndarray) -> None:
    """Refuse rods off the line; name the two that look swapped, or the worst one."""
    found = _correlation(density, value)
    if found >= _LEAST_CORRELATION:
        return
    if found <= -_LEAST_CORRELATION and len(value) > 2:
        raise CalibrationError("The HU of the rods fall as their density rises: is their order reversed?")
    text = f"The rods do not lie on one line (correlation {found:.3f}): "
    best, pair = 0.0, (0, 0)
    for a, b in combinations(range(len(value)), 2):
        swapped = value.copy()
        swapped[[a, b]] = value[[b, a]]
        best, pair = max((best, pair), (_correlation(density, swapped), (a, b)))
    if best >= max(_LEAST_CORRELATION, 1 - (1 - found) / 10):
        raise CalibrationError(text + f"rods {pair[0] + 1} and {pair[1] + 1} look swapped.")
    worst = int(np.argmax(np.abs(_regress(density, value)[2])))
    raise CalibrationError(text + f"check rod {worst + 1}, which is farthest off.")


def _correlation(density: np.ndarray, value: np.ndarray) -> float:
    if np.ptp(value) == 0:
        return 0.0
    return float(np.corrcoef(density, value)[0, 1])


def _regress(density: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Least squares of value on density: (sigma, beta), their covariance (2, 2), residuals."""
    design = np.column_stack([density, np.ones_like(density)])
    line, *_ = np.linalg.lstsq(design, value, rcond=None)
    residuals = value - design @ line
    freedom = len(value) - 2
    if freedom == 0:
        return line, None, residuals
    return line, np.linalg.inv(design.T @ design) * (residuals @ residuals) / freedom, residuals


def _inverted_covariance(covariance: np.ndarray, slope: float, beta: float) -> np.ndarray:
    """Covariance of slope = 1 / sigma and intercept = -beta / sigma from that of (sigma, beta)."""
    derivatives = np.array([[-(slope**2), 0.0], [beta * slope**2, -slope]])
    return derivatives @ covariance @ derivatives.T


def _rod_fit(rods: Rods, correlation: float, residuals: np.ndarray, covariance: np.ndarray | None) -> RodFit:
    slope_se = intercept_se = None
    if covariance is not None:
        slope_se, intercept_se = (float(value) for value in np.sqrt(np.diag(covariance)))
    rms = float(np.sqrt(np.mean(residuals**2)))
    return RodFit(rods, tuple(residuals.tolist()), rms, correlation, slope_se, intercept_se)

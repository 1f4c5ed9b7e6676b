"""From HU to density: linear, by the rods of a phantom, by the patient's own tissues, or not at all.

Densities are mg/cm³ of the phantom's substance, dipotassium phosphate (K2HPO4) or hydroxyapatite (HA);
the two scales differ, so the substance is always stated beside the number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from .beam_hardening import HARDENING_RELATIVE_SD, HARDENING_STATED, PatientCheck, check_in_patient
from .errors import CalibrationError
from .internal_calibration import InternalFit, internal_calibration
from .rods import Rods, known_equivalent, read_rods
from .volume import Volume

# Mindways' phantom is held against liquid K2HPO4 solutions: (HU per mg/cm³, HU).
_MINDWAYS_CORRECTION = (-0.2174, 999.6)
# 80 to 140 kVp give about 0.5 to 1 mg/cm³ per HU; outside these bounds units or signs are mixed up.
_SLOPE_BOUNDS = (0.2, 5.0)
_LEAST_CORRELATION = 0.99
_INTERNAL = {"internal": True, "internal:without-cortex": False}

Covariance = tuple[tuple[float, float], tuple[float, float]]


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


@dataclass(frozen=True)
class Calibration:
    """Density as ``slope * HU + intercept``. Made by `none`, `linear`, `from_rods` or `internal`.

    Attributes
    ----------
    kind : {"none", "linear", "rods", "internal"}
        How it was made.
    slope : float
        mg/cm³ per HU.
    intercept : float
        mg/cm³ at 0 HU.
    equivalent : str or None
        What the density is of: "K2HPO4", "HA", or None where it is not stated.
    fit : RodFit or InternalFit or None
        The fit of the rods or of the patient's tissues, if made by one.
    covariance : tuple of tuple of float, or None
        Of slope and intercept, everything that is uncertain about them: of rods, the scatter of their fit
        and beam hardening between them and the bone. None where it is not known.
    patient : PatientCheck or None
        Where rods were measured in a CT: what fat, muscle and cortex of the patient say about them.
    hardening_sd : float or None
        Which share of bone density is uncertain by beam hardening, where that was corrected.
    """

    kind: Literal["none", "linear", "rods", "internal"]
    slope: float
    intercept: float
    equivalent: str | None = None
    fit: RodFit | InternalFit | None = None
    covariance: Covariance | None = None
    patient: PatientCheck | None = None
    hardening_sd: float | None = None

    @property
    def is_calibrated(self) -> bool:
        """Whether values are densities, not HU."""
        return self.kind != "none"

    @property
    def unit(self) -> str:
        """Unit of the values: "mg/cm³" or "HU"."""
        return "mg/cm³" if self.is_calibrated else "HU"

    @classmethod
    def none(cls) -> Calibration:
        """Leave the values in HU."""
        return cls("none", 1.0, 0.0)

    @classmethod
    def linear(cls, slope: float, intercept: float, equivalent: str | None = None) -> Calibration:
        """Use a known line, density = slope · HU + intercept.

        Parameters
        ----------
        slope : float
            mg/cm³ per HU.
        intercept : float
            mg/cm³ at 0 HU.
        equivalent : str, optional
            "K2HPO4" or "HA".

        Raises
        ------
        CalibrationError
            If a number is not finite, or the slope is not believable (0.2 to 5 mg/cm³ per HU).
        """
        _check_line(slope, intercept)
        return cls("linear", float(slope), float(intercept), known_equivalent(equivalent))

    @classmethod
    def from_rods(cls, rods: Rods) -> Calibration:
        """Fit the rods of a phantom: Mindways' solid K2HPO4 if they have a water term, else any table.

        HU less the water term is regressed on density, ``HU - water = sigma * density + beta``; the
        line is then turned round, ``density = (HU - beta) / sigma``. For Mindways
        ``sigma_CT = sigma_ref - 0.2174`` and ``beta_CT = beta_ref + 999.6`` (Mindways QCT phantom
        certificate). For a QRM phantom (0, 100, 200 mg/cm³ HA) or any other table the line is used as
        it is. Standard errors follow from the regression by the delta method.

        Parameters
        ----------
        rods : Rods
            At least two different densities.

        Raises
        ------
        CalibrationError
            If there are fewer than two different densities, the rods do not lie on one line
            (correlation below 0.99), or the slope is not believable.
        """
        density, value = _density_and_value(rods)
        if len(np.unique(density)) < 2:
            raise CalibrationError("Rods of at least two different densities are needed.")
        equivalent = known_equivalent(rods.equivalent)
        if rods.water is not None and equivalent == "HA":
            raise CalibrationError(
                "A water term belongs to a Mindways phantom, whose rods are K2HPO4, not HA."
            )
        _check_consistent(density, value)
        (sigma, beta), covariance, residuals = _regress(density, value)
        if rods.water is not None:
            equivalent = "K2HPO4"
            sigma, beta = np.add((sigma, beta), _MINDWAYS_CORRECTION)
        if sigma <= 0:
            raise CalibrationError(f"A line of {sigma:.3g} HU per mg/cm³ cannot be; are the columns swapped?")
        slope, intercept = float(1.0 / sigma), float(-beta / sigma)
        _check_line(slope, intercept)
        of_line = None if covariance is None else _turned_round(covariance, slope, beta)
        fit = _rod_fit(rods, _correlation(density, value), residuals, of_line)
        return cls("rods", slope, intercept, equivalent, fit, _with_hardening(of_line, slope, intercept))

    @classmethod
    def internal(cls, volume: Volume, with_cortex: bool = True) -> Calibration:
        """Calibrate to K2HPO4 by the patient's own air, fat, muscle and cortex; see `internal_calibration`.

        Parameters
        ----------
        volume : Volume
            The CT in HU.
        with_cortex : bool
            Whether dense cortex is a reference: more certain, but it draws each person's cortical density
            towards the reference.

        Raises
        ------
        CalibrationError
            If fat or muscle is not found, or the tissues do not fit together.
        """
        fit = internal_calibration(volume, with_cortex)
        return cls("internal", fit.slope, fit.intercept, "K2HPO4", fit, fit.covariance)

    def density(self, hu: np.ndarray) -> np.ndarray:
        """Density in `unit` at HU; any shape, the floating-point type stays."""
        return np.asarray(hu) * self.slope + self.intercept

    def density_sd(self, hu: np.ndarray) -> np.ndarray:
        """Standard deviation of `density` by what is uncertain about slope and intercept; any shape.

        Not-a-number where that is not known: with a line that was given, two rods, or no calibration.
        """
        return self.shift_sd(np.asarray(hu, dtype=float), 1.0)

    def shift_sd(self, by_slope: np.ndarray | float, by_intercept: np.ndarray | float) -> np.ndarray | float:
        """Standard deviation of anything that goes with slope and intercept by these derivatives."""
        if self.covariance is None:
            return by_slope * np.nan
        (of_slope, both), (_, of_intercept) = self.covariance
        variance = (
            of_slope * by_slope**2 + 2.0 * both * by_slope * by_intercept + of_intercept * by_intercept**2
        )
        return np.sqrt(np.maximum(variance, 0.0))

    def for_corrected_hardening(self, relative_sd: float) -> Calibration:
        """Give the calibration for a CT in which beam hardening by bone is corrected.

        Parameters
        ----------
        relative_sd : float
            Which share of bone density stays uncertain; of rods it takes the place of what stands in
            `covariance` for a CT that is not corrected.
        """
        covariance = self.covariance
        if self.kind == "rods" and covariance is not None:
            line = np.array([self.slope, self.intercept])
            less = (HARDENING_RELATIVE_SD**2 - relative_sd**2) * np.outer(line, line)
            covariance = tuple(map(tuple, (np.array(covariance) - less).tolist()))
        return replace(self, covariance=covariance, hardening_sd=relative_sd)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the densities must know, as sentences."""
        if isinstance(self.fit, InternalFit):
            return _internal_remarks(self.fit, float(self.density_sd(np.array(1300.0))))
        stated = (HARDENING_STATED,) if self.kind == "rods" and self.hardening_sd is None else ()
        return stated + (self.patient.remarks if self.patient else ())

    def describe(self) -> dict[str, Any]:
        """Everything about the calibration as plain values, for a provenance file."""
        described = {
            "kind": self.kind,
            "unit": self.unit,
            "equivalent": self.equivalent,
            "slope": self.slope,
            "intercept": self.intercept,
        }
        if self.fit:
            described["fit"] = asdict(self.fit)
        if self.covariance:
            described["covariance"] = [list(row) for row in self.covariance]
            described["density_sd"] = {
                f"at {hu} HU": round(float(self.density_sd(np.array(hu))), 2) for hu in (0, 300, 1300)
            }
        if self.hardening_sd is not None:
            described["beam_hardening"] = {"relative_sd": self.hardening_sd, "corrected": True}
        elif self.kind == "rods":
            described["beam_hardening"] = {
                "relative_sd": HARDENING_RELATIVE_SD,
                "corrected": False,
                "statement": HARDENING_STATED,
            }
        if self.patient:
            described["patient"] = asdict(self.patient)
        return described


def parse_calibration(text: str, volume: Volume | None = None) -> Calibration:
    """Make the calibration that a user wrote.

    Parameters
    ----------
    text : str
        ``none``, ``linear:SLOPE,INTERCEPT`` (or ``linear:SLOPE,INTERCEPT,HA``), ``rods:FILE``,
        ``internal`` or ``internal:without-cortex``.
    volume : Volume, optional
        The CT, needed by ``internal``, and where the file of rods gives no HU. Rods of K2HPO4 are held
        against the patient's tissues in it.

    Raises
    ------
    CalibrationError
        If the text is none of these, or the calibration cannot be made.
    """
    kind, _, rest = text.strip().partition(":")
    if kind == "none" and not rest:
        return Calibration.none()
    if kind == "rods" and rest:
        return _checked(Calibration.from_rods(read_rods(rest, volume)), volume)
    if text.strip() in _INTERNAL:
        if volume is None:
            raise CalibrationError(f"'{text}': a CT is needed to calibrate by the patient's own tissues.")
        return Calibration.internal(volume, _INTERNAL[text.strip()])
    parts = [part.strip() for part in rest.split(",")]
    if kind == "linear" and len(parts) in (2, 3):
        try:
            slope, intercept = float(parts[0]), float(parts[1])
        except ValueError:
            raise CalibrationError(
                f"'{text}': slope and intercept must be numbers, as in 'linear:0.8,-2.5'."
            ) from None
        return Calibration.linear(slope, intercept, *parts[2:])
    raise CalibrationError(
        f"'{text}' is no calibration. Write 'none', 'linear:SLOPE,INTERCEPT' "
        "(density = slope · HU + intercept), 'rods:FILE', 'internal' or 'internal:without-cortex'."
    )


def _checked(calibration: Calibration, volume: Volume | None) -> Calibration:
    if volume is None or calibration.equivalent != "K2HPO4":
        return calibration
    patient = check_in_patient(volume, calibration.slope, calibration.intercept)
    return replace(calibration, patient=patient)


def _internal_remarks(fit: InternalFit, sd_at_cortex: float) -> tuple[str, ...]:
    relative = sd_at_cortex / (fit.slope * 1300.0 + fit.intercept)
    names = [tissue.name for tissue in fit.tissues]
    said = [
        f"Calibrated without a phantom by {', '.join(names)}: effective energy {fit.energy_kev:.0f} ± "
        f"{fit.energy_sd_kev:.0f} keV, density of cortex uncertain by {relative:.0%} (standard deviation)."
    ]
    if fit.cortex_pull > 0:
        said.append(
            f"The patient's own cortex is one of the references: {fit.cortex_pull:.0%} of what sets its "
            "density apart from others' is taken for the scanner's. To compare densities between people or "
            "visits use rods, or internal:without-cortex."
        )
    return tuple(said)


def _density_and_value(rods: Rods) -> tuple[np.ndarray, np.ndarray]:
    """Give density and HU less the water term, each of shape (n_rods,), all finite."""
    density, hu = np.array(rods.density, float), np.array(rods.hu, float)
    water = np.zeros_like(hu) if rods.water is None else np.array(rods.water, float)
    if not density.shape == hu.shape == water.shape:
        raise CalibrationError("Every rod needs one density, one HU and, for Mindways, one water term.")
    if not np.all(np.isfinite([density, hu, water])):
        raise CalibrationError("Densities, HU and water terms of rods must be finite numbers.")
    return density, hu - water


def _check_line(slope: float, intercept: float) -> None:
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise CalibrationError(f"Slope and intercept must be finite numbers, not {slope} and {intercept}.")
    low, high = _SLOPE_BOUNDS
    if not low <= slope <= high:
        raise CalibrationError(
            f"A slope of {slope:.4g} mg/cm³ per HU cannot be; between {low} and {high} is possible. "
            "Density is slope · HU + intercept: are slope and intercept swapped, or the line turned round?"
        )


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


def _turned_round(covariance: np.ndarray, slope: float, beta: float) -> np.ndarray:
    """Covariance of slope = 1 / sigma and intercept = -beta / sigma from that of (sigma, beta)."""
    derivatives = np.array([[-(slope**2), 0.0], [beta * slope**2, -slope]])
    return derivatives @ covariance @ derivatives.T


def _with_hardening(covariance: np.ndarray | None, slope: float, intercept: float) -> Covariance | None:
    """Add what beam hardening does to every density by the same share."""
    if covariance is None:
        return None
    line = HARDENING_RELATIVE_SD * np.array([slope, intercept])
    return tuple(map(tuple, (covariance + np.outer(line, line)).tolist()))


def _rod_fit(rods: Rods, correlation: float, residuals: np.ndarray, covariance: np.ndarray | None) -> RodFit:
    slope_se = intercept_se = None
    if covariance is not None:
        slope_se, intercept_se = (float(value) for value in np.sqrt(np.diag(covariance)))
    rms = float(np.sqrt(np.mean(residuals**2)))
    return RodFit(rods, tuple(residuals.tolist()), rms, correlation, slope_se, intercept_se)

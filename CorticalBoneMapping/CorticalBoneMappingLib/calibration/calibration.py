"""Calibrate HU to density: by a line, the rods of a phantom, the patient's own tissues, or not at all.

Densities are mg/cm³ of the phantom's substance, dipotassium phosphate (K2HPO4) or hydroxyapatite (HA);
the two scales differ, so the substance is always stated beside the number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from ..core.errors import CalibrationError
from ..core.volume import Volume
from .beam_hardening import HARDENING_RELATIVE_SD, HARDENING_STATEMENT, PatientCheck, compare_with_patient
from .internal_calibration import InternalFit, internal_calibration
from .rod_line import RodFit, fit_rods
from .rods import Rods, check_rods, checked_equivalent, read_rods

# 80 to 140 kVp give about 0.5 to 1 mg/cm³ per HU; outside these bounds, chosen by hand, units or signs are
# mixed up.
_SLOPE_BOUNDS = (0.2, 5.0)
_INTERNAL = {"internal": True, "internal:without-cortex": False}

Covariance = tuple[tuple[float, float], tuple[float, float]]


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
        Of slope and intercept; for rods, from the scatter of their fit and beam hardening between them and
        the bone. None where it is not known.
    patient : PatientCheck or None
        Where rods were measured in a CT: comparison with fat, muscle and cortex of the patient.
    hardening_sd : float or None
        Relative uncertainty of bone density by beam hardening, where that was corrected.
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
            If a number is not finite, or the slope is not possible (0.2 to 5 mg/cm³ per HU).
        """
        _check_line(slope, intercept)
        return cls("linear", float(slope), float(intercept), checked_equivalent(equivalent))

    @classmethod
    def from_rods(cls, rods: Rods) -> Calibration:
        """Fit the rods of a phantom; see `fit_rods`. Beam hardening adds to the uncertainty.

        Parameters
        ----------
        rods : Rods
            At least two different densities.

        Raises
        ------
        CalibrationError
            If the rods do not fit one line, or the slope is not possible.
        """
        line = fit_rods(rods)
        _check_line(line.slope, line.intercept)
        covariance = _with_hardening(line.covariance, line.slope, line.intercept)
        return cls("rods", line.slope, line.intercept, line.equivalent, line.fit, covariance)

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
        """Return density in `unit` at HU; any shape, the floating-point type stays."""
        return np.asarray(hu) * self.slope + self.intercept

    def density_sd(self, hu: np.ndarray) -> np.ndarray:
        """Return the standard deviation of `density` by the uncertainty of slope and intercept; any shape.

        Not-a-number where that is not known: with a line that was given, two rods, or no calibration.
        """
        return self.shift_sd(np.asarray(hu, dtype=float), 1.0)

    def shift_sd(self, by_slope: np.ndarray | float, by_intercept: np.ndarray | float) -> np.ndarray | float:
        """Return the standard deviation of anything with these derivatives by slope and intercept."""
        if self.covariance is None:
            return by_slope * np.nan
        (of_slope, both), (_, of_intercept) = self.covariance
        variance = (
            of_slope * by_slope**2 + 2.0 * both * by_slope * by_intercept + of_intercept * by_intercept**2
        )
        return np.sqrt(np.maximum(variance, 0.0))

    def for_corrected_hardening(self, relative_sd: float) -> Calibration:
        """Return the calibration for a CT in which beam hardening by bone is corrected.

        Parameters
        ----------
        relative_sd : float
            Relative uncertainty of bone density after it; for rods it replaces the one in `covariance` for a
            CT that is not corrected.
        """
        covariance = self.covariance
        if self.kind == "rods" and covariance is not None:
            line = np.array([self.slope, self.intercept])
            less = (HARDENING_RELATIVE_SD**2 - relative_sd**2) * np.outer(line, line)
            covariance = tuple(map(tuple, (np.array(covariance) - less).tolist()))
        return replace(self, covariance=covariance, hardening_sd=relative_sd)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the densities must know, in sentences."""
        if isinstance(self.fit, InternalFit):
            return _internal_warnings(self.fit, float(self.density_sd(np.array(1300.0))))
        stated = (HARDENING_STATEMENT,) if self.kind == "rods" and self.hardening_sd is None else ()
        return stated + (self.patient.warnings if self.patient else ())

    def describe(self) -> dict[str, Any]:
        """Return everything about the calibration as plain values, for a provenance file."""
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
                "statement": HARDENING_STATEMENT,
            }
        if self.patient:
            described["patient"] = asdict(self.patient)
        return described


def parse_calibration(text: str, volume: Volume | None = None) -> Calibration:
    """Make a calibration from the text that a user wrote.

    Parameters
    ----------
    text : str
        ``none``, ``linear:SLOPE,INTERCEPT`` (or ``linear:SLOPE,INTERCEPT,HA``), ``rods:FILE``,
        ``internal`` or ``internal:without-cortex``.
    volume : Volume, optional
        The CT, needed by ``internal``, and where the file of rods gives no HU. Rods of K2HPO4 are
        compared with the patient's tissues in it.

    Raises
    ------
    CalibrationError
        If the text is none of these, or the calibration fails.

    Examples
    --------
    >>> calibration = parse_calibration("linear:0.8,-2.5")  # mg/cm³ = 0.8 · HU − 2.5
    >>> calibration.slope, calibration.intercept
    (0.8, -2.5)
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
        f"'{text}' is not a calibration. Write 'none', 'linear:SLOPE,INTERCEPT' "
        "(density = slope · HU + intercept), 'rods:FILE', 'internal' or 'internal:without-cortex'."
    )


def check_calibration(text: str) -> None:
    """Check the text that a user wrote, as far as possible without the CT.

    Raises
    ------
    CalibrationError
        If `parse_calibration` would refuse the text, or the table of rods, whatever the CT.
    """
    kind, _, rest = text.strip().partition(":")
    if kind == "rods" and rest:
        check_rods(rest)
    elif text.strip() not in _INTERNAL:
        parse_calibration(text)


def _checked(calibration: Calibration, volume: Volume | None) -> Calibration:
    if volume is None or calibration.equivalent != "K2HPO4":
        return calibration
    patient = compare_with_patient(volume, calibration.slope, calibration.intercept)
    return replace(calibration, patient=patient)


def _internal_warnings(fit: InternalFit, sd_at_cortex: float) -> tuple[str, ...]:
    relative = sd_at_cortex / (fit.slope * 1300.0 + fit.intercept)
    names = [tissue.name for tissue in fit.tissues]
    warnings = [
        f"Calibrated without a phantom by {', '.join(names)}: effective energy {fit.energy_kev:.0f} ± "
        f"{fit.energy_sd_kev:.0f} keV, density of cortex uncertain by {relative:.0%} (standard deviation)."
    ]
    if fit.cortex_pull > 0:
        warnings.append(
            f"The patient's own cortex is one of the references: {fit.cortex_pull:.0%} of its "
            "difference from others is attributed to the scanner. To compare densities between people "
            "or visits use rods, or internal:without-cortex."
        )
    return tuple(warnings)


def _check_line(slope: float, intercept: float) -> None:
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise CalibrationError(f"Slope and intercept must be finite numbers, not {slope} and {intercept}.")
    low, high = _SLOPE_BOUNDS
    if not low <= slope <= high:
        raise CalibrationError(
            f"The slope is {slope:.4g} mg/cm³ per HU; it must lie between {low} and {high}. "
            "Density is slope · HU + intercept: are slope and intercept swapped, or is the line inverted?"
        )


def _with_hardening(covariance: np.ndarray | None, slope: float, intercept: float) -> Covariance | None:
    """Add the uncertainty by beam hardening, the same share of every density."""
    if covariance is None:
        return None
    line = HARDENING_RELATIVE_SD * np.array([slope, intercept])
    return tuple(map(tuple, (covariance + np.outer(line, line)).tolist()))

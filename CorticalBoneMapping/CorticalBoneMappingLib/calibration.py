"""From HU to density: linear, by the rods of a phantom, or not at all.

Densities are mg/cm³ of the phantom's substance, dipotassium phosphate (K2HPO4) or hydroxyapatite (HA);
the two scales differ, so the substance is always stated beside the number.
"""

from __future__ import annotations

import csv
import re
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .errors import CalibrationError
from .volume import Volume

EQUIVALENTS = ("K2HPO4", "HA")
# Mindways' phantom is held against liquid K2HPO4 solutions: (HU per mg/cm³, HU).
_MINDWAYS_CORRECTION = (-0.2174, 999.6)
# 80 to 140 kVp give about 0.5 to 1 mg/cm³ per HU; outside these bounds units or signs are mixed up.
_SLOPE_BOUNDS = (0.2, 5.0)
_LEAST_CORRELATION = 0.99
_MOST_ROD_SD_HU = 100.0
_LEAST_ROD_VOXELS = 10
_TRIMMED = 0.1
_PLACE = ("x_ras", "y_ras", "z_ras")
_CYLINDER_MM = {"radius_mm": 5.0, "length_mm": 10.0}
_COLUMNS = {"density", "water", "hu", *_PLACE, *_CYLINDER_MM}


@dataclass(frozen=True)
class Rods:
    """The rods of a phantom as certified and as measured; one value a rod in each tuple.

    Attributes
    ----------
    density : tuple of float
        Certified density in mg/cm³.
    hu : tuple of float
        Mean HU in the scan.
    water : tuple of float or None
        Certified water term of a Mindways phantom in mg/cm³; None for every other phantom.
    equivalent : str or None
        What the density is of: "K2HPO4", "HA", or None where it is not stated.
    hu_sd : tuple of float or None
        Standard deviation of the voxels, where the HU were measured here.
    n_voxels : tuple of int or None
        Number of voxels, where the HU were measured here.
    """

    density: tuple[float, ...]
    hu: tuple[float, ...]
    water: tuple[float, ...] | None = None
    equivalent: str | None = None
    hu_sd: tuple[float, ...] | None = None
    n_voxels: tuple[int, ...] | None = None


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
        Standard errors of the calibration's slope and intercept; None with two rods, which fit exactly.
    """

    rods: Rods
    residuals_hu: tuple[float, ...]
    rms_hu: float
    correlation: float
    slope_se: float | None
    intercept_se: float | None


@dataclass(frozen=True)
class Calibration:
    """Density as ``slope * HU + intercept``. Made by `none`, `linear` or `from_rods`.

    Attributes
    ----------
    kind : {"none", "linear", "rods"}
        How it was made.
    slope : float
        mg/cm³ per HU.
    intercept : float
        mg/cm³ at 0 HU.
    equivalent : str or None
        What the density is of: "K2HPO4", "HA", or None where it is not stated.
    fit : RodFit or None
        The fit of the rods, if made by rods.
    """

    kind: Literal["none", "linear", "rods"]
    slope: float
    intercept: float
    equivalent: str | None = None
    fit: RodFit | None = None

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
        return cls("linear", float(slope), float(intercept), _known_equivalent(equivalent))

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
        density, value = np.array(rods.density), np.array(rods.hu) - np.array(rods.water or 0.0)
        if len(np.unique(density)) < 2:
            raise CalibrationError("Rods of at least two different densities are needed.")
        equivalent = _known_equivalent(rods.equivalent)
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
            raise CalibrationError(
                f"The HU of the rods do not rise with their density ({sigma:.3g} HU per mg/cm³): are they swapped?"
            )
        slope, intercept = float(1.0 / sigma), float(-beta / sigma)
        _check_line(slope, intercept)
        fit = _rod_fit(rods, density, value, residuals, covariance, slope, beta)
        return cls("rods", slope, intercept, equivalent, fit)

    def density(self, hu: np.ndarray) -> np.ndarray:
        """Density in `unit` at HU; any shape, the floating-point type stays."""
        return np.asarray(hu) * self.slope + self.intercept

    def describe(self) -> dict[str, Any]:
        """Everything about the calibration as plain values, for a provenance file."""
        described = {
            "kind": self.kind,
            "unit": self.unit,
            "equivalent": self.equivalent,
            "slope": self.slope,
            "intercept": self.intercept,
        }
        return described | {"fit": asdict(self.fit)} if self.fit else described


def parse_calibration(text: str, volume: Volume | None = None) -> Calibration:
    """Make the calibration that a user wrote.

    Parameters
    ----------
    text : str
        ``none``, ``linear:SLOPE,INTERCEPT`` (or ``linear:SLOPE,INTERCEPT,HA``), or ``rods:FILE``.
    volume : Volume, optional
        The CT, needed where the file of rods gives places instead of HU.

    Raises
    ------
    CalibrationError
        If the text is none of these, or the calibration cannot be made.
    """
    kind, _, rest = text.strip().partition(":")
    if kind == "none" and not rest:
        return Calibration.none()
    if kind == "rods" and rest:
        return Calibration.from_rods(read_rods(rest, volume))
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
        "(density = slope · HU + intercept) or 'rods:FILE'."
    )


def read_rods(path: str | Path, volume: Volume | None = None) -> Rods:
    """Read a CSV table of rods, and measure their HU in the CT where the table gives places.

    Columns: ``density`` (mg/cm³); ``water`` (the water term of a Mindways certificate, which selects that
    model); and either ``hu``, or ``x_ras``, ``y_ras``, ``z_ras`` (the centre of a cylinder across the
    slices, RAS mm as Slicer shows it) with, if wanted, ``radius_mm`` (5) and ``length_mm`` (10). A
    line ``# equivalent: HA`` or ``# equivalent: K2HPO4`` states the substance; other lines with # are
    comments.

    Parameters
    ----------
    path : str or Path
        The table, UTF-8, with commas.
    volume : Volume, optional
        The CT, needed where places are given.

    Returns
    -------
    Rods
        Where measured: the mean without the lowest and highest tenth of the voxels, their standard
        deviation and number.

    Raises
    ------
    CalibrationError
        If the file cannot be read, a column is missing or unknown, a cell is no number, or a cylinder
        leaves the CT, holds fewer than 10 voxels or more than one material (SD above 100 HU).
    """
    equivalent, table = _read_table(Path(path))
    density = tuple(row["density"] for row in table)
    water = tuple(row["water"] for row in table) if "water" in table[0] else None
    if "hu" in table[0]:
        return Rods(density, tuple(row["hu"] for row in table), water, equivalent)
    if volume is None:
        raise CalibrationError(
            f"{path}: the table gives places of rods, so a CT is needed to measure them in."
        )
    means, sds, counts = zip(*(_measure(volume, row, n) for n, row in enumerate(table, start=1)))
    return Rods(density, means, water, equivalent, sds, counts)


def _read_table(path: Path) -> tuple[str | None, list[dict[str, float]]]:
    """Read the substance and the rows, every cell a finite number."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise CalibrationError(f"{path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError):
        raise CalibrationError(f"{path}: the file cannot be read as a CSV table (UTF-8 text).") from None
    notes = " \n".join(line for line in lines if line.lstrip().startswith("#"))
    stated = re.search(r"^#\s*equivalent\s*:\s*(\S+)", notes, flags=re.MULTILINE | re.IGNORECASE)
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip(" ,") and line.lstrip()[0] != "#"]
    if len(numbered) < 2:
        raise CalibrationError(f"{path}: the table of rods is empty.")
    cells = [[cell.strip() for cell in row] for row in csv.reader(line for _, line in numbered)]
    header = [name.lower() for name in cells[0]]
    _check_columns(path, header)
    table = [_numeric_row(path, number, header, row) for (number, _), row in zip(numbered[1:], cells[1:])]
    return _known_equivalent(stated.group(1) if stated else None), table


def _check_columns(path: Path, header: list[str]) -> None:
    unknown = [name for name in header if name not in _COLUMNS]
    if unknown:
        raise CalibrationError(
            f"{path}: unknown column '{unknown[0]}'. Columns are separated by commas and named "
            f"{', '.join(sorted(_COLUMNS))}."
        )
    has_place = set(_PLACE) <= set(header)
    if "density" not in header or ("hu" in header) == has_place or len(set(header)) < len(header):
        raise CalibrationError(
            f"{path}: the columns must be 'density' and either 'hu' or all of {', '.join(_PLACE)}, each once."
        )


def _numeric_row(path: Path, number: int, header: list[str], row: list[str]) -> dict[str, float]:
    if len(row) != len(header):
        raise CalibrationError(f"{path}, line {number}: {len(row)} cells, but {len(header)} columns.")
    values = {}
    for name, cell in zip(header, row):
        try:
            values[name] = float(cell)
        except ValueError:
            values[name] = np.nan
        if not np.isfinite(values[name]):
            raise CalibrationError(f"{path}, line {number}: '{cell}' in column '{name}' is not a number.")
        if name in _CYLINDER_MM and values[name] <= 0:
            raise CalibrationError(f"{path}, line {number}: '{name}' must be above 0.")
    return values


def _measure(volume: Volume, row: dict[str, float], number: int) -> tuple[float, float, int]:
    """Give the trimmed mean, SD and number of the voxels in one cylinder across the slices."""
    centre = np.array([row[axis] for axis in _PLACE])
    cylinder = _CYLINDER_MM | row
    radius, half_length = cylinder["radius_mm"], cylinder["length_mm"] / 2
    reach = np.array([radius, radius, half_length]) / volume.spacing_mm
    index, size = volume.index_of(centre), np.array(volume.array.shape[::-1])
    if np.any(index - reach < -0.5) or np.any(index + reach > size - 0.5):
        raise CalibrationError(
            f"Rod {number} at {tuple(centre.tolist())} mm (RAS) is not wholly inside the CT."
        )
    low = np.ceil(index - reach).astype(int)
    high = np.floor(index + reach).astype(int) + 1
    box = volume.array[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    k, j, i = np.indices(box.shape)
    across = np.hypot(
        (i + low[0] - index[0]) * volume.spacing_mm[0], (j + low[1] - index[1]) * volume.spacing_mm[1]
    )
    values = np.sort(box[across <= radius].astype(float))
    if len(values) < _LEAST_ROD_VOXELS:
        raise CalibrationError(
            f"Rod {number} holds only {len(values)} voxels; make its radius or length larger."
        )
    sd = float(values.std(ddof=1))
    if sd > _MOST_ROD_SD_HU:
        raise CalibrationError(
            f"The values in rod {number} vary by {sd:.0f} HU (SD): its cylinder reaches beyond one rod. "
            "Check its place (RAS mm) and make its radius smaller."
        )
    cut = int(_TRIMMED * len(values))
    return float(values[cut : len(values) - cut].mean()), sd, len(values)


def _known_equivalent(name: str | None) -> str | None:
    if name is None:
        return None
    for known in EQUIVALENTS:
        if name.upper() == known:
            return known
    raise CalibrationError(f"'{name}' is no known substance of a density; write {' or '.join(EQUIVALENTS)}.")


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


def _rod_fit(rods, density, value, residuals, covariance, slope, beta) -> RodFit:
    slope_se = intercept_se = None
    if covariance is not None:
        # density = (HU - beta) / sigma: derivatives of slope and intercept by (sigma, beta), slope = 1 / sigma
        by_slope = np.array([-(slope**2), 0.0])
        by_intercept = np.array([beta * slope**2, -slope])
        slope_se = float(np.sqrt(by_slope @ covariance @ by_slope))
        intercept_se = float(np.sqrt(by_intercept @ covariance @ by_intercept))
    rms = float(np.sqrt(np.mean(residuals**2)))
    return RodFit(rods, tuple(residuals.tolist()), rms, _correlation(density, value), slope_se, intercept_se)

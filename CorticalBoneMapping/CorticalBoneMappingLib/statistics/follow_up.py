"""One patient: a change against what repeat scans differ by, and a map against a control group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from ..core.errors import StatisticsError
from .maps import Maps
from .model.contrast_map import t_p_value, t_quantile
from .model.least_squares import Fit
from .table import PARTICIPANT, SIDE, VISIT, Table


@dataclass(frozen=True)
class Precision:
    """How far repeat scans of one bone lie apart, at every vertex.

    Attributes
    ----------
    sd : ndarray of shape (v,)
        Of one scan, in the unit of the maps; not-a-number where nothing was repeated.
    dof : ndarray of shape (v,)
        Its degrees of freedom: scans minus bones.
    """

    sd: np.ndarray
    dof: np.ndarray

    def least_significant_change(self, level: float = 0.95) -> np.ndarray:
        """Give the change between two scans that repeat scans exceed with probability 1 − `level`.

        √2 · t · sd, with t of the precision's own degrees of freedom where Glüer 1999 takes the normal's
        1.96: few repeats do not know their spread well.
        """
        return np.sqrt(2.0) * t_quantile(self.dof, level) * self.sd


@dataclass(frozen=True)
class Change:
    """A patient's change from one scan to another, at every vertex.

    Attributes
    ----------
    change : ndarray of shape (v,)
        Second minus first, in the unit of the maps.
    percent : ndarray of shape (v,)
        Of the first; not-a-number where that is not positive.
    lower, upper : ndarray of shape (v,)
        Confidence bounds of the change.
    least_significant : ndarray of shape (v,)
        Least significant change.
    direction : ndarray of int8, shape (v,)
        1 a gain and −1 a loss beyond the least significant change; 0 neither, or not known.
    p : ndarray of shape (v,)
        Two-sided, without correction for many vertices.
    """

    change: np.ndarray
    percent: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    least_significant: np.ndarray
    direction: np.ndarray
    p: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """A patient's map against a control group, at every vertex.

    Attributes
    ----------
    expected : ndarray of shape (v,)
        What the controls lead to expect of someone of the patient's covariates.
    difference : ndarray of shape (v,)
        Patient minus expected, in the unit of the maps.
    t : ndarray of shape (v,)
        Difference over its prediction error.
    dof : ndarray of shape (v,)
        Of t.
    z : ndarray of shape (v,)
        The normal deviate that is as improbable as t.
    percentile : ndarray of shape (v,)
        Percent of people like the controls who are expected to lie below the patient.
    p : ndarray of shape (v,)
        Two-sided, without correction for many vertices.
    """

    expected: np.ndarray
    difference: np.ndarray
    t: np.ndarray
    dof: np.ndarray
    z: np.ndarray
    percentile: np.ndarray
    p: np.ndarray


def precision_from_repeats(maps: Maps) -> Precision:
    """Take the precision from scans that were repeated without a change of the bone.

    Parameters
    ----------
    maps : Maps
        Rows of equal participant, visit and side are repeats of one bone; two or more each. Bones of one
        row do not count.

    Returns
    -------
    Precision
        The root mean square of the bones' standard deviations, each by its degrees of freedom (Glüer et al.
        1995, eq. 3).

    Raises
    ------
    StatisticsError
        If no bone was scanned twice.
    """
    names = [name for name in (PARTICIPANT, VISIT, SIDE) if name in maps.table]
    labels = [np.unique(maps.table.labels(name), return_inverse=True)[1] for name in names]
    bones = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)[1].ravel()
    belongs = (np.arange(bones.max() + 1)[:, None] == bones).astype(np.float64)
    if belongs.sum(axis=1).max() < 2:
        raise StatisticsError(
            f"No bone was scanned twice (rows of equal {', '.join(names)}), so the precision is unknown."
        )
    count = belongs @ maps.measured
    values = np.where(maps.measured, maps.values, 0.0).astype(np.float64)
    mean = np.divide(belongs @ values, count, out=np.zeros_like(count), where=count > 0)
    squares = np.where(maps.measured, values - mean[bones], 0.0) ** 2
    dof = np.maximum(count - 1.0, 0.0).sum(axis=0)
    variance = np.divide(squares.sum(axis=0), dof, out=np.full(len(dof), np.nan), where=dof > 0)
    return Precision(np.sqrt(variance), dof)


def compare_scans(first: np.ndarray, second: np.ndarray, precision: Precision, level: float = 0.95) -> Change:
    """Compare two scans of one bone, vertex by vertex of the average femur.

    Parameters
    ----------
    first, second : ndarray of shape (v,)
        The maps, smoothed as those were that the precision comes from.
    precision : Precision
        Of one scan.
    level : float
        Of confidence; 0.95 means that of unchanged places one in twenty is called changed.

    Returns
    -------
    Change
    """
    if not first.shape == second.shape == precision.sd.shape:
        raise StatisticsError("The two scans and the precision are not maps on the same average femur.")
    first, second = first.astype(np.float64), second.astype(np.float64)
    change = second - first
    least = precision.least_significant_change(level)
    percent = 100.0 * change / np.where(first > 0, first, np.nan)
    beyond = np.abs(change) > least  # false where either is not known
    direction = np.where(beyond, np.sign(np.nan_to_num(change)), 0.0).astype(np.int8)
    p = t_p_value(_ratio(change, np.sqrt(2.0) * precision.sd), precision.dof, "two-sided")
    return Change(change, percent, change - least, change + least, least, direction, p)


def compare_with_controls(patient: np.ndarray, row: Table, controls: Fit) -> Comparison:
    """Compare a patient with what a control group leads to expect of one more person like them.

    The error is that of a prediction, s √(1 + x (XᵀX)⁻¹ xᵀ), and the distribution t (Crawford and Howell
    1998): a plain z, (value − mean) / SD, calls too many people abnormal when controls are few.

    Parameters
    ----------
    patient : ndarray of shape (v,)
        The patient's map.
    row : Table
        One row with the patient's values of the design's columns.
    controls : Fit
        Least squares on the control group, one row a person, without weights.

    Returns
    -------
    Comparison

    Raises
    ------
    StatisticsError
        If the row lacks a value, or a level that no control has.
    """
    design = controls.design
    if len(row) != 1:
        raise StatisticsError(f"The patient is one row of a table, not {len(row)}.")
    if controls.weights is not None or len(np.unique(design.participants)) != len(design.matrix):
        raise StatisticsError(
            "Controls have to be one row a person, without weights; take one side and one visit of each."
        )
    for name, factor in design.factors.items():
        if row.missing(name)[0]:
            raise StatisticsError(f"The patient has no '{name}', for which the controls are adjusted.")
        if factor.levels and row.labels(name)[0] not in factor.levels:
            raise StatisticsError(f"No control has {name} '{row.labels(name)[0]}', as the patient has.")
    setting = {
        name: row.labels(name)[0] if factor.levels else float(row.numbers(name)[0])
        for name, factor in design.factors.items()
    }
    weights = design.at(setting)[None]
    expected = weights[0] @ controls.coefficients
    error = np.sqrt(controls.variance + controls.covariance_of(weights)[:, 0, 0])
    difference = patient.astype(np.float64) - expected
    t = _ratio(difference, error)
    below, above = special.stdtr(controls.dof, t), special.stdtr(controls.dof, -t)
    z = np.where(t < 0, special.ndtri(below), -special.ndtri(above))  # each tail keeps its digits
    p = t_p_value(t, controls.dof, "two-sided")
    return Comparison(expected, difference, t, controls.dof, z, 100.0 * below, p)


def _ratio(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    return np.divide(value, error, out=np.full(value.shape, np.nan), where=error > 0)

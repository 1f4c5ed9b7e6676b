"""Euler characteristic densities of t and F fields: how many peaks a smooth null map has above a height."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from .statistic_map import upper_tail

_FOUR_LOG_2 = 4.0 * np.log(2.0)


def t_densities(t: np.ndarray, dof: float) -> np.ndarray:
    """Densities of a t field in 0, 1 and 2 dimensions, per resel.

    Worsley 1994, Adv Appl Probab 26:13; Worsley et al. 1996, Hum Brain Mapp 4:58, table II.

    Parameters
    ----------
    t : ndarray of shape (n,)
        Heights.
    dof : float
        Degrees of freedom.

    Returns
    -------
    ndarray of shape (3, n)
    """
    t = np.asarray(t, dtype=np.float64)
    shape = np.exp(-0.5 * (dof - 1.0) * np.log1p(t**2 / dof))
    gammas = np.exp(gammaln(0.5 * (dof + 1.0)) - gammaln(0.5 * dof)) / np.sqrt(0.5 * dof)
    return np.stack(
        [
            upper_tail(t, dof, 1, True),
            np.sqrt(_FOUR_LOG_2) / (2.0 * np.pi) * shape,
            _FOUR_LOG_2 / (2.0 * np.pi) ** 1.5 * gammas * t * shape,
        ]
    )


def f_densities(f: np.ndarray, numerator_dof: int, dof: float) -> np.ndarray:
    """Densities of an F field in 0, 1 and 2 dimensions, per resel.

    Worsley et al. 1996, Hum Brain Mapp 4:58, table II.

    Parameters
    ----------
    f : ndarray of shape (n,)
        Heights, not negative.
    numerator_dof : int
        Of the contrast.
    dof : float
        Of the residuals.

    Returns
    -------
    ndarray of shape (3, n)
    """
    k, m = float(numerator_dof), float(dof)
    f = np.maximum(np.asarray(f, dtype=np.float64), np.finfo(float).tiny)
    ratio = k * f / m
    tail = -0.5 * (m + k - 2.0) * np.log1p(ratio)
    norm = gammaln(0.5 * m) + gammaln(0.5 * k)
    one = gammaln(0.5 * (m + k - 1.0)) - norm + 0.5 * (k - 1.0) * np.log(ratio) + tail
    two = gammaln(0.5 * (m + k - 2.0)) - norm + 0.5 * (k - 2.0) * np.log(ratio) + tail
    return np.stack(
        [
            upper_tail(f, dof, numerator_dof, False),
            np.sqrt(_FOUR_LOG_2 / np.pi) * np.exp(one),
            _FOUR_LOG_2 / (2.0 * np.pi) * np.exp(two) * ((m - 1.0) * ratio - (k - 1.0)),
        ]
    )


def sampled_densities(
    height: np.ndarray, dof: float, numerator_dof: int, is_t: bool, cell: float
) -> np.ndarray:
    """Densities of peaks that are still above a height at the vertex nearest to them.

    A mesh does not see the top of a peak. t = √ν cot φ, where φ is the angle between the data of a vertex,
    as a unit vector of ν + 1 numbers, and the effect. From a peak at angle φ₀ to a vertex at distance r the
    unit vector turns by r, and cos φ falls to cos φ₀ (1 − r²/2); so the peak has to be that much higher.
    The distance is that to the middle of a disc of the area of one vertex.

    Parameters
    ----------
    height : ndarray of shape (n,)
        t, or F.
    dof : float
        Of t, or of F's denominator.
    numerator_dof : int
        1 for t.
    is_t : bool
        Else F.
    cell : float
        Area of one vertex where residuals have unit sum of squares: L2 / number of vertices.

    Returns
    -------
    ndarray of shape (3, n)
        The densities of the continuous field for ``cell = 0``.
    """
    height = np.asarray(height, dtype=np.float64)
    ratio = np.sign(height) * height**2 if is_t else numerator_dof * np.maximum(height, 0.0)
    cosine = np.sign(height) * np.sqrt(np.abs(ratio) / (np.abs(ratio) + dof))
    total = np.zeros((3, len(height)))
    places, weights = np.polynomial.legendre.leggauss(5)
    for place, weight in zip(0.5 + 0.5 * places, 0.5 * weights):
        # Uniform in area is uniform in r²; a cosine of 1 is an infinite height, which no peak has.
        needed = cosine / (1.0 - 0.5 * place * cell / np.pi)
        squared = np.minimum(needed**2, 1.0 - 1e-12)
        raised = dof * squared / (1.0 - squared)
        raised = np.sign(height) * np.sqrt(raised) if is_t else raised / numerator_dof
        total += weight * densities(raised, dof, numerator_dof, is_t)
    return total


def densities(height: np.ndarray, dof: float, numerator_dof: int, is_t: bool) -> np.ndarray:
    """Densities of the field of either kind, shape (3, n)."""
    return t_densities(height, dof) if is_t else f_densities(height, numerator_dof, dof)

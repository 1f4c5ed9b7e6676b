"""How usual a shape is: how far its coordinates are from the mean's, and how much the modes leave of it.

Coordinates alone call a shape usual that is unlike anything the modes can make: they do not see what is left
over. So both distances count, in the space of the modes and from it (Moghaddam and Pentland 1997, IEEE Trans
Pattern Anal Mach Intell 19:696; the residual of principal components as a test: Jackson and Mudholkar 1979,
Technometrics 21:341). How large they are on a new person is known from people left out of the model, since
modes fit the people that they were made from better than anybody else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc, gammaincinv, ndtr, ndtri, owens_t, stdtr

# Of the residual's mean: so high that a swelling on 1 % of the surface counts like what is wrong everywhere.
# Of 2, 4 and 8, tried on simulated people, 8 finds most swellings.
_POWER = 8
_SMALLEST, _LARGEST = 1e-12, 1.0 - 1e-12


@dataclass(frozen=True)
class LeftOut:
    """What a shape model makes of people that it was not made from.

    Each person was left out in turn, the modes of the others were fitted to him, and these are the statistics
    over the people (`shape_modes.left_out_of`).

    Attributes
    ----------
    people : int
        How many were left out, one after the other.
    sd_mm : ndarray of shape (n,)
        At each point, the distance across the surface of what the modes leave: root mean square, mm.
    residual_mm : float
        The same over people and points.
    explained : ndarray of shape (k,)
        Share of the variance of the people left out that each mode explains.
    coordinates_log, residual_log : tuple of float
        Mean and standard deviation of the logarithms of `length` and of `excess`.
    correlation : float
        Of the two logarithms, 0 to 1.
    """

    people: int
    sd_mm: np.ndarray
    residual_mm: float
    explained: np.ndarray
    coordinates_log: tuple[float, float]
    residual_log: tuple[float, float]
    correlation: float

    def shares_beyond(
        self, coordinates: np.ndarray, across_mm: np.ndarray, areas: np.ndarray
    ) -> tuple[float, float, float]:
        """Judge a shape by its coordinates, by what the modes leave of it, and by both.

        The logarithms are normal; since their mean and standard deviation are known from few people, a new
        person's has a t distribution (prediction from a sample; for coordinates it takes the place of
        Hotelling's). Of the two shares the smaller counts, and is raised to the share of people of whom the
        smaller one of two numbers, correlated as these, is as small (Tippett 1931; Owen 1956).

        Parameters
        ----------
        coordinates : ndarray of shape (k,)
            Found by a fit that lets points slide along the surface.
        across_mm : ndarray of shape (n,)
            Distance across the surface of what that fit leaves, mm of the model; not-a-number where unknown.
        areas : ndarray of shape (n,)
            Of the points, mm².

        Returns
        -------
        by_coordinates, by_residual, by_both : float
            Share of people that are at least as unusual, each uniform from 0 to 1 over people like those of
            the model.
        """
        values = length(coordinates), excess(across_mm, self.sd_mm, areas)
        by_each = [
            self._share(value, *log) for value, log in zip(values, (self.coordinates_log, self.residual_log))
        ]
        farthest = -ndtri(np.clip(min(by_each), _SMALLEST, _LARGEST))
        slope = np.sqrt((1.0 - self.correlation) / (1.0 + self.correlation))
        return *by_each, float(ndtr(-farthest) + 2.0 * owens_t(farthest, slope))

    def _share(self, value: float, mean: float, sd: float) -> float:
        spread = sd * np.sqrt(1.0 + 1.0 / self.people)
        return float(stdtr(self.people - 1, (mean - np.log(max(value, _SMALLEST))) / spread))


def length(coordinates: np.ndarray) -> float:
    """Return the distance from the mean in the space of the modes, in standard deviations."""
    return float(np.linalg.norm(coordinates))


def excess(across_mm: np.ndarray, sd_mm: np.ndarray, areas: np.ndarray) -> float:
    """Return how large a residual is over that of people left out; a small place with a large one counts.

    Parameters
    ----------
    across_mm, sd_mm, areas : ndarray of shape (n,)
        Residual, what is usual of it, and area at each point; residuals that are not finite are unknown.

    Returns
    -------
    float
        Eighth root of the mean eighth power of the ratio, 1.8 for a usual person.
    """
    known = np.isfinite(across_mm)
    ratio = np.abs(across_mm[known]) / sd_mm[known]
    return float(np.average(ratio**_POWER, weights=areas[known]) ** (1.0 / _POWER))


@dataclass(frozen=True)
class Plausibility:
    """How usual a shape is in the population of a shape model.

    Attributes
    ----------
    mahalanobis : float
        Length of the shape coordinates, in standard deviations.
    expected : float
        Median of that in the population.
    share_beyond : float
        Share of the population that is at least as unusual, 0 to 1. By coordinates and residual if the model
        knows what it leaves of people left out; otherwise by the coordinates alone (chi-squared).
    residual_mm, greatest_residual_mm : float, optional
        Distance across the surface of what the modes leave, mm of the subject: root mean square, and the
        greatest. None if the model does not know what is usual.
    expected_residual_mm : float, optional
        Root mean square of that on people left out of the model.
    by_coordinates, by_residual : float, optional
        The share by each alone.
    """

    mahalanobis: float
    expected: float
    share_beyond: float
    residual_mm: float | None = None
    greatest_residual_mm: float | None = None
    expected_residual_mm: float | None = None
    by_coordinates: float | None = None
    by_residual: float | None = None

    @classmethod
    def of(cls, coordinates: np.ndarray) -> Plausibility:
        """Judge shape coordinates of shape (k,) alone; without any, everything is usual."""
        half, square = len(coordinates) / 2.0, float(np.sum(np.square(coordinates)))
        if not len(coordinates):
            return cls(0.0, 0.0, 1.0)
        expected = float(np.sqrt(2.0 * gammaincinv(half, 0.5)))
        return cls(float(np.sqrt(square)), expected, float(gammaincc(half, square / 2.0)))

"""The prior of the deformation of the average femur, before any data of the subject.

A sum of the population's modes of shape, where there is a shape model, and of Gaussian functions of several
widths, the local basis, for all that the modes leave (Lüthi et al. 2018, IEEE Trans Pattern Anal Mach Intell
40:1860). All coefficients are standard normal, so each displacement is a Gaussian process with a known
covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from ..mesh.shape_model import ShapeModel
from .cut_ends import thinned

# Chosen by hand; not tuned.
WIDTHS_MM = (60.0, 25.0, 12.0)
_AMPLITUDES_MM = (5.0, 3.0, 1.5)  # without a shape model the local basis does all
_AMPLITUDES_BEYOND_MODEL_MM = (1.2, 1.0, 0.7)  # what the modes leave
_CONTROL_SPACING_MM = 11.0  # near the least width: closer controls add nothing that is smooth
_LEAST_SHARE = 1e-4  # directions with a smaller share of the greatest variance move nothing that counts


@dataclass(frozen=True)
class Prior:
    """Displacements of the average's n vertices, linear in coefficients that are standard normal.

    Attributes
    ----------
    points : ndarray of shape (n, 3)
        The average's vertices, mm.
    modes : ndarray of shape (k, n, 3)
        Displacement in mm for a coefficient of one; k is 0 without a shape model.
    local_basis : ndarray of shape (n, r)
        Displacement of each vertex, in each of the three directions, for a coefficient of one.
    width : ndarray of shape (r,)
        Which of `WIDTHS_MM` each column of `local_basis` has.
    """

    points: np.ndarray
    modes: np.ndarray
    local_basis: np.ndarray
    width: np.ndarray

    def displaced(self, mode_coefficients: np.ndarray, local_coefficients: np.ndarray) -> np.ndarray:
        """Displace the average.

        Parameters
        ----------
        mode_coefficients : ndarray of shape (k,)
        local_coefficients : ndarray of shape (r, 3)

        Returns
        -------
        ndarray of shape (n, 3)
            mm.
        """
        moved = self.points + self.local_basis @ local_coefficients
        return moved + np.tensordot(mode_coefficients, self.modes, axes=1)

    def at(self, index: np.ndarray) -> Prior:
        """Return the same prior at some of the vertices."""
        return Prior(self.points[index], self.modes[:, index], self.local_basis[index], self.width)

    def with_widths(self, count: int) -> Prior:
        """Return the same prior with the first (widest) of `WIDTHS_MM` only."""
        n_local = int(np.searchsorted(self.width, count))
        return Prior(self.points, self.modes, self.local_basis[:, :n_local], self.width[:n_local])


def prior_of(points: np.ndarray, shape_model: ShapeModel | None, flexibility: float) -> Prior:
    """Build the prior on the average's vertices.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        The average's vertices, mm.
    shape_model : ShapeModel, optional
        With modes at those vertices.
    flexibility : float
        Multiplies the local basis.

    Returns
    -------
    Prior
    """
    if shape_model is None:
        none = np.zeros((0, *points.shape))
        return Prior(points, none, *_local_basis(points, flexibility * np.array(_AMPLITUDES_MM)))
    # Variances estimated from n people are this much too small for the next one.
    inflation = np.sqrt((shape_model.people + 1.0) / max(shape_model.people - 1.0, 1.0))
    local_basis = _local_basis(points, flexibility * np.array(_AMPLITUDES_BEYOND_MODEL_MM))
    return Prior(points, inflation * shape_model.modes, *local_basis)


def _local_basis(points: np.ndarray, amplitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Basis with standard normal coefficients and (nearly) the kernels' covariances (Nyström); the widths."""
    points = points - points.mean(axis=0)
    controls = points[thinned(points, _CONTROL_SPACING_MM)]
    local_basis = []
    for amplitude, width in zip(amplitudes, WIDTHS_MM):
        variances, directions = eigh(_kernel(controls, controls, width))
        kept = variances > _LEAST_SHARE * variances[-1]
        local_basis.append(
            amplitude * (_kernel(points, controls, width) @ (directions[:, kept] / np.sqrt(variances[kept])))
        )
    which = np.repeat(np.arange(len(local_basis)), [basis.shape[1] for basis in local_basis])
    return np.concatenate(local_basis, axis=1), which


def _kernel(points: np.ndarray, controls: np.ndarray, width: float) -> np.ndarray:
    squared = (points**2).sum(axis=1)[:, None] + (controls**2).sum(axis=1) - 2.0 * points @ controls.T
    return np.exp(squared / (-2.0 * width**2))

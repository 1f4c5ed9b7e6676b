"""Estimate a smooth random field of offsets on a surface from scattered, partly wrong measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

from ...core.surface import Surface
from ...mesh.smoothing import cotangent_laplacian


@dataclass(frozen=True)
class OffsetFieldSettings:
    """Numbers of the field's estimation; chosen by hand, not tuned."""

    # Degrees of freedom of Student's t: a vessel or the acetabulum, taken for the edge, must not draw others.
    freedom: float = 3.0
    # Added to the offsets' own SD (mm), less in each pass, so that the majority decides first.
    added_sd_mm: tuple[float, ...] = (0.7, 0.0)
    draws: int = 64  # of the posterior, for its standard deviation


FIELD = OffsetFieldSettings()


class OffsetField(NamedTuple):
    """Posterior of the field.

    Attributes
    ----------
    offset : ndarray of shape (n_points,)
        Posterior mean, mm.
    sd : ndarray of shape (n_points,)
        Posterior standard deviation, mm.
    weight : ndarray of shape (n_points,)
        Weight that each measured offset kept, 0 to 1; 0 where none was measured.
    """

    offset: np.ndarray
    sd: np.ndarray
    weight: np.ndarray


class FieldPrior(NamedTuple):
    """Prior of the field.

    Attributes
    ----------
    sd_mm : float
        Standard deviation of the offsets.
    length_mm : float
        Distance at which two offsets are hardly correlated (about 0.14).
    """

    sd_mm: float
    length_mm: float


def offset_field(surface: Surface, measured: np.ndarray, sd: np.ndarray, prior: FieldPrior) -> OffsetField:
    """Find the most probable smooth field of offsets on a surface.

    The prior is a Matérn field of smoothness 1, of which the sparse precision matrix is
    τ² (κ²C + G) C⁻¹ (κ²C + G), with the vertex areas C, the cotangent Laplacian G, κ = √8 / length and
    τ² = 1 / (4π κ² sd²) (Lindgren, Rue, Lindström 2011, J R Stat Soc B 73:423, eq. 2 and 10). Errors of the
    measured offsets follow Student's t, by weights that begin equal and then follow the field.

    Parameters
    ----------
    surface : Surface
        n points.
    measured : ndarray of shape (n,)
        Offsets in mm; not-a-number where nothing was measured.
    sd : ndarray of shape (n,)
        Their standard deviations in mm; used only where something was measured.
    prior : FieldPrior
        Of the offsets, whose mean is 0.

    Returns
    -------
    OffsetField
    """
    known = np.isfinite(measured)
    value, variance = np.where(known, measured, 0.0), np.where(known, sd, 1.0) ** 2
    root, precision = _prior_precision(surface, prior)
    kept, offset = known.astype(float), None
    for more in FIELD.added_sd_mm:
        spread = variance + more**2
        if offset is not None:
            kept = known * (FIELD.freedom + 1.0) / (FIELD.freedom + (value - offset) ** 2 / spread)
        weight = kept / spread
        factor = _factor(precision + sparse.diags(weight))
        offset = factor.solve(weight * value)
    return OffsetField(offset, _posterior_sd(factor, root, weight), np.minimum(kept, 1.0))


def _prior_precision(surface: Surface, prior: FieldPrior) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return R and Q = R Rᵀ of the prior."""
    areas = np.maximum(surface.point_areas, 1e-9 * surface.point_areas.mean())
    kappa = np.sqrt(8.0) / prior.length_mm
    tau = 1.0 / (np.sqrt(4.0 * np.pi) * kappa * prior.sd_mm)
    operator = kappa**2 * sparse.diags(areas) + cotangent_laplacian(surface)
    root = sparse.csr_array(tau * operator @ sparse.diags(1.0 / np.sqrt(areas)))
    return root, root @ root.T


def _factor(matrix: sparse.csr_array) -> SuperLU:
    # Positive definite, so no pivoting is needed; it would undo the order that keeps the factor sparse.
    options = {"SymmetricMode": True, "DiagPivotThresh": 0.0}
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options=options)


def _posterior_sd(factor: SuperLU, root: sparse.csr_array, weight: np.ndarray) -> np.ndarray:
    """Standard deviation from draws of the posterior: the inverse of a matrix of this size is too large."""
    random = np.random.default_rng(0)
    first, second = random.standard_normal((2, len(weight), FIELD.draws))
    draws = factor.solve(root @ first + np.sqrt(weight)[:, None] * second)
    return np.sqrt((draws**2).mean(axis=1))

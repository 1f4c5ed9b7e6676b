"""How much of a change in cortical mass comes from thickness, and how much from density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import StatisticsError
from ..maps import Maps
from .contrast_map import t_quantile
from .contrasts import Contrast, read_contrast
from .design import Design
from .least_squares import fit_least_squares
from .mixed_model import fit_mixed_model
from .participant_errors import leave_one_out, participant_dof

PARTS = ("mass", "thickness", "density")


@dataclass(frozen=True)
class Attribution:
    """An effect on cortical mass and its two parts, at every vertex or region.

    Everything is given as 100 times a difference of natural logarithms, since only logarithms add up: mass is
    thickness times density / 10, so the effect on ln mass is the effect on ln thickness plus that on ln
    density, exactly. `percent` gives a part in percent.

    Attributes
    ----------
    thickness, density : ndarray of shape (v,)
        100 Δ ln thickness and 100 Δ ln density; not-a-number where they are not estimable.
    replicates : ndarray of shape (2, m, v)
        Both, without each of the m participants.
    dof : float
        Degrees of freedom of the bounds: participants minus columns that differ between them.
    reference_mass : ndarray of shape (v,)
        Geometric mean of the reference's mass (mg/cm²), by which regions weigh their vertices.
    n_not_positive : int
        Values of thickness or density that were not positive, have no logarithm and count as missing.
    """

    thickness: np.ndarray
    density: np.ndarray
    replicates: np.ndarray
    dof: float
    reference_mass: np.ndarray
    n_not_positive: int

    @property
    def mass(self) -> np.ndarray:
        """100 Δ ln mass, shape (v,)."""
        return self.thickness + self.density

    def interval(self, part: str, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Give the confidence bounds of ``mass``, ``thickness`` or ``density`` (100 Δ ln), each for itself.

        The spread is the jackknife's over participants, which counts all rows of one person as one, so visits
        and hips may be correlated in any way (Bell and McCaffrey 2002, CR3).
        """
        weights = np.array({"mass": (1.0, 1.0), "thickness": (1.0, 0.0), "density": (0.0, 1.0)}[part])
        effect = weights @ np.stack([self.thickness, self.density])
        error = np.sqrt(np.einsum("a,abv,b->v", weights, self._covariance(), weights))
        reach = t_quantile(self.dof, level) * error
        return effect - reach, effect + reach

    def share_of_thickness(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give thickness's share of the effect on mass, with its bounds by Fieller 1954.

        Returns
        -------
        share, lower, upper : ndarray of shape (v,)
            Density has the rest. Below 0 or above 1 where the two parts oppose each other. Not-a-number where
            the bounds of the effect on mass hold 0: a share of nothing is not determined.
        """
        covariance = self._covariance()
        spread_part = covariance[0, 0]
        spread_whole = covariance.sum(axis=(0, 1))
        crossed = covariance[0].sum(axis=0)
        square = t_quantile(self.dof, level) ** 2
        a = self.mass**2 - square * spread_whole
        b = self.thickness * self.mass - square * crossed
        c = self.thickness**2 - square * spread_part
        determined = a > 0  # false where not-a-number
        a = np.where(determined, a, np.nan)
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        share = self.thickness / np.where(determined, self.mass, np.nan)
        return share, (b - root) / a, (b + root) / a

    def over(self, weights: np.ndarray) -> Attribution:
        """Average over regions.

        Parameters
        ----------
        weights : ndarray of shape (v, k)
            Area of each vertex in each of k regions, mm². They are multiplied by the reference's mass, so
            that the whole is the change of the region's cortical mass.

        Returns
        -------
        Attribution
            Of k regions; vertices without an estimate, or without it when any one participant is left out, do
            not count.
        """
        known = np.isfinite(self.replicates).all(axis=(0, 1)) & np.isfinite(self.thickness)
        weighed = weights[known] * self.reference_mass[known][:, None]
        total = weighed.sum(axis=0)
        weighed = weighed / np.where(total > 0, total, np.nan)
        area = weights[known].sum(axis=0)
        reference = (weights[known] * self.reference_mass[known][:, None]).sum(axis=0)
        return Attribution(
            self.thickness[known] @ weighed,
            self.density[known] @ weighed,
            self.replicates[:, :, known] @ weighed,
            self.dof,
            reference / np.where(area > 0, area, np.nan),
            self.n_not_positive,
        )

    def rows(self, names: list[str], level: float = 0.95) -> list[dict[str, Any]]:
        """Give a row a region for a table: each part in percent with bounds, and the share of thickness."""
        table: list[dict[str, Any]] = [{"region": name} for name in names]
        columns = {}
        for part in PARTS:
            lower, upper = self.interval(part, level)
            columns |= {f"{part}_percent": percent(getattr(self, part))}
            columns |= {f"{part}_lower": percent(lower), f"{part}_upper": percent(upper)}
        share = self.share_of_thickness(level)
        columns |= dict(zip(("thickness_share", "share_lower", "share_upper"), share))
        for name, values in columns.items():
            for row, value in zip(table, values):
                row[name] = float(value)
        return table

    def _covariance(self) -> np.ndarray:
        """Jackknife covariance of thickness and density, shape (2, 2, v)."""
        m = self.replicates.shape[1]
        away = self.replicates - np.stack([self.thickness, self.density])[:, None]
        return (m - 1.0) / m * np.einsum("amv,bmv->abv", away, away)


def attribute(thickness: Maps, density: Maps, design: Design, contrast: Contrast | str) -> Attribution:
    """Attribute the effect of a contrast on cortical mass to thickness and density.

    The logarithm of mass is fitted, by the mixed model where participants have several rows, else by least
    squares; its effect is the whole. The logarithms of thickness and density are then fitted with the same
    weights (the same variance ratios at each vertex), so that the parts add up to the whole exactly: fitted
    each by itself, two mixed models would weigh the visits differently, and would not.

    Parameters
    ----------
    thickness, density : Maps
        In mm and mg/cm³, of the design's rows. A value that is missing in one counts as missing in both; a
        place without a measurable cortex has no logarithm, and is to be counted, not attributed.
    design : Design
        Of the same rows.
    contrast : Contrast or str
        A comparison.

    Returns
    -------
    Attribution

    Raises
    ------
    StatisticsError
        If the maps do not fit the design, or the contrast is of several rows.
    """
    contrast = read_contrast(design, contrast) if isinstance(contrast, str) else contrast
    if not contrast.is_single or contrast.reference is None:
        raise StatisticsError(f"'{contrast.name}' compares nothing with a reference; attribute a comparison.")
    if not thickness.values.shape == density.values.shape or len(thickness.values) != len(design.matrix):
        raise StatisticsError("Thickness, density and design are not of the same rows and vertices.")
    both = thickness.measured & density.measured
    positive = both & (thickness.values > 0) & (density.values > 0)
    logs = np.stack(
        [np.log(np.where(positive, maps.values, np.nan).astype(np.float64)) for maps in (thickness, density)]
    )
    repeated = np.bincount(design.participants).max() > 1
    mixed = fit_mixed_model(logs.sum(axis=0), design) if repeated else None
    effect, replicates = leave_one_out(logs, design, contrast.matrix[0], mixed)
    reference = contrast.reference @ (mixed or fit_least_squares(logs.sum(axis=0), design)).coefficients
    return Attribution(
        100.0 * effect[0],
        100.0 * effect[1],
        100.0 * replicates,
        participant_dof(design),
        np.exp(reference) / 10.0,
        int(both.sum() - positive.sum()),
    )


def percent(hundred_logs: np.ndarray) -> np.ndarray:
    """Turn 100 Δ ln into percent."""
    return 100.0 * np.expm1(hundred_logs / 100.0)

"""Smooth noise on the average femur, and made-up studies of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.atlas.average import AverageFemur, load_average
from CorticalBoneMappingLib.io.files import whole_file
from CorticalBoneMappingLib.mesh.smoothing import smooth
from CorticalBoneMappingLib.statistics.model.contrast_map import ContrastMap
from CorticalBoneMappingLib.statistics.model.design import Categorical, Continuous, Design, build_design
from CorticalBoneMappingLib.statistics.model.least_squares import fit_least_squares
from CorticalBoneMappingLib.statistics.table import Table

QUESTION = "treated − control"


@dataclass(frozen=True)
class SmoothNoise:
    """White noise of the surface, smoothed by the library's own smoothing, of variance 1.

    Attributes
    ----------
    femur : AverageFemur
    operator : ndarray of shape (v, v)
        Smoothing as one matrix, float32: a product with it costs a seventh of the smoothing itself.
    """

    femur: AverageFemur
    operator: np.ndarray

    @staticmethod
    def of(fwhm_mm: float, cache: Path) -> SmoothNoise:
        """Make the operator, or take it from the cache."""
        femur = load_average("standard")
        path = cache / f"noise_{len(femur.surface.points)}_{fwhm_mm:g}.npy"
        if not path.is_file():
            # White noise of a surface: the smaller the vertex' area, the larger its variance.
            white = np.diag(1.0 / np.sqrt(femur.surface.point_areas))
            operator = np.concatenate(
                [smooth(femur.surface, part.T, fwhm_mm) for part in np.array_split(white, 4)], axis=1
            )
            operator /= np.sqrt((operator**2).sum(axis=1, keepdims=True))
            operator[np.abs(operator) < 1e-9] = 0.0  # denormal numbers make a product forty times slower
            with whole_file(path) as temporary:
                np.save(temporary, operator.astype(np.float32))
        return SmoothNoise(femur, np.load(path))

    def maps(self, n_maps: int, random: np.random.Generator) -> np.ndarray:
        """Draw maps, shape (n_maps, v)."""
        white = random.standard_normal((n_maps, self.operator.shape[1]), dtype=np.float32)
        return (white @ self.operator.T).astype(np.float64)


def two_arms(n_maps: int, random: np.random.Generator) -> Design:
    """Design of a trial of two arms, adjusted for age."""
    arms = ["control"] * (n_maps // 2) + ["treated"] * (n_maps - n_maps // 2)
    ages = random.normal(70.0, 8.0, n_maps)
    table = Table.of({"participant": [f"p{row}" for row in range(n_maps)], "arm": arms, "age": ages})
    return build_design(table, [Categorical("arm", "control"), Continuous("age")])


def fitted(
    values: np.ndarray, design: Design, alternative: str = "two-sided"
) -> tuple[ContrastMap, np.ndarray]:
    """Answer the question of the two arms; the residuals too."""
    fit = fit_least_squares(values, design)
    return fit.test(QUESTION, alternative), fit.residuals

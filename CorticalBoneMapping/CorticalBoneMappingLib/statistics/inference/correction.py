"""A contrast at every vertex, corrected for the many vertices in each of the usual ways."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from ...anatomy.regions import CUT_END
from ...core.errors import SettingError, StatisticsError
from ...core.progress import Progress
from ..maps import Maps
from ..model.contrast_map import ContrastMap
from ..model.effects import Model
from .clusters import CorrectedTest
from .exchange import exchange_of
from .false_discovery import false_discovery_test
from .permutation import PermutationSettings, permutation_tests
from .random_field import random_field_clusters, random_field_peaks
from .smoothness import Smoothness, estimate_smoothness

CORRECTIONS = ("random-field", "permutation", "TFCE", "false-discovery-rate")
BY_PERMUTATION = ("permutation", "TFCE")


@dataclass(frozen=True)
class Correction:
    """How a test is corrected for the many vertices; the defaults are those of a study file.

    Attributes
    ----------
    method : str
        One of `CORRECTIONS`.
    alpha : float
        Level of the whole map.
    cluster_p : float
        p at one vertex that begins a cluster.
    permutations, seed : int
        Of ``permutation`` and ``TFCE``.

    Raises
    ------
    SettingError
        If the method is unknown.
    """

    method: str = "random-field"
    alpha: float = 0.05
    cluster_p: float = 0.001
    permutations: int = 1000
    seed: int = 1

    def __post_init__(self) -> None:
        if self.method not in CORRECTIONS:
            raise SettingError(f"Unknown correction '{self.method}'; choose {', '.join(CORRECTIONS)}.")


@dataclass(frozen=True)
class CorrectedTests:
    """The test at every vertex, corrected for the many vertices.

    Attributes
    ----------
    peaks, clusters : CorrectedTest
        Family-wise, of each vertex and of each cluster.
    discovery : CorrectedTest
        False discovery rate.
    smoothness : Smoothness
        Of the residuals.
    decides : str
        Which of them marks what is significant: the method that was chosen.
    """

    peaks: CorrectedTest
    clusters: CorrectedTest
    discovery: CorrectedTest
    smoothness: Smoothness
    decides: str

    @property
    def deciding(self) -> CorrectedTest:
        """The test that marks what is significant."""
        return self.discovery if self.decides == "false-discovery-rate" else self.peaks


def correct_for_vertices(
    maps: Maps,
    model: Model,
    answered: ContrastMap,
    correction: Correction | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> CorrectedTests:
    """Correct the answer of a model for the many vertices.

    Parameters
    ----------
    maps : Maps
        The rows that the model was fitted to, on a surface; its cut end (``region``) is not tested.
    model : Fit or MixedFit
        Of the maps.
    answered : ContrastMap
        Of the model.
    correction : Correction, optional
        By default random field theory at 0.05.
    executor : Executor, optional
        For permutations; numbers do not depend on it.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    CorrectedTests

    Raises
    ------
    StatisticsError
        If the maps are not on a surface, or nothing could be tested.
    SettingError
        If permutations are to correct a weighted model: they weigh all rows alike.
    """
    correction = correction or Correction()
    surface = maps.surface
    if surface is None:
        raise StatisticsError("Only maps on a surface have vertices to correct for; regions do not.")
    if correction.method in BY_PERMUTATION and getattr(model, "weights", None) is not None:
        raise SettingError("A weighted model goes with a correction without permutations.")
    inside = np.ones(len(surface.points), dtype=bool)
    if "region" in surface.arrays:
        inside = surface.arrays["region"] != CUT_END
    smoothness = estimate_smoothness(surface, model.standardised_residuals(), inside)
    if correction.method in BY_PERMUTATION:
        peaks, clusters = _by_permutation(maps, model, answered, correction, inside, executor, progress)
    else:
        peaks = random_field_peaks(answered, smoothness, alpha=correction.alpha)
        clusters = random_field_clusters(
            surface, answered, smoothness, cluster_forming_p=correction.cluster_p, alpha=correction.alpha
        )
    discovery = false_discovery_test(_only(answered, inside), alpha=correction.alpha)
    return CorrectedTests(peaks, clusters, discovery, smoothness, correction.method)


def _by_permutation(
    maps: Maps,
    model: Model,
    answered: ContrastMap,
    correction: Correction,
    inside: np.ndarray,
    executor: Executor | None,
    progress: Progress | None,
) -> tuple[CorrectedTest, CorrectedTest]:
    peaks = "TFCE" if correction.method == "TFCE" else "peak"
    settings = PermutationSettings(
        methods=(peaks, "cluster extent"),
        n_permutations=correction.permutations,
        seed=correction.seed,
        cluster_forming_p=correction.cluster_p,
        alpha=correction.alpha,
    )
    contrast = answered.contrast.matrix
    found = permutation_tests(
        maps.surface,
        maps.values.astype(np.float64),
        model.design.matrix,
        contrast,
        exchange_of(model.design, contrast),
        settings,
        alternative=answered.alternative,
        tested=inside,
        executor=executor,
        progress=progress,
    )
    return found[peaks], found["cluster extent"]


def _only(answered: ContrastMap, inside: np.ndarray) -> ContrastMap:
    return replace(answered, statistic=np.where(inside, answered.statistic, np.nan))

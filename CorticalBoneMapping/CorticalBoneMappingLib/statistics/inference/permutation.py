"""Permutation tests of whole maps: peak, cluster extent and mass, threshold-free cluster enhancement."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...core.errors import StatisticsError
from ...core.progress import Progress
from ...core.surface import Surface
from ..model.contrast_map import check_alternative
from .clusters import Clusters, CorrectedTest, connected_pieces, find_clusters, side_of
from .exchange import Exchange, Shuffles, draw_shuffles
from .freedman_lane import Rearranged
from .statistic_map import towards, upper_threshold
from .threshold_free import EXTENT_POWER, HEIGHT_POWER, Neighbourhood, enhance

METHODS = ("peak", "cluster extent", "cluster mass", "TFCE")
_CHUNK = 50  # rearrangements a task; fixed, so that the same numbers come from any number of workers
_LEAST_PRESENT = 0.5
_SAME = 1.0 - 1e-9  # a rearrangement that changes nothing must count as equal, whatever the rounding


@dataclass(frozen=True)
class PermutationSettings:
    """How a permutation test is made.

    Attributes
    ----------
    methods : tuple of str
        Of `METHODS`; all of one call share the rearrangements.
    n_permutations : int
        Random ones; the smallest p is 1 / (n + 1).
    seed : int
        Of the random numbers: the same seed gives the same bits.
    cluster_forming_p : float
        p of one tail at one vertex that makes the threshold of clusters.
    extent_power, height_power : float
        E and H of TFCE.
    alpha : float
        Chance of any false finding on the whole surface.
    """

    methods: tuple[str, ...] = ("peak", "TFCE")
    n_permutations: int = 2000
    seed: int = 0
    cluster_forming_p: float = 0.001
    extent_power: float = EXTENT_POWER
    height_power: float = HEIGHT_POWER
    alpha: float = 0.05

    def __post_init__(self) -> None:
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown or not self.methods:
            raise StatisticsError(
                f"Unknown permutation test {', '.join(unknown) or '(none)'}; choose from "
                f"{', '.join(METHODS)}."
            )
        if self.n_permutations < 1:
            raise StatisticsError(
                f"{self.n_permutations} permutations are too few or many; choose 1000 or more."
            )
        if not 0.0 < self.cluster_forming_p < 0.5:
            raise StatisticsError(
                f"Clusters are not formed at p = {self.cluster_forming_p:g}; it lies between 0 and 0.5."
            )


def permutation_tests(
    surface: Surface,
    values: np.ndarray,
    design: np.ndarray,
    contrast: np.ndarray,
    exchange: Exchange | None = None,
    settings: PermutationSettings | None = None,
    *,
    alternative: str = "two-sided",
    tested: np.ndarray | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> dict[str, CorrectedTest]:
    """Test a contrast against what rearranging the rows makes of it.

    Freedman and Lane 1983 with the least-squares t (or F), as recommended by Winkler et al. 2014, NeuroImage
    92:381; p = (rearrangements at least as extreme, with the given one) / (all of them), so never 0
    (Phipson and Smyth 2010). The chance of any false finding on the surface is `settings.alpha` whatever
    the smoothness of the maps and the distribution of the errors, if the errors are exchangeable as stated.

    Parameters
    ----------
    surface : Surface
        The average femur, of v vertices.
    values : ndarray of shape (n, v)
        One map a row; not-a-number where nothing was measured. Missing values travel with the rows that
        are exchanged; a vertex that has less than half of its values is not tested.
    design : ndarray of shape (n, p)
        Such as ``Design.matrix``.
    contrast : ndarray of shape (q, p)
        Such as ``Contrast.matrix``; one row for t, several for F.
    exchange : Exchange, optional
        What may be exchanged; by default every row with every other.
    settings : PermutationSettings, optional
        Methods, number, seed.
    alternative : str
        ``two-sided``, ``greater`` or ``less``; ``two-sided`` for F.
    tested : ndarray of bool, shape (v,), optional
        Which vertices to test; by default all.
    executor : concurrent.futures.Executor, optional
        Does the work; the numbers do not depend on it.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    dict of str to CorrectedTest
        By method.

    Raises
    ------
    StatisticsError
        If shapes do not fit, the design is not of full rank, or nothing can be exchanged.
    """
    exchange, settings = exchange or Exchange(), settings or PermutationSettings()
    progress = progress or Progress()
    contrast = np.atleast_2d(contrast)
    check_alternative(alternative)
    _check(surface, values, design, contrast, alternative)
    usable = _usable(values, tested)
    within = exchange.blocks if exchange.is_within else None
    model = Rearranged.of(np.where(usable, values, 0.0), design, contrast, within)  # 0: no spread, no t
    _check_exchange(exchange, model)
    usable &= np.any(model.errors != 0.0, axis=0)
    shuffles = draw_shuffles(exchange, design, settings.n_permutations, settings.seed)
    search = _Search.of(surface, model, alternative, settings)
    observed = np.where(usable, search.statistics(shuffles.source[:1], shuffles.sign[:1])[0], 0.0)
    largest = _largest(search, shuffles, executor, progress)
    report = _Report(surface, search, observed, usable, alternative, exchange, shuffles, values)
    return {method: report.test(method, largest[method]) for method in settings.methods}


@dataclass(frozen=True)
class _Search:
    """What a worker needs to find the largest of each kind in a rearranged study."""

    model: Rearranged
    neighbourhood: Neighbourhood
    alternative: str
    threshold: float
    settings: PermutationSettings

    @staticmethod
    def of(surface: Surface, model: Rearranged, alternative: str, settings: PermutationSettings) -> _Search:
        is_t = model.n_effects == 1
        threshold = upper_threshold(settings.cluster_forming_p, model.dof, model.n_effects, is_t)
        side = alternative if is_t else "greater"
        return _Search(model, Neighbourhood.of(surface), side, threshold, settings)

    def statistics(self, source: np.ndarray, sign: np.ndarray) -> np.ndarray:
        return self.model.statistics(source, sign)

    def enhanced(self, statistic: np.ndarray) -> np.ndarray:
        """TFCE of a map; a side that is not tested counts as no effect."""
        if self.alternative != "two-sided":
            wanted = 1.0 if self.alternative == "greater" else -1.0
            statistic = np.where(statistic * wanted > 0, statistic, 0.0)
        powers = self.settings.extent_power, self.settings.height_power
        return enhance(statistic, self.neighbourhood, *powers)

    def largest(self, shuffles: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
        """Largest of each kind for each of some rearrangements."""
        maps, methods = self.statistics(*shuffles), self.settings.methods
        found = {"peak": towards(maps, self.alternative).max(axis=1)}
        if "TFCE" in methods:
            found["TFCE"] = np.array([np.abs(self.enhanced(row)).max() for row in maps])
        if "cluster extent" in methods or "cluster mass" in methods:
            largest = np.array([self._largest_clusters(row) for row in maps])
            found["cluster extent"], found["cluster mass"] = largest.T
        return {method: found[method] for method in methods}

    def _largest_clusters(self, statistic: np.ndarray) -> tuple[float, float]:
        """Area of the largest cluster and mass of the heaviest; 0 without clusters."""
        side = side_of(statistic, self.threshold, self.alternative)
        label, _ = connected_pieces(self.neighbourhood.edges.T, side)
        inside = np.flatnonzero(label)
        area = self.neighbourhood.areas[inside]
        beyond = np.abs(statistic[inside]) - self.threshold
        areas = np.bincount(label[inside], weights=area, minlength=1)
        masses = np.bincount(label[inside], weights=area * beyond, minlength=1)
        return areas.max(), masses.max()


def _largest(
    search: _Search, shuffles: Shuffles, executor: Executor | None, progress: Progress
) -> dict[str, np.ndarray]:
    """Largest of each kind for every rearrangement, in their order whoever does the work."""
    starts = range(0, len(shuffles), _CHUNK)
    tasks = [(shuffles.source[s : s + _CHUNK], shuffles.sign[s : s + _CHUNK]) for s in starts]
    work = partial(_Search.largest, search)
    results: Iterable = executor.map(work, tasks) if executor else map(work, tasks)
    parts = []
    for part in results:
        parts.append(part)
        progress.report(len(parts) / len(starts), f"Permutation test: {len(parts)} of {len(starts)} parts")
    return {method: np.concatenate([part[method] for part in parts]) for method in parts[0]}


@dataclass(frozen=True)
class _Report:
    """Turns the largest of each kind into corrected tests."""

    surface: Surface
    search: _Search
    observed: np.ndarray
    usable: np.ndarray
    alternative: str
    exchange: Exchange
    shuffles: Shuffles
    values: np.ndarray

    def test(self, method: str, largest: np.ndarray) -> CorrectedTest:
        alpha = self.search.settings.alpha
        ordered = np.sort(largest)
        beyond = int(np.floor(alpha * len(ordered) + 1e-9))
        threshold = float(ordered[-1 - beyond]) if beyond else np.inf
        test = CorrectedTest(
            statistic=np.where(self.usable, self.observed, np.nan),
            statistic_name="t" if self.search.model.n_effects == 1 else "F",
            p=np.full(len(self.observed), np.nan),
            threshold=threshold,
            alpha=alpha,
            alternative=self.alternative,
            controls="family-wise error",
            method=self._in_words(method),
            warnings=tuple(self._warnings()),
        )
        if method == "peak":
            p = _p(towards(self.observed, self.search.alternative), ordered)
            return replace(test, p=np.where(self.usable, p, np.nan))
        if method == "TFCE":
            enhanced = self.search.enhanced(self.observed)
            p = np.where(self.usable, _p(np.abs(enhanced), ordered), np.nan)
            return replace(
                test, statistic=np.where(self.usable, enhanced, np.nan), statistic_name="TFCE", p=p
            )
        return self._of_clusters(test, method, ordered)

    def _of_clusters(self, test: CorrectedTest, method: str, ordered: np.ndarray) -> CorrectedTest:
        search = self.search
        clusters: Clusters = find_clusters(self.surface, self.observed, search.threshold, search.alternative)
        p = _p(clusters.mass if method == "cluster mass" else clusters.area_mm2, ordered)
        p_map = np.where(self.usable, clusters.spread(p, outside=1.0), np.nan)
        return replace(test, p=p_map, threshold=search.threshold, clusters=clusters.with_values(p=p))

    def _in_words(self, method: str) -> str:
        settings, count = self.search.settings, len(self.shuffles)
        kind = method
        if method == "TFCE":
            kind = (
                f"threshold-free cluster enhancement (E = {settings.extent_power:g}, "
                f"H = {settings.height_power:g}, areas in mm²)"
            )
        elif method != "peak":
            kind = f"{method} (clusters formed at p = {settings.cluster_forming_p:g} a tail, uncorrected)"
        drawn = f"all {count}" if self.shuffles.exhaustive else f"{count - 1} random"
        return (
            f"{self.alternative} permutation test of the largest {kind}, {drawn} rearrangements, "
            f"{self.exchange.in_words()} (Freedman and Lane 1983)"
        )

    def _warnings(self) -> list[str]:
        found = []
        count, alpha = len(self.shuffles), self.search.settings.alpha
        known = np.isfinite(self.values).mean(axis=0)
        few, some = np.count_nonzero(known < _LEAST_PRESENT), np.count_nonzero(self.usable & (known < 1.0))
        if few:
            found.append(
                f"{few} of {len(known)} vertices have a value in less than half of the maps and were not "
                "tested."
            )
        if some:
            found.append(
                f"At {some} vertices some maps have no value; the test assumes that it is random which."
            )
        if count * alpha < 1:
            found.append(
                f"There are only {count} different rearrangements, so no p can be below {1 / count:.3g}: "
                f"nothing can be significant at {alpha:g}."
            )
        return found


def _p(statistic: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Share of the rearrangements, the given one among them, that have something at least as large."""
    below = np.searchsorted(ordered, statistic * np.where(statistic > 0, _SAME, 1.0), side="left")
    return np.maximum(len(ordered) - below, 1) / len(ordered)


def _check(
    surface: Surface, values: np.ndarray, design: np.ndarray, contrast: np.ndarray, alternative: str
) -> None:
    if values.ndim != 2 or values.shape != (len(design), len(surface.points)):
        raise StatisticsError(
            f"Maps of shape {values.shape} do not belong to a design of {len(design)} rows and a surface of "
            f"{len(surface.points)} vertices."
        )
    if contrast.shape[1] != design.shape[1]:
        raise StatisticsError(
            f"The contrast weighs {contrast.shape[1]} columns, but the design has {design.shape[1]}."
        )
    if len(contrast) > 1 and alternative != "two-sided":
        raise StatisticsError("An F asks for differences in any direction; it has no one-sided test.")


def _check_exchange(exchange: Exchange, model: Rearranged) -> None:
    """A mean stays a mean however rows are permuted: its test would never find anything."""
    constant = np.full(len(model.basis), 1.0 / np.sqrt(len(model.basis)))
    rest, effect = np.split(model.basis, [model.basis.shape[1] - model.n_effects], axis=1)
    left = 1.0 - np.square(rest.T @ constant).sum()
    sought = np.square(effect.T @ constant).sum()
    if exchange.how == "permute" and left > 1e-8 and sought > 1e-8:
        raise StatisticsError(
            "The contrast asks for a mean, which permuting rows does not change. Flip signs instead."
        )


def _usable(values: np.ndarray, tested: np.ndarray | None) -> np.ndarray:
    usable = np.isfinite(values).mean(axis=0) >= _LEAST_PRESENT
    if tested is not None:
        usable = usable & tested
    if not usable.any():
        raise StatisticsError(
            "No vertex has a value in half of the maps, so no permutation test can be made."
        )
    return usable

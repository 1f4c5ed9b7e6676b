"""Fit a model to the maps of a study and test contrasts: one call each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import SettingError, StatisticsError
from ..core.progress import Progress
from ..core.surface import Surface
from .inference.clusters import Clusters
from .inference.correction import CorrectedTests, Correction, correct_for_vertices
from .maps import Maps
from .model.contrast_map import ContrastMap
from .model.design import Design, build_design, read_terms
from .model.effects import Model, PercentEffect, percent_effect
from .model.least_squares import fit_least_squares, measurement_weights
from .model.mixed_model import fit_mixed_model
from .model.participant_errors import with_participant_errors

MODELS = ("mixed", "least-squares")


@dataclass(frozen=True)
class StudyTest:
    """A contrast tested at every vertex.

    Attributes
    ----------
    maps : Maps
        The rows that the model was fitted to.
    answer : ContrastMap
        Effect, standard error, t (or F), degrees of freedom and confidence bounds.
    corrected : CorrectedTests or None
        For the many vertices, in each way; None for regions and scalars.
    percent_effect : PercentEffect or None
        The effect in percent, where the contrast compares with a reference.
    """

    maps: Maps
    answer: ContrastMap
    corrected: CorrectedTests | None
    percent_effect: PercentEffect | None

    @property
    def effect(self) -> np.ndarray:
        """In the unit of the maps, shape (v,), or (q, v) for an F."""
        return self.answer.effect

    @property
    def p(self) -> np.ndarray:
        """p-value of each vertex for itself, shape (v,)."""
        return self.answer.p

    @property
    def p_corrected(self) -> np.ndarray:
        """p-value (for a false discovery rate: q) after the correction that was chosen, shape (v,)."""
        return self._corrected().deciding.p

    @property
    def significant(self) -> np.ndarray:
        """Whether a vertex is significant after the correction, shape (v,)."""
        return self._corrected().deciding.significant

    @property
    def clusters(self) -> Clusters:
        """The clusters, largest first, each with its corrected p."""
        return self._corrected().clusters.clusters

    @property
    def method(self) -> str:
        """The correction in words, for a methods section."""
        return self._corrected().deciding.method

    def on_surface(self) -> Surface:
        """Return the surface of the maps with the answer, as `render_effect` draws it.

        Returns
        -------
        Surface
            With ``effect`` (a t only) and, with a reference, ``effect_percent``; ``t`` or ``f``, ``p``,
            ``p_corrected`` and ``significant`` (0 or 1).
        """
        tested = self._corrected().peaks.tested
        arrays, units = {}, {}
        if self.answer.is_t:
            arrays["effect"], units["effect"] = self.effect, self.maps.unit
        if self.percent_effect is not None:
            arrays["effect_percent"], units["effect_percent"] = self.percent_effect.percent, "%"
        arrays |= {"t" if self.answer.is_t else "f": self.answer.statistic, "p": self.p}
        arrays["p_corrected"] = self.p_corrected
        values = {name: np.where(tested, array, np.nan).astype(np.float32) for name, array in arrays.items()}
        surface = replace(self.maps.surface, units={})
        return surface.with_arrays(units=units, **values, significant=self.significant.astype(np.uint8))

    def _corrected(self) -> CorrectedTests:
        if self.corrected is None:
            raise StatisticsError(
                "These maps are not on a surface, so a correction for vertices is not possible."
            )
        return self.corrected


@dataclass(frozen=True)
class StudyFit:
    """A model fitted to the maps of a study.

    Attributes
    ----------
    maps : Maps
        The rows that the model was fitted to: those with any value.
    model : Fit or MixedFit
        The model at every vertex.
    """

    maps: Maps
    model: Model

    @property
    def design(self) -> Design:
        """The columns of the model, and what they mean."""
        return self.model.design

    def test(
        self,
        contrast: str,
        correction: str | Correction = "random-field",
        *,
        alternative: str = "two-sided",
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> StudyTest:
        """Test a contrast at every vertex.

        Parameters
        ----------
        contrast : str
            In words, such as ``denosumab − placebo at visit 36``; see `contrasts.read_contrast`.
        correction : str or Correction
            ``random-field``, ``permutation``, ``TFCE`` or ``false-discovery-rate``; a `Correction` also
            states the level, the threshold of clusters, the number of permutations and the seed.
        alternative : str
            ``two-sided``, ``greater`` or ``less``.
        executor : Executor, optional
            For permutations; numbers do not depend on it.
        progress : Progress, optional
            Called with the fraction done and a text; can cancel.

        Returns
        -------
        StudyTest

        Raises
        ------
        StatisticsError
            If the contrast does not fit the design.
        SettingError
            If correction or alternative is unknown.
        """
        settings = Correction(correction) if isinstance(correction, str) else correction
        answer = self.model.test(contrast, alternative)
        corrected = None
        if self.maps.surface is not None:
            corrected = correct_for_vertices(
                self.maps, self.model, answer, settings, executor=executor, progress=progress
            )
        percent = None
        if answer.is_t and answer.contrast.reference is not None:
            percent = percent_effect(self.model, answer.contrast, alternative)
        return StudyTest(self.maps, answer, corrected, percent)


def fit(
    maps: Maps,
    terms: Sequence[str],
    *,
    model: str | None = None,
    categorical: Collection[str] = (),
    reference: Mapping[str, str] | None = None,
    weigh: bool = False,
    progress: Progress | None = None,
) -> StudyFit:
    """Fit a linear model to the maps of a study, at all vertices at once.

    Parameters
    ----------
    maps : Maps
        A row a map; rows without any value are left out.
    terms : sequence of str
        Columns of the table, and interactions such as ``visit × arm``; see `design.read_terms`.
    model : {"mixed", "least-squares"}, optional
        ``mixed`` takes the participant as a random effect. By default mixed where a participant has several
        rows, else least squares.
    categorical : collection of str
        Columns of numbers that are levels; text, visit, side and participant always are.
    reference : mapping of str to str, optional
        Level of a column with which the others are compared; else the first.
    weigh : bool
        Whether least squares weighs by the measurement's own standard deviations (`Maps.sd`).
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    StudyFit
        Whose method `test` tests contrasts.

    Raises
    ------
    StatisticsError
        If the terms do not fit the table.
    SettingError
        If the model is unknown, or a mixed model is to weigh.

    Examples
    --------
    >>> from CorticalBoneMappingLib.statistics.table import Table
    >>> table = Table.of({"participant": ["A", "B", "C", "D"], "arm": ["drug", "placebo"] * 2})
    >>> maps = Maps(np.array([[2.2], [2.0], [2.4], [1.8]]), table, "cortical_thickness", "mm")
    >>> found = fit(maps, ["arm"], reference={"arm": "placebo"}).test("drug − placebo")
    >>> print(f"{found.effect[0]:.2f} mm, p = {found.p[0]:.3f}")
    0.40 mm, p = 0.106
    """
    rows = maps.take(maps.measured.any(axis=1))
    if not len(rows.table):
        raise StatisticsError("No row of the maps has a value.")
    read = [
        read_terms([term], rows.table, categorical, reference)[0] if isinstance(term, str) else term
        for term in terms
    ]
    design = build_design(rows.table, read)
    repeated = np.bincount(design.participants).max() > 1
    kind = model or ("mixed" if repeated else "least-squares")
    return StudyFit(rows, fit_model(rows, design, kind, weigh=weigh, progress=progress))


def fit_model(
    maps: Maps, design: Design, model: str, *, weigh: bool = False, progress: Progress | None = None
) -> Model:
    """Fit one of `MODELS` to maps whose design is known.

    Parameters
    ----------
    maps : Maps
        One row a row of the design.
    design : Design
        Of n rows.
    model : {"mixed", "least-squares"}
        A mixed model has the standard errors of leaving out each participant in turn.
    weigh : bool
        See `fit`.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    Fit or MixedFit

    Raises
    ------
    SettingError
        If the model is unknown, or a mixed model is to weigh.
    """
    if model not in MODELS:
        raise SettingError(f"Unknown model '{model}'; choose {', '.join(MODELS)}.")
    if model == "mixed":
        if weigh:
            raise SettingError("Only least squares weighs by the measurement's standard deviations.")
        return with_participant_errors(fit_mixed_model(maps, design, progress=progress))
    return fit_least_squares(maps, design, measurement_weights(maps, design) if weigh else None)

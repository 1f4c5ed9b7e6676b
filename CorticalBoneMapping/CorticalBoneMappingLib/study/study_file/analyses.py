"""One analysis of a study: the model, and the question that it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from ...core.errors import SettingError
from ...core.measures import MEASURES
from ...statistics.inference.correction import BY_PERMUTATION, CORRECTIONS
from ...statistics.model.contrast_map import ALTERNATIVES
from ...statistics.study_fit import MODELS
from .toml_values import check_keys, quoted, typed

OUTCOMES = ("value", "change", "percent-change")
HIPS = ("both", "mean", "left", "right")
WEIGHTS = ("equal", "measurement")

_NAME = re.compile(r"[\w][\w .+-]*")
_BOUNDS = {  # chosen by hand, wide: they catch a slipped decimal point
    "smoothing_fwhm_mm": (0.0, 40.0),
    "alpha": (1e-4, 0.5),
    "cluster_p": (1e-6, 0.05),
    "permutations": (100, 1_000_000),
    "seed": (0, 2**32 - 1),
    "equivalence_margin_percent": (0.01, 100.0),
}


@dataclass(frozen=True)
class Analysis:
    """A model and a question.

    Attributes
    ----------
    name : str
        Names the folder of its answer.
    contrast : str
        The question in words; see `statistics.model.contrasts.read_contrast`.
    terms : tuple of str
        Columns of the table, and interactions such as ``visit × arm`` (or with ``*`` or ``:``).
    measure : str
        One of `core.measures.MEASURES`.
    endpoints : tuple of str
        Numeric columns of the table to which the same model and question are applied.
    model : str
        ``mixed``: the participant is a random effect (repeated visits, both hips); ``least-squares``: rows
        are independent.
    hips : str
        ``both`` as rows of their own, their ``mean``, or only ``left`` or ``right``.
    outcome : str
        ``value``; ``change`` or ``percent-change`` from the participant's own baseline, whose rows are then
        left out.
    baseline : str
        The visit that changes count from.
    alternative : str
        One of `ALTERNATIVES`.
    correction : str
        One of `CORRECTIONS`.
    alpha : float
        Level of the whole map.
    cluster_p : float
        p at one vertex that begins a cluster.
    smoothing_fwhm_mm : float
        Smoothing on the average femur, after that of `cbm map`; mm.
    permutations, seed : int
        Of permutation and TFCE.
    weights : str
        ``equal``; or ``measurement``: values weigh by their own standard deviations and the spread between
        participants, at the vertices, with least squares of values.
    equivalence_margin_percent : float or None
        Largest effect that does not matter, in percent of the reference (of the baseline with
        ``percent-change``): also test where the effect is smaller.
    conjunction : tuple of str
        Two or more contrasts: also test where each of them has an effect.
    """

    name: str
    contrast: str
    terms: tuple[str, ...]
    measure: str = "cortical_mass_surface_density"
    endpoints: tuple[str, ...] = ()
    model: str = "mixed"
    hips: str = "both"
    outcome: str = "value"
    baseline: str = "0"
    alternative: str = "two-sided"
    correction: str = "random-field"
    alpha: float = 0.05
    cluster_p: float = 0.001
    smoothing_fwhm_mm: float = 10.0
    permutations: int = 1000
    seed: int = 1
    weights: str = "equal"
    equivalence_margin_percent: float | None = None
    conjunction: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SettingError(f"'{self.name}' cannot name a folder; use letters, digits, spaces, - and _.")
        measures = [name for name, measure in MEASURES.items() if not measure.is_uncertainty]
        for key, known in (
            ("measure", measures),
            ("model", MODELS),
            ("hips", HIPS),
            ("outcome", OUTCOMES),
            ("alternative", ALTERNATIVES),
            ("correction", CORRECTIONS),
            ("weights", WEIGHTS),
        ):
            if getattr(self, key) not in known:
                raise SettingError(f"{key} = '{getattr(self, key)}' is not one of {', '.join(known)}.")
        for key, (low, high) in _BOUNDS.items():
            if getattr(self, key) is not None and not low <= getattr(self, key) <= high:
                raise SettingError(f"{key} = {getattr(self, key)} does not lie between {low:g} and {high:g}.")
        weighable = (self.model, self.outcome, self.correction in BY_PERMUTATION)
        if self.weights == "measurement" and weighable != ("least-squares", "value", False):
            raise SettingError(
                "weights = 'measurement' goes with model = 'least-squares', outcome = 'value' and a "
                "correction without permutations."
            )
        self._check_further_tests()
        if not self.terms:
            raise SettingError("terms = [] leaves a model without anything in it; name at least one column.")

    def _check_further_tests(self) -> None:
        asked = [key for key in ("equivalence_margin_percent", "conjunction") if getattr(self, key)]
        if asked and self.correction in BY_PERMUTATION:
            raise SettingError(f"{asked[0]} goes with a correction without permutations.")
        if self.equivalence_margin_percent is not None and self.outcome == "change":
            raise SettingError(
                "equivalence_margin_percent goes with outcome = 'value' or 'percent-change': a change in mm "
                "or mg has no percentage."
            )
        if len(self.conjunction) == 1:
            raise SettingError("conjunction names one contrast; name two or more.")


def analysis_in(entry: dict[str, Any]) -> Analysis:
    """Read an ``[[analysis]]`` of a study file.

    Raises
    ------
    SettingError
        If a key is unknown or lacking, or a value is out of bounds.
    """
    name = entry.get("name", "?")
    known = {field.name: field.type for field in fields(Analysis)}
    check_keys(f"analysis '{name}'", entry, set(known), {"name", "contrast", "terms"})
    values = {key: typed(f"analysis '{name}', {key}", known[key], value) for key, value in entry.items()}
    try:
        return Analysis(**values)
    except SettingError as error:
        raise SettingError(f"analysis '{name}': {error}") from error


def analysis_lines(analysis: Analysis) -> list[str]:
    """Write an analysis as lines of TOML that `analysis_in` reads."""
    values = {field.name: getattr(analysis, field.name) for field in fields(analysis)}
    asked = {key: value for key, value in values.items() if value is not None}
    return ["[[analysis]]", *(f"{key} = {quoted(value)}" for key, value in asked.items())]


def folder_name(analysis: str) -> str:
    """Return the name of the folder of an analysis' answer."""
    return analysis.replace(" ", "_")

"""What a study asks: the file ``study.toml``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...core.errors import SettingError
from ...core.measures import MEASURES
from ...io.files import write_signed
from ...io.toml import read_toml
from ...statistics.model.contrast_map import ALTERNATIVES
from .scans import StudyScans, scan_lines, scan_plan

MODELS = ("mixed", "least-squares")
OUTCOMES = ("value", "change", "percent-change")
HIPS = ("both", "mean", "left", "right")
WEIGHTS = ("equal", "measurement")
CORRECTIONS = ("random-field", "permutation", "TFCE", "false-discovery-rate")

_NAME = re.compile(r"[\w][\w .+-]*")
_BOUNDS = {
    "smoothing_fwhm_mm": (0.0, 40.0),
    "alpha": (1e-4, 0.5),
    "cluster_p": (1e-6, 0.05),
    "permutations": (100, 1_000_000),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True)
class Analysis:
    """One model and one question.

    Attributes
    ----------
    name : str
        Names the folder of its results.
    contrast : str
        The question in words; see `statistics.contrasts.read_contrast`.
    terms : tuple of str
        Columns of the table, and interactions such as ``visit × arm`` (``*`` and ``:`` will do).
    measure : str
        One of `measures.MEASURES`.
    endpoints : tuple of str
        Numeric columns of the table that are put to the same model and question.
    model : str
        ``mixed``: the participant is a random effect (repeated visits, both hips); ``least-squares``: every
        row stands for itself.
    hips : str
        ``both`` as rows of their own, their ``mean``, or only ``left`` or ``right``.
    outcome : str
        ``value``; ``change`` or ``percent-change`` from the participant's own baseline, which is then left
        out of the rows.
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
        Smoothing on the average femur, on top of what `cbm map` did; mm.
    permutations, seed : int
        Of permutation and TFCE.
    weights : str
        ``equal``; or ``measurement``: values weigh by their own standard deviations and the spread between
        people, at the vertices, with least squares of values (see `statistics.weighting`).
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
            if not low <= getattr(self, key) <= high:
                raise SettingError(f"{key} = {getattr(self, key)} does not lie between {low:g} and {high:g}.")
        weighable = (self.model, self.outcome, self.correction in ("permutation", "TFCE"))
        if self.weights == "measurement" and weighable != ("least-squares", "value", False):
            raise SettingError(
                "weights = 'measurement' goes with model = 'least-squares', outcome = 'value' and a "
                "correction without permutations."
            )
        if not self.terms:
            raise SettingError("terms = [] leaves a model without anything in it; name at least one column.")


@dataclass(frozen=True)
class StudyFile:
    """A study as its file tells it.

    Attributes
    ----------
    name : str
        For headings.
    table : Path
        CSV or TSV: participant, visit, side, path and whatever the models need.
    results : Path
        Folder that the column ``path`` is read from.
    reference : dict of str to str
        Level of a categorical column that the others are held against.
    categorical : tuple of str
        Columns of numbers that are levels all the same (``centre``); text, visit and side are without it.
    analyses : tuple of Analysis
    source : str
        The file, for messages.
    scans : StudyScans or None
        How the scans are mapped, where the table names scans instead of maps.
    """

    name: str
    table: Path
    results: Path
    reference: dict[str, str]
    categorical: tuple[str, ...]
    analyses: tuple[Analysis, ...]
    source: str
    scans: StudyScans | None = None

    @property
    def levels(self) -> tuple[str, ...]:
        """Columns that hold levels, whatever they look like: categorical ones, and those of a reference."""
        return tuple(dict.fromkeys((*self.categorical, *self.reference)))


def read_study_file(path: str | Path, needs_analysis: bool = True) -> StudyFile:
    """Read ``study.toml``.

    Parameters
    ----------
    path : str or Path
        A table ``[study]`` (name, table, results), perhaps ``[columns]`` (categorical, and a table
        ``reference``), an ``[[analysis]]`` per question with the keys of `Analysis`, and where scans are
        to be mapped ``[scans]`` and ``[map]`` (see `scan_plan`). Paths are relative to the file.
    needs_analysis : bool
        Whether a file that asks nothing is refused.

    Returns
    -------
    StudyFile

    Raises
    ------
    SettingError
        If the file is missing or no TOML, a key is unknown or lacking, or a value out of bounds; names the
        file and the key.
    """
    path = Path(path)
    content = read_toml(path)
    try:
        return _plan(path, content, needs_analysis)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error


def _plan(path: Path, content: dict[str, Any], needs_analysis: bool) -> StudyFile:
    needed = {"study", "analysis"} if needs_analysis else {"study"}
    _check_keys("the file", content, {"study", "columns", "analysis", "scans", "map"}, needed)
    study, columns, analyses = content["study"], content.get("columns", {}), content.get("analysis", [])
    _check_keys("[study]", study, {"name", "table", "results"}, {"name", "table"})
    _check_keys("[columns]", columns, {"categorical", "reference"}, set())
    if not isinstance(analyses, list) or (needs_analysis and not analyses):
        raise SettingError("write each analysis under [[analysis]], with double brackets.")
    plans = tuple(_analysis(entry) for entry in analyses)
    names = [plan.name for plan in plans]
    folders = [folder_name(name).casefold() for name in names]  # to some file systems capitals are equal
    twice = [name for name, folder in zip(names, folders) if folders.count(folder) > 1]
    if twice:
        called = " and ".join(f"'{name}'" for name in dict.fromkeys(twice))
        raise SettingError(f"two analyses are called {called}, which is one folder of answers; rename one.")
    return StudyFile(
        name=str(study["name"]),
        table=path.parent / study["table"],
        results=path.parent / study.get("results", "."),
        reference={str(column): str(level) for column, level in columns.get("reference", {}).items()},
        categorical=tuple(map(str, columns.get("categorical", ()))),
        analyses=plans,
        source=str(path),
        scans=scan_plan(content, path.parent),
    )


def folder_name(analysis: str) -> str:
    """Give the name of the folder of an analysis' answers."""
    return analysis.replace(" ", "_")


def _analysis(entry: dict[str, Any]) -> Analysis:
    name = entry.get("name", "?")
    known = {field.name: field.type for field in fields(Analysis)}
    _check_keys(f"analysis '{name}'", entry, set(known), {"name", "contrast", "terms"})
    values = {key: _typed(f"analysis '{name}', {key}", known[key], value) for key, value in entry.items()}
    try:
        return Analysis(**values)
    except SettingError as error:
        raise SettingError(f"analysis '{name}': {error}") from error


def _typed(what: str, kind: str, value: Any) -> Any:
    """Turn a TOML value into the type of its field (`kind`, as annotated), or say what it should be."""
    if kind == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if kind == "str" and isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)  # a visit may be written as a number
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and kind == "float":
        return float(value)
    if is_number and kind == "int" and value == int(value):
        return int(value)
    wanted = {"tuple[str, ...]": "a list of texts", "str": "a text", "int": "a whole number"}
    raise SettingError(f"{what} = {value!r} should be {wanted.get(kind, 'a number')}.")


def _check_keys(where: str, found: dict[str, Any], known: set[str], needed: set[str]) -> None:
    if not isinstance(found, dict):
        raise SettingError(f"{where} should be a table of keys and values.")
    if unknown := sorted(set(found) - known):
        raise SettingError(
            f"{where} has an unknown key '{unknown[0]}'; known are {', '.join(sorted(known))}."
        )
    if lacking := sorted(needed - set(found)):
        raise SettingError(f"{where} lacks the key '{lacking[0]}'.")


def columns_record(plan: StudyFile) -> dict[str, Any]:
    """Give what a study says of its columns, as records hold it."""
    return {"reference": plan.reference, "categorical": list(plan.categorical)}


def write_study_file(path: Path, plan: StudyFile) -> None:
    """Write a plan as a file that `read_study_file` reads, signed as a file of this program.

    Raises
    ------
    SettingError
        If there is another file, or one that was changed by hand since it was written.
    """
    write_signed(path, study_file_text(plan))


def study_file_text(plan: StudyFile) -> str:
    """Write a plan as `read_study_file` reads it, paths in full.

    Returns
    -------
    str
        TOML.
    """
    lines = ["[study]", f"name = {_quoted(plan.name)}"]
    lines += [f"{key} = {_quoted(getattr(plan, key).resolve().as_posix())}" for key in ("table", "results")]
    levels = ", ".join(f"{_quoted(name)} = {_quoted(level)}" for name, level in plan.reference.items())
    lines += ["", "[columns]", f"categorical = {_quoted(plan.categorical)}", f"reference = {{ {levels} }}"]
    lines += scan_lines(plan.scans) if plan.scans else []
    for analysis in plan.analyses:
        lines += ["", "[[analysis]]"]
        lines += [f"{field.name} = {_quoted(getattr(analysis, field.name))}" for field in fields(analysis)]
    return "\n".join(lines) + "\n"


def _quoted(value: Any) -> str:
    """Write a value as TOML: JSON's texts, numbers and lists are TOML's as well."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)

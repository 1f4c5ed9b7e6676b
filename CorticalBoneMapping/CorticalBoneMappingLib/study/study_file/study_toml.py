"""The study file ``study.toml``: read it, write it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import SettingError
from ...io.files import write_signed
from ...io.toml import read_toml
from .analyses import Analysis, analysis_in, analysis_lines, folder_name
from .scans import StudyScans, scan_lines, scans_in
from .toml_values import check_keys, quoted


@dataclass(frozen=True)
class Coding:
    """How the columns of a table become columns of a design.

    Attributes
    ----------
    reference : dict of str to str
        Level of a categorical column with which the others are compared.
    categorical : tuple of str
        Columns of numbers that are levels all the same (``centre``); text, visit and side always are.
    """

    reference: dict[str, str] = field(default_factory=dict)
    categorical: tuple[str, ...] = ()

    @property
    def levels(self) -> tuple[str, ...]:
        """Columns that hold levels, whatever they look like: categorical ones, and those of a reference."""
        return tuple(dict.fromkeys((*self.categorical, *self.reference)))

    def record(self) -> dict[str, Any]:
        """Return it as records of an answer hold it."""
        return {"reference": self.reference, "categorical": list(self.categorical)}


@dataclass(frozen=True)
class StudyFile:
    """What a study file says; a table and a folder of maps alone are a study, too.

    Attributes
    ----------
    name : str
        For headings.
    table : Path
        CSV or TSV: participant, visit, side, path and whatever the models need.
    results : Path
        Folder of results, which the column ``path`` is relative to.
    coding : Coding
        Of the columns.
    analyses : tuple of Analysis
        What is asked.
    scans : StudyScans or None
        How the scans are mapped, where the table names scans instead of maps.
    source : str
        The file, for messages; empty where there is none.
    """

    name: str
    table: Path
    results: Path
    coding: Coding = field(default_factory=Coding)
    analyses: tuple[Analysis, ...] = ()
    scans: StudyScans | None = None
    source: str = ""

    def scans_to_map(self) -> StudyScans:
        """Return how the scans are mapped.

        Raises
        ------
        SettingError
            If the table names maps, not scans.
        """
        if self.scans is None:
            raise SettingError(
                f"{self.source}: [scans] is missing, so the table names folders of maps, not scans. Add "
                "[scans], and [map] with the settings of the mapping."
            )
        return self.scans


def read_study_file(path: str | Path, needs_analysis: bool = True) -> StudyFile:
    """Read ``study.toml``.

    Parameters
    ----------
    path : str or Path
        A table ``[study]`` (name, table, results), perhaps ``[columns]`` (categorical, and a table
        ``reference``), an ``[[analysis]]`` per question with the keys of `Analysis`, and where scans are
        to be mapped ``[scans]`` and ``[map]`` (see `scans_in`). Paths are relative to the file.
    needs_analysis : bool
        Whether a file without an analysis is refused.

    Returns
    -------
    StudyFile

    Raises
    ------
    SettingError
        If the file is missing or not TOML, a key is unknown or lacking, or a value is out of bounds; names
        file and key.
    """
    path = Path(path)
    content = read_toml(path)
    try:
        return _study_of(path, content, needs_analysis)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error


def _study_of(path: Path, content: dict[str, Any], needs_analysis: bool) -> StudyFile:
    needed = {"study", "analysis"} if needs_analysis else {"study"}
    check_keys("the file", content, {"study", "columns", "analysis", "scans", "map"}, needed)
    study, columns, entries = content["study"], content.get("columns", {}), content.get("analysis", [])
    check_keys("[study]", study, {"name", "table", "results"}, {"name", "table"})
    check_keys("[columns]", columns, {"categorical", "reference"})
    if not isinstance(entries, list) or (needs_analysis and not entries):
        raise SettingError("write each analysis under [[analysis]], with double brackets.")
    analyses = tuple(analysis_in(entry) for entry in entries)
    _refuse_one_folder_for_two(analyses)
    return StudyFile(
        name=str(study["name"]),
        table=path.parent / study["table"],
        results=path.parent / study.get("results", "."),
        coding=Coding(
            reference={str(column): str(level) for column, level in columns.get("reference", {}).items()},
            categorical=tuple(map(str, columns.get("categorical", ()))),
        ),
        analyses=analyses,
        scans=scans_in(content, path.parent),
        source=str(path),
    )


def _refuse_one_folder_for_two(analyses: tuple[Analysis, ...]) -> None:
    names = [analysis.name for analysis in analyses]
    folders = [folder_name(name).casefold() for name in names]  # to some file systems capitals are equal
    twice = [name for name, folder in zip(names, folders) if folders.count(folder) > 1]
    if twice:
        called = " and ".join(f"'{name}'" for name in dict.fromkeys(twice))
        raise SettingError(f"two analyses are called {called}, which is one folder of answers; rename one.")


def write_study_file(path: Path, study: StudyFile) -> None:
    """Write a study file that `read_study_file` reads, signed as a file of this program.

    Raises
    ------
    SettingError
        If there is another file, or one that was changed by hand since it was written.
    """
    write_signed(path, study_file_text(study))


def study_file_text(study: StudyFile) -> str:
    """Return a study as TOML that `read_study_file` reads, paths in full."""
    coding = study.coding
    lines = ["[study]", f"name = {quoted(study.name)}"]
    lines += [f"{key} = {quoted(getattr(study, key).resolve().as_posix())}" for key in ("table", "results")]
    levels = ", ".join(f"{quoted(name)} = {quoted(level)}" for name, level in coding.reference.items())
    lines += ["", "[columns]", f"categorical = {quoted(coding.categorical)}", f"reference = {{ {levels} }}"]
    lines += scan_lines(study.scans) if study.scans else []
    for analysis in study.analyses:
        lines += ["", *analysis_lines(analysis)]
    return "\n".join(lines) + "\n"

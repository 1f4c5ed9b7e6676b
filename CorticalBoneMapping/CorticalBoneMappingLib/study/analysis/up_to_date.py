"""Whether an answer is up to date: what its folder was asked last, and what the study asks now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ...io.files import own_record, refuse_another_record, write_json
from ...pipeline.provenance import input_record, plain, program
from ..study_file.analyses import Analysis
from ..study_file.study_toml import StudyFile
from .answer_files import PROVENANCE_FILE
from .collect import maps_record, read_study_table

ANSWERED_FILE = "answered.json"
ASKED_FILE = "asked.toml"
"""Study file that the panel writes for a question of one's own."""


def note_answered(folder: Path, study: StudyFile, record: dict[str, Any]) -> None:
    """Note in a folder of answers what the study asks, now that one of its analyses was answered.

    The folder belongs to one study file, and perhaps to the one that the panel writes.

    Parameters
    ----------
    folder : Path
        Of all answers.
    study : StudyFile
        Of which one analysis was answered.
    record : dict
        Of the answer.

    Raises
    ------
    SettingError
        If there is another file of that name.
    """
    path, name = folder / ANSWERED_FILE, Path(study.source).name
    refuse_another_record(path)
    before = (own_record(path) or {}).get("studies", {})
    kept = {other: entry for other, entry in before.items() if ASKED_FILE in (name, other)}
    entry = {
        "study": study.name,
        "columns": study.coding.record(),
        "analyses": {analysis.name: asdict(analysis) for analysis in study.analyses},
        "inputs": {what: record["inputs"][what] for what in ("table", "maps")},
    }
    write_json(path, plain({"program": program(), "studies": kept | {name: entry}}))


def why_outdated(record: dict[str, Any], folder: Path) -> str | None:
    """Return why an answer is not one of the study as it was answered last.

    Parameters
    ----------
    record : dict
        Of the answer.
    folder : Path
        Of all answers.

    Returns
    -------
    str or None
        A sentence; None where the answer is up to date, or nothing is known of the folder.
    """
    studies = (own_record(folder / ANSWERED_FILE) or {}).get("studies")
    if not studies:
        return None
    name, study = record["analysis"]["name"], _study_of(record)
    if study not in studies:
        return f"'{name}' was answered for {study}; last answered here was {' and '.join(studies)}."
    entry = studies[study]
    if name not in entry["analyses"]:
        return f"{study} no longer has the analysis '{name}'."
    asked = _whole(record["analysis"]), record.get("columns", entry["columns"])
    if asked != (_whole(entry["analyses"][name]), entry["columns"]):
        return f"'{name}' is asked otherwise in {study} by now, and was not answered again."
    return None


def why_stale(record: dict[str, Any], folder: Path) -> str | None:
    """Return by which inputs an answer differs from the last one in its folder; None without a difference."""
    studies = (own_record(folder / ANSWERED_FILE) or {}).get("studies", {})
    entry = studies.get(_study_of(record))
    return None if entry is None else _other_inputs(record, entry["inputs"], "when it was answered last")


def why_not_of_now(record: dict[str, Any], study: StudyFile, inputs: dict[str, Any]) -> str | None:
    """Return in what an answer differs from its study as that is now; None without a difference.

    Parameters
    ----------
    record : dict
        Of the answer.
    study : StudyFile
        The study file as it is now.
    inputs : dict
        From `inputs_now`.
    """
    name, file = record["analysis"]["name"], Path(study.source).name
    asked = {analysis.name: plain(asdict(analysis)) for analysis in study.analyses}
    if asked and _study_of(record) == file:
        now, columns = asked.get(name), record.get("columns", study.coding.record())
        if (_whole(record["analysis"]), columns) != (now, study.coding.record()):
            return f"'{name}' is asked otherwise in {file} now; run 'cbm stats' again."
    return _other_inputs(record, inputs, "now")


def inputs_now(study: StudyFile) -> dict[str, dict[str, str]]:
    """Return name and hash of a study's table and maps as they are now.

    Returns
    -------
    dict
        ``table`` and ``maps``, each with ``name`` and ``sha256``.

    Raises
    ------
    CorticalBoneMappingError, OSError
        If reading them fails.
    """
    maps = maps_record(read_study_table(study), study.results)
    return {"table": input_record(study.table), "maps": maps}


def outdated_answers(folder: Path) -> Iterator[str]:
    """Yield a sentence for every answer in a folder that is not one of the study as it was answered last."""
    for path in sorted(folder.glob(f"*/{PROVENANCE_FILE}")):
        record = own_record(path)
        is_answer = record is not None and "name" in record.get("analysis", {}) and "question" in record
        if is_answer and (why := why_outdated(record, folder)) is not None:
            yield f"{path.parent.name}: {why}"


def _study_of(record: dict[str, Any]) -> str:
    """Return the name of an answer's study file; empty in a record of an earlier version."""
    return record.get("inputs", {}).get("study", {}).get("name", "")


def _whole(analysis: dict[str, Any]) -> dict[str, Any]:
    """Add the settings that an earlier version did not know: it did what is the default now."""
    defaults = {field.name: field.default for field in fields(Analysis)}
    return plain(defaults) | analysis


def _other_inputs(record: dict[str, Any], inputs: dict[str, Any], when: str) -> str | None:
    differ = [
        words
        for what, words in (("table", "another table"), ("maps", "other maps or decisions on them"))
        if what in inputs and record["inputs"].get(what, inputs[what])["sha256"] != inputs[what]["sha256"]
    ]
    if not differ:
        return None
    name = record["analysis"]["name"]
    return f"'{name}' was answered from {' and '.join(differ)} than the study has {when}; answer it again."

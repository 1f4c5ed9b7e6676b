"""The ledger of a case: from what its result was made; results that are whole or absent; one run a folder.

A result is a folder that is written under another name, brought to the disk, and renamed: it is whole or
absent, whenever the power fails. ``case.json`` in it is its ledger: the key of all that its bytes follow
from, and the sizes of its files. A case whose key is still the same need not be mapped again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from ...atlas.average import load_atlas
from ...core.errors import CorticalBoneMappingError
from ...io.files import folder_aside, folder_to_disk, to_disk, write_json
from ...io.input_files import stamp_of
from ...pipeline.provenance import input_record, program
from ..study_file.scans import Case

CASE_FILE = "case.json"
TEMPORARY_FOLDER = ".run"
"""Folder in the folder of results for what is being written, and for the lock."""

LOG_FOLDER = "log"
_BUSY = (11, 13, 35, 36)  # EAGAIN, EACCES, EAGAIN of macOS, EDEADLK of Windows


@dataclass(frozen=True)
class Fingerprint:
    """An input, with every file that is read of it, at one moment.

    Attributes
    ----------
    name : str
        Without its folder.
    sha256 : str
        Of its content.
    stamp : str
        Of sizes and times of its files; while it stays, so does the content, and nothing need be read.
    covers : tuple of str
        Which files those are, where there are more than one; see `input_files.hash_of`.
    """

    name: str
    sha256: str
    stamp: str
    covers: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return name, hash and what it covers, for a record."""
        covers = {"covers": list(self.covers)} if self.covers else {}
        return {"name": self.name, "sha256": self.sha256} | covers


def fingerprints(case: Case, known: dict[str, Fingerprint] | None = None) -> dict[str, Fingerprint]:
    """Return the fingerprint of each input of a case.

    Parameters
    ----------
    case : Case
    known : dict of str to Fingerprint, optional
        From an earlier run; one whose stamp is still the same is taken without reading the file.

    Returns
    -------
    dict
        By what they are: ``ct``, ``mask``, ``rods``.

    Raises
    ------
    OSError
        If an input does not exist.
    """
    found = {}
    for kind, path in case.inputs.items():
        stamp = stamp_of(path)
        earlier = (known or {}).get(kind)
        if earlier is not None and earlier.stamp == stamp and earlier.name == path.name:
            found[kind] = earlier
        else:
            record = input_record(path)
            covers = tuple(record.get("covers", ()))
            found[kind] = Fingerprint(record["name"], record["sha256"], stamp, covers)
    return found


def key_of(case: Case, inputs: dict[str, Fingerprint]) -> str:
    """Return the hash of all that the bytes of a result follow from.

    Names and contents of the inputs, series, participant, visit and side, the settings, the atlas, version
    and source of this program, and the versions of what it computes with. Python's own is left out: a new one
    computes the same.
    """
    settings = asdict(case.settings) | {"atlas": _atlas_hash(case.settings.atlas)}
    if "rods" in inputs:
        settings["calibration"] = "rods"  # the content counts, not the folder
    made_by = program()
    content = {
        "inputs": {kind: [each.name, each.sha256] for kind, each in sorted(inputs.items())},
        "case": case.name,
        "series": case.series,
        "settings": settings,
        "program": made_by | {"libraries": {k: v for k, v in made_by["libraries"].items() if k != "python"}},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def records_of(case: Case, inputs: dict[str, Fingerprint]) -> dict[str, dict[str, Any]]:
    """Return what a result records of its inputs: names, hashes, and the series if one was chosen."""
    records = {kind: each.record() for kind, each in sorted(inputs.items())}
    if case.series is not None and "ct" in records:
        records["ct"]["series"] = case.series
    return records


def has_result(results: Path, case: Case, key: str | None = None) -> bool:
    """Return whether a case's result is whole in its folder, and was made with this key.

    Parameters
    ----------
    results : Path
        Folder of results.
    case : Case
    key : str, optional
        From `key_of`; any without.
    """
    folder = results / case.folder
    try:
        ledger = json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in ledger["bytes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return sizes == ledger["bytes"] and key in (None, ledger["key"])


def mark_of(folder: Path) -> str:
    """Return a short mark of the result in a folder, different for every key; empty without a result.

    It begins with a letter: a spreadsheet would read twelve digits, or some around an ``e``, as a number.
    """
    try:
        return "r" + json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))["key"][:12]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@contextmanager
def new_result(results: Path, case: Case, key: str, inputs: dict[str, Fingerprint]) -> Iterator[Path]:
    """Yield a folder to write a result to; it takes its place, with its ledger, when the block ends well.

    Parameters
    ----------
    results : Path
        Folder of results.
    case : Case
    key : str
        From `key_of`.
    inputs : dict of str to Fingerprint

    Yields
    ------
    Path
        A temporary folder on the same disk.
    """
    with _temporary(results, case.name) as temporary:
        yield temporary
        sizes = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
        ledger = {"key": key, "inputs": records_of(case, inputs), "bytes": sizes}
        write_json(temporary / CASE_FILE, ledger)
        to_disk(temporary)
        remove_result(results, case)
        target = results / case.folder
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(temporary, target)
        except OSError:  # a worker of a run that was killed may have put the same result there meanwhile
            if not has_result(results, case, key):
                raise
        folder_to_disk(target.parent)


def remove_result(results: Path, case: Case) -> None:
    """Remove a case's result at one moment, if there is one."""
    folder = results / case.folder
    if folder.is_dir():
        with _temporary(results, "old") as temporary:
            os.replace(folder, temporary / "result")


def clear_temporary_folders(results: Path) -> None:
    """Remove what a run that was killed has left half-written."""
    for folder in (results / TEMPORARY_FOLDER).glob("writing-*"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def only_run(results: Path) -> Iterator[None]:
    """Hold the lock of a folder of results.

    The operating system keeps the lock and gives it up when the process ends, however it ends. A file system
    that has no locks is not locked: two runs there would do some work twice, and spoil nothing.

    Raises
    ------
    CorticalBoneMappingError
        If another run holds it; names that run.
    """
    path = results / TEMPORARY_FOLDER / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _BUSY:
                raise CorticalBoneMappingError(
                    f"{results}: another run works here ({_holder(path)}). Wait for it, or stop it."
                ) from error
        holder = {
            "process": os.getpid(),
            "machine": platform.node(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        (path.parent / "holder.json").write_text(json.dumps(holder), encoding="utf-8")
        yield


def write_record(results: Path, case: Case, record: dict[str, Any]) -> None:
    """Write the record of a case beside its result: how it went, and how long it took."""
    write_json(results / LOG_FOLDER / f"{case.name}.json", record)


def read_record(results: Path, case: Case) -> dict[str, Any]:
    """Return what `write_record` wrote; empty without a record."""
    try:
        record = json.loads((results / LOG_FOLDER / f"{case.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def known_fingerprints(record: dict[str, Any]) -> dict[str, Fingerprint]:
    """Return the fingerprints of a record's inputs."""
    try:
        inputs = record["inputs"]
        return {
            kind: Fingerprint(**each | {"covers": tuple(each["covers"])}) for kind, each in inputs.items()
        }
    except (KeyError, TypeError, AttributeError):
        return {}


def _temporary(results: Path, name: str) -> AbstractContextManager[Path]:
    return folder_aside(results / TEMPORARY_FOLDER, f"writing-{name}-")


@lru_cache(maxsize=4)
def _atlas_hash(folder: Path | None) -> str:
    return load_atlas(folder).sha256


def _holder(path: Path) -> str:
    try:
        holder = json.loads((path.parent / "holder.json").read_text(encoding="utf-8"))
        return f"process {holder['process']} on {holder['machine']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it left no name"


def _lock(file: BinaryIO) -> None:
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

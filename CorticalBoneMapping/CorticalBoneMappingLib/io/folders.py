"""Folders of results that are whole or absent, in which no file is lost that this program did not write.

The record of a folder (a JSON file) lists under ``files`` what was written with it, with the hash of each
file. What the list does not name, or what has another hash since, is a user's: it is neither replaced nor
removed. A new result is exchanged for the old one by renaming: the old record goes first and the new one
comes last, so a folder that has a record is whole at every moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.errors import CorticalBoneMappingError, SettingError
from .files import check_room, files_in, folder_aside, folder_to_disk, reason, to_disk, write_json

FILES = "files"
"""Key of a record under which the files of its folder are listed: hash (SHA-256) by name."""

_NEW, _OLD, _INCOMING = ".writing-", ".replaced-", ".incoming"


@contextmanager
def whole_folder(folder: str | Path, what: str, record: str) -> Iterator[Path]:
    """Give a temporary folder; its files take the place of an earlier result when the block ends well.

    Parameters
    ----------
    folder : str or Path
        Is made if it does not exist. Files of an earlier result in it are replaced or removed, all others
        stay. If the exchange fails, the earlier result stays as it was.
    what : str
        What is written, for messages.
    record : str
        Name of the record; the block has to write it. The list of files is added to it.

    Yields
    ------
    Path
        The temporary folder to write to.

    Raises
    ------
    CorticalBoneMappingError
        If the folder is not writable, or a file would be replaced that is a user's.
    """
    with _writing(Path(folder), what) as (folder, temporary):
        yield temporary
        names = _list_files(temporary, record, {})
        if temporary.parent == folder:
            _exchange(temporary, folder, names, own_files(folder, record), record)
        else:
            to_disk(temporary)
            os.replace(temporary, folder)
            folder_to_disk(folder.parent)


@contextmanager
def more_files(folder: str | Path, what: str, record: str) -> Iterator[Path]:
    """Give a temporary folder; its files join a result that is there already when the block ends well.

    For what may fail without harm to the result, such as pictures. See `whole_folder`.

    Raises
    ------
    CorticalBoneMappingError
        As `whole_folder`.
    """
    with _writing(Path(folder), what) as (folder, temporary):
        yield temporary
        own = own_files(folder, record)
        if record not in own:
            raise SettingError(f"{folder}: this folder holds no {what} to add to.")
        shutil.copy2(folder / record, temporary / record)
        names = _list_files(temporary, record, own)
        replaced = {name: own[name] for name in names if name in own} | {record: own[record]}
        _exchange(temporary, folder, names, replaced, record)


def ready_folder(folder: str | Path, what: str, record: str, names: Sequence[str] = ()) -> None:
    """Check before the work that a result can be written to a folder.

    Parameters
    ----------
    folder : str or Path
        Need not exist.
    what : str
        What will be written, for the message.
    record : str
        Name of its record.
    names : sequence of str
        Files that will be written, as far as they are known.

    Raises
    ------
    SettingError
        If nothing can be written there, or a user's file is in the way; names it.
    """
    folder = Path(folder)
    check_room(folder.absolute())
    if not folder.is_dir():
        return
    _recover(folder, record)
    own = own_files(folder, record)
    _check_names(folder, [record, *names], own)
    for name in own:
        try:
            os.replace(folder / name, folder / name)  # changes nothing, but Windows refuses an open file
        except OSError as error:
            raise SettingError(
                f"{folder / name}: the {what} cannot take the place of this file ({reason(error)}). Is it "
                "open in another program? Close it there."
            ) from error


def own_files(folder: Path, record: str) -> dict[str, str]:
    """Give the files in a folder that this program wrote and nobody has changed since.

    Parameters
    ----------
    folder : Path
    record : str
        Name of the record that lists them.

    Returns
    -------
    dict of str to str
        Hash by name, the record's own as well; empty without such a record.
    """
    listed = _listed(folder / record)
    own = {name: digest for name, digest in listed.items() if _hash(folder / name) == digest}
    return own | {record: _hash(folder / record)} if listed else {}


def is_unchanged(path: Path, record: str) -> bool:
    """Whether the record beside a file lists it, and it has not been changed since."""
    digest = _listed(path.with_name(record)).get(path.name)
    return digest is not None and digest == _hash(path)


@contextmanager
def _writing(folder: Path, what: str) -> Iterator[tuple[Path, Path]]:
    """Give the folder in full and one to write to: inside it, or beside it if it does not exist yet."""
    folder = folder.absolute()
    try:
        is_there = folder.is_dir()
        parent, name = (folder, _NEW) if is_there else (folder.parent, f".{folder.name}-")
        with folder_aside(parent, name) as temporary:
            yield folder, temporary
    except OSError as error:
        if error.errno is None:
            raise
        named = error.filename and Path(error.filename).name
        file = f"{named}: " if named and not named.startswith(".") and named != folder.name else ""
        raise CorticalBoneMappingError(
            f"{folder}: the {what} could not be written ({file}{reason(error)}). What was there is unchanged."
        ) from error


def _list_files(temporary: Path, record: str, before: dict[str, str]) -> list[str]:
    """Add the list of files to the record; give the names of all new files, the record's last."""
    names = [file.relative_to(temporary).as_posix() for file in files_in(temporary)]
    names.remove(record)
    listed = {name: digest for name, digest in before.items() if name != record}
    listed |= {name: _hash(temporary / name) for name in names}
    content = json.loads((temporary / record).read_text(encoding="utf-8"))
    write_json(temporary / record, content | {FILES: dict(sorted(listed.items()))})
    return [*names, record]


def _exchange(new: Path, folder: Path, names: list[str], replaced: dict[str, str], record: str) -> None:
    """Move files of the old result aside and the new ones in; on any failure put everything back."""
    _recover(folder, record)
    _check_names(folder, names, replaced)
    to_disk(new)
    old = folder / f"{_OLD}{secrets.token_hex(4)}"
    old.mkdir()
    shutil.copy2(new / record, old / _INCOMING)
    moves = [(folder / name, old / name) for name in sorted(replaced, key=lambda name: name != record)]
    moves += [(new / name, folder / name) for name in names]
    done: list[tuple[Path, Path]] = []
    try:
        for start, stop in moves:
            stop.parent.mkdir(parents=True, exist_ok=True)
            done.append((start, stop))
            os.replace(start, stop)
        folder_to_disk(folder)
    except BaseException:
        for start, stop in reversed(done):
            if os.path.lexists(stop):  # the last one may not have been moved
                os.replace(stop, start)
        shutil.rmtree(old)  # not reached if a file could not be put back: the next write tries again
        raise
    shutil.rmtree(old, ignore_errors=True)
    _remove_empty(folder, replaced)


def _recover(folder: Path, record: str) -> None:
    """Undo an exchange that was broken off by the end of the process."""
    for old in folder.glob(f"{_OLD}*"):
        if not (folder / record).exists():
            for name, digest in _listed(old / _INCOMING).items():
                if _hash(folder / name) == digest:
                    (folder / name).unlink()
            kept = [file for file in files_in(old) if file.name != _INCOMING]
            for file in sorted(kept, key=lambda file: file.name == record):
                os.replace(file, folder / file.relative_to(old))
        shutil.rmtree(old, ignore_errors=True)


def _check_names(folder: Path, names: Sequence[str], own: dict[str, str]) -> None:
    """Refuse to replace what is not this program's."""
    for name in names:
        if name not in own and os.path.lexists(folder / name):
            raise SettingError(
                f"{folder / name}: this file was changed since it was written, or was not written by this "
                "program, and would be replaced. Move it elsewhere, or choose another folder with --out."
            )


def _remove_empty(folder: Path, names: dict[str, str]) -> None:
    for place in {(folder / name).parent for name in names} - {folder}:
        with suppress(OSError):
            place.rmdir()


def _listed(record: Path) -> dict[str, str]:
    try:
        listed = json.loads(record.read_text(encoding="utf-8"))[FILES]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    # A name that leads out of the folder is not one that this program wrote.
    is_list = isinstance(listed, dict) and not any(".." in Path(name).parts for name in listed)
    return listed if is_list else {}


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""

"""Write single files: whole or absent, and never over a file of somebody else.

A file is written beside its place, brought to the disk and renamed. Pages, tables and study files carry a
mark by which this program recognises its own. `io.folders` does the same for folders of results.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import SettingError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PROBE, _PROBES = bytes(1 << 20), 64


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to `path` when the block ends well.

    Parameters
    ----------
    path : str or Path
        Where the file will be. Its folder is made if it does not exist.

    Yields
    ------
    Path
        The temporary name to write to; it has the same ending as `path`, and the permissions that the umask
        gives to a new file.

    Raises
    ------
    OSError
        If writing the file failed; bears the name of `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:100]}-{secrets.token_hex(4)}{''.join(path.suffixes)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made here and not by `tempfile`, whose files are private: a result is for whoever the umask lets.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield temporary
            to_disk(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def folder_aside(parent: Path, name: str) -> Iterator[Path]:
    """Give a new folder in `parent` whose name begins with `name`; what is left of it goes at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"{name}{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def files_in(folder: Path) -> list[Path]:
    """Give all files in a folder and its subfolders, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk: a power cut cannot undo it."""
    if path.is_dir():
        for each in path.iterdir():
            to_disk(each)
        folder_to_disk(path)
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def folder_to_disk(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name == "nt":
        return  # Windows has no such call for folders; NTFS keeps a journal of its own
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ready_file(path: str | Path) -> None:
    """Check before the work that a file can be written.

    Raises
    ------
    SettingError
        If that failed; names the obstacle.
    """
    path = Path(path)
    if path.is_dir():
        raise SettingError(f"{path}: this is a folder; name a file in it.")
    check_room(path.absolute().parent)


def check_room(folder: Path) -> None:
    """Check that a folder, which need not exist yet, can be made and written to.

    Raises
    ------
    SettingError
        If it cannot; names the file or folder that is in the way.
    """
    exists = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not exists.is_dir():
        raise SettingError(f"{exists}: this is a file, so nothing can be written under it. Name a folder.")
    try:
        with tempfile.TemporaryFile(dir=exists) as file:
            file.write(b"0")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingError(f"{exists}: nothing can be written here ({reason(error)}).") from error


def reason(error: OSError) -> str:
    """Say in a few words why a file could not be written or read."""
    return "the disk is full" if is_full(error) else error.strerror or str(error)


def is_full(error: OSError) -> bool:
    """Whether room was missing: on the disk, in the user's quota, or for so large a file."""
    return error.errno in _FULL


def raise_if_full(path: Path) -> None:
    """Find out why another library could not write a file: only the system reports a full disk.

    Parameters
    ----------
    path : Path
        What was being written; is written on.

    Raises
    ------
    OSError
        If nothing can be written to it.
    """
    with path.open("ab") as file:
        for _ in range(_PROBES):
            file.write(_PROBE)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep libraries in C from writing to the terminal, for as long as one file is written."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError):  # a program with windows may have no such stream
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON; not-a-number is refused, since JSON has none."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


PROGRAM = "cortical-bone-mapping"
"""The name by which records and pages identify this program."""

_SIGNATURE = "# Written by Cortical Bone Mapping; a file that is changed by hand is not written over."
_BEGINNING = 4096  # bytes in which a page names its generator


def write_signed(path: Path, text: str) -> None:
    """Write a text whose lines may be comments (``#``), signed, so that later changes by hand are noticed.

    Parameters
    ----------
    path : Path
        A file that is there has to be one that was written so, and is as it was written.
    text : str
        The content; the signature becomes its first line.

    Raises
    ------
    SettingError
        If there is another file.
    """
    if path.exists() and not _is_as_signed(path):
        raise SettingError(
            f"{path}: this file was written or changed by hand, and would be lost. Rename it, or choose "
            "another folder."
        )
    write_text(path, f"{_signature(text)}\n{text}")


def refuse_another_page(path: Path) -> None:
    """Refuse to write a page over a file that is none of this program's pages.

    Raises
    ------
    SettingError
        If there is such a file.
    """
    _refuse_unless(path, _names_generator)


def refuse_another_table(path: Path, columns: Sequence[str]) -> None:
    """Refuse to write a table over a file that does not begin with the same columns.

    Raises
    ------
    SettingError
        If there is such a file.
    """
    _refuse_unless(path, lambda path: _first_line(path).split(",")[: len(columns)] == list(columns))


def refuse_another_record(path: Path) -> None:
    """Refuse to write a record (JSON) over a file that is none of this program's records.

    Raises
    ------
    SettingError
        If there is such a file.
    """
    _refuse_unless(path, lambda path: own_record(path) is not None)


def own_record(path: Path) -> dict[str, Any] | None:
    """Read a record of this program; None where there is none, or the file is another."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if record["program"]["name"] == PROGRAM else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def generator_tag() -> str:
    """Give the tag by which a page identifies this program."""
    return f'<meta name="generator" content="{PROGRAM}">'


def _refuse_unless(path: Path, is_own: Callable[[Path], bool]) -> None:
    if path.exists() and not (path.is_file() and is_own(path)):
        raise SettingError(
            f"{path}: there is a file or folder that this program did not write, or that was changed since; "
            "it would be lost. Move it, or give another name."
        )


def _signature(text: str) -> str:
    return f"{_SIGNATURE} {hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]}"


def _is_as_signed(path: Path) -> bool:
    try:
        first, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return False
    return first == _signature(text)


def _names_generator(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return generator_tag().encode() in stream.read(_BEGINNING)
    except OSError:
        return False


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return stream.readline().strip()
    except (OSError, ValueError):
        return ""

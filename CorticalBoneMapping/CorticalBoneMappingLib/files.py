"""Files that are whole or absent: written beside their place under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import CorticalBoneMappingError


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to `path` when the block ends well.

    Parameters
    ----------
    path : str or Path
        Where the file shall stand. Its folder is made if it is not there.

    Yields
    ------
    Path
        The temporary name to write to; it has the same ending as `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix="".join(path.suffixes))
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes it private; a result is for everyone who may read the folder
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: str | Path, what: str) -> Iterator[Path]:
    """Give a temporary folder; move its files into `folder` when the block ends well, else leave none.

    Parameters
    ----------
    folder : str or Path
        Is made if it is not there; files of the same name in it are replaced.
    what : str
        What is written, for the message.

    Yields
    ------
    Path
        The temporary folder to write to.

    Raises
    ------
    CorticalBoneMappingError
        If the folder cannot be written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as name:
            yield Path(name)
            for file in sorted(Path(name).iterdir()):
                os.replace(file, folder / file.name)
    except OSError as error:
        raise CorticalBoneMappingError(
            f"{folder}: the {what} could not be written ({error.strerror}); is the folder writable?"
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON; not-a-number is refused, since JSON has none."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

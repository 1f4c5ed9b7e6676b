"""One run at a time in a folder; the lock of a run that died is none."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ...errors import CorticalBoneMappingError
from .ledger import WORKSHOP

_BUSY = (11, 13, 35, 36)  # EAGAIN, EACCES, EAGAIN of macOS, EDEADLK of Windows


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
    path = results / WORKSHOP / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _BUSY:
                raise CorticalBoneMappingError(
                    f"{results}: another run works here ({_holder(path)}). Wait for it, or stop it."
                ) from error
        told = {
            "process": os.getpid(),
            "machine": platform.node(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        (path.parent / "holder.json").write_text(json.dumps(told), encoding="utf-8")
        yield


def _holder(path: Path) -> str:
    try:
        told = json.loads((path.parent / "holder.json").read_text(encoding="utf-8"))
        return f"process {told['process']} on {told['machine']}, since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not told its name"


def _lock(file: BinaryIO) -> None:
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

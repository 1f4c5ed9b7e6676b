"""Prepare a worker process: one thread, bounded memory, and it ends when its parent does.

Imports nothing heavy, so that the number of threads is set before numpy asks for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from functools import lru_cache
from multiprocessing import connection, parent_process
from typing import Any

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "VTK_SMP_MAX_THREADS",
)
_LOOK_S = 0.25  # between two looks at the parent; chosen by hand
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers of mallopt(3)
_LARGEST_KEPT, _KEPT = 32 << 20, 256 << 20  # bytes: of one array (glibc's limit), of all together


def begin_worker(memory_bytes: int | None, stop: Any) -> None:
    """Prepare a worker process, before anything else is imported in it.

    Parameters
    ----------
    memory_bytes : int or None
        What it may use; held by Linux, other systems have no such limit.
    stop : multiprocessing.Event
        When set, the process ends at once. It ends as well when its parent is gone: a result is whole or
        absent, so any moment will do.
    """
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then sets `stop`
    if memory_bytes is not None and sys.platform == "linux":
        import resource

        with contextlib.suppress(ValueError, OSError):  # there may be a lower limit already
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()


@lru_cache(maxsize=1)
def prepare_process() -> None:
    """Keep ITK and VTK to one thread, as many cases as cores run at once, and memory that is freed."""
    import SimpleITK as sitk
    import vtk

    os.environ.update(dict.fromkeys(_THREADS, "1"))
    _keep_freed_memory()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    vtk.vtkMultiThreader.SetGlobalMaximumNumberOfThreads(1)
    vtk.vtkSMPTools.Initialize(1)


def _keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next array instead of giving it back to the system each time.

    Dask asks it to give back all above 64 kB, which makes work on many large arrays half as slow again: the
    system has to hand out, and clear, the same pages over and over.
    """
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # another C library has no such setting
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)


def peak_memory_mb() -> int | None:
    """Return the most memory that this process has held so far, MB; None where that is unknown."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def _end_with_parent(stop: Any) -> None:
    parent = parent_process()
    while not stop.is_set():
        if parent is not None and connection.wait([parent.sentinel], timeout=_LOOK_S):
            break
    os._exit(1)

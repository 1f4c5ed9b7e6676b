"""Executors that map many cases: processes here, or a Dask cluster; and the memory that a case needs."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ...core.errors import SettingError
from ...core.machine_memory import available_memory
from ..study_file.scans import Case
from .worker import begin_worker

_CONNECT_S = 20.0  # to a Dask scheduler; chosen by hand
# Measured (Docs/trial.md): 0.87 GB for scans of 10 million voxels, 1.4 GB for one of 105. With some room,
# since a process asks the system for more than it fills.
_WITHOUT_SCAN = 900 << 20  # bytes
_PER_VOXEL = 8  # bytes
_BYTES_OF_DICOM_VOXEL = 2  # 16 bits, uncompressed


class SeparateProcesses(Executor):
    """Worker processes that fail one by one.

    In a `ProcessPoolExecutor` a worker that dies takes all others with it, and nobody knows whose fault it
    was. Here every worker is a pool of its own: only the work that it did fails, with `BrokenExecutor`, and a
    new process takes its place.

    Parameters
    ----------
    workers : int
        Processes at most; each begins with its first work.
    memory_bytes : int, optional
        What each may use; see `begin_worker`.
    lifetime : int
        Works after which a process is replaced by a new one, since not all freed memory is given back; chosen
        by hand.
    """

    def __init__(self, workers: int, memory_bytes: int | None = None, lifetime: int = 40) -> None:
        self._context = multiprocessing.get_context("spawn")  # a fork of a threaded process may hang
        self._stop = self._context.Event()
        self._memory_bytes, self._lifetime = memory_bytes, lifetime
        self._threads = ThreadPoolExecutor(workers)
        self._idle: queue.SimpleQueue[tuple[ProcessPoolExecutor, int]] = queue.SimpleQueue()
        for _ in range(workers):
            self._idle.put((self._one_process(), lifetime))

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Let the next free process do the work."""
        return self._threads.submit(self._in_process, work, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the work that was begun; with `cancel_futures` end it at once instead."""
        if cancel_futures:
            self._stop.set()
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        while wait and not self._idle.empty():
            self._idle.get()[0].shutdown()

    def _one_process(self) -> ProcessPoolExecutor:
        settings = (self._memory_bytes, self._stop)
        return ProcessPoolExecutor(1, self._context, initializer=begin_worker, initargs=settings)

    def _in_process(self, work: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        process, left = self._idle.get()
        left -= 1
        try:
            return process.submit(work, *args, **kwargs).result()
        except BrokenExecutor:
            left = 0
            raise
        finally:
            if left == 0:
                process.shutdown(wait=False)
                process, left = self._one_process(), self._lifetime
            self._idle.put((process, left))


@contextmanager
def open_executor(
    workers: int | None = None, dask: str | None = None, bytes_each: int | None = None
) -> Iterator[Executor]:
    """Yield an executor; its work is ended when the block ends with an error.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine; by default as many as cores and memory allow.
    dask : str, optional
        Address of a Dask scheduler (``tcp://host:8786``), or a file that it wrote; goes before `workers`.
    bytes_each : int, optional
        Memory that the work needs; without, only cores count.

    Yields
    ------
    concurrent.futures.Executor

    Raises
    ------
    SettingError
        If the number is below 1, Dask is not installed, or its scheduler does not answer.
    """
    if dask is not None:
        with _dask_executor(dask) as executor:
            yield executor
        return
    if workers is not None and workers < 1:
        raise SettingError(f"{workers} workers cannot work; ask for 1 or more.")
    count = workers_that_fit(workers, bytes_each)
    available = available_memory()
    executor = SeparateProcesses(count, available and available // count)
    try:
        yield executor
    except BaseException:
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


def workers_that_fit(asked: int | None, bytes_each: int | None) -> int:
    """Return how many workers cores and memory allow, at least 1 and never more than asked for."""
    counts = [asked or _cores()]
    available = available_memory()
    if bytes_each and available:
        counts.append(available // bytes_each)
    return max(1, min(counts))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _dask_executor(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise SettingError(
            "Dask is not installed here; install it with: pip install cortical-bone-mapping[cluster]"
        ) from error
    where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**where, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise SettingError(
            f"No Dask scheduler answers at {address} ({error}). Start one with 'dask scheduler', and give "
            "the address that it prints, such as tcp://host:8786."
        ) from error
    with client:
        executor = client.get_executor(pure=False)  # the work of a case is on the disk, not in its value
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)
            raise
        executor.shutdown()


def memory_of(cases: Sequence[Case]) -> int:
    """Return the memory in bytes that the largest of some cases needs."""
    voxels = max(_voxels(path) for path in {case.ct for case in cases})
    return _WITHOUT_SCAN + _PER_VOXEL * voxels


def _voxels(path: Path) -> int:
    """Number of voxels, from sizes and headers alone; 0 where the mapping will say why."""
    try:
        if path.is_dir():
            return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) // _BYTES_OF_DICOM_VOXEL
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        return int(np.prod(reader.GetSize()))
    except (OSError, RuntimeError):
        return 0
